"""Text consistency: cosine between the embedding of a sound and that of its caption."""

import torch
from torch import Tensor
from torchmetrics import Metric


def cosine_score(audio: Tensor, text: Tensor) -> Tensor:
    """Cosine of each pair of embeddings, raw in [-1, 1], not times 100.

    Args:
        audio: float [B, D], embeddings of sounds; any length, they are normalized here.
        text: float [B, D], embeddings of their captions, from the same checkpoint.

    Returns:
        float64 [B].

    Raises:
        ValueError: if the shapes differ, or an embedding is zero or not finite: it has no angle.

    >>> cosine_score(torch.tensor([[3.0, 4.0]]), torch.tensor([[2.0, 0.0]])).tolist()
    [0.6]
    """
    if audio.ndim != 2 or audio.shape != text.shape:
        raise ValueError(
            f"expected audio and text embeddings [B, D] of one shape, got {list(audio.shape)} "
            f"and {list(text.shape)}"
        )
    audio, text = audio.double(), text.double()
    lengths = audio.norm(dim=1) * text.norm(dim=1)
    if not (lengths.isfinite() & (lengths > 0)).all():
        raise ValueError("an embedding is zero or not finite, and has no angle: check the sounds")
    return (audio * text).sum(dim=1) / lengths


class ClapScore(Metric):
    """Mean cosine between given audio and text embeddings; the network is elsewhere."""

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, audio: Tensor, text: Tensor) -> None:
        """Add pairs of float [B, D] embeddings."""
        values = cosine_score(audio, text)
        self.total = self.total + values.sum()
        self.count = self.count + len(values)

    def compute(self) -> Tensor:
        """Return the mean cosine, float64.

        Raises:
            ValueError: if no pair was added.
        """
        if self.count == 0:
            raise ValueError("a mean cosine needs one or more pairs, got none")
        return self.total / self.count
