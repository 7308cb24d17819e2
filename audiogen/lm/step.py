"""One step of generation: what is read, what is drawn, and where it is written.

Nothing here asks the device for a value: a step can be queued while those before it are computed.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from audiogen.lm.guided import GuidedDecoder
from audiogen.lm.noise import Noise
from audiogen.lm.plan import Plan, frame_indices
from audiogen.lm.sampling import Sampling
from audiogen.tokens.layouts import Pattern


class Steps:
    """A sequence that grows by what is drawn.

    Args:
        decoder: gives the logits.
        plan: of the call.
        sampling: how a code is drawn.
        sequence: int64 [B, K, S], the prompt laid out, special tokens elsewhere; it is written to.
        noise: of the races; None is greedy.
    """

    def __init__(
        self,
        decoder: GuidedDecoder,
        *,
        plan: Plan,
        sampling: Sampling,
        sequence: Tensor,
        noise: Noise | None,
    ) -> None:
        self.decoder, self.plan, self.sampling = decoder, plan, sampling
        self.sequence, self.noise = sequence, noise
        self.missing = plan.missing.to(sequence.device)
        self.columns = list(zip(sequence.unbind(2), self.missing.unbind(1), strict=True))
        # 0 as long as every logit is finite: zero times anything else is NaN, which stays.
        self.harm = torch.zeros((), device=sequence.device)

    def take(self, step: int) -> None:
        """Predict a step, draw its missing codes and write them."""
        logits = self.decoder.logits(self.sequence, step, self.plan.passes[step])
        codes = self.draw(logits, None if self.noise is None else self.noise.next())
        column, missing = self.columns[step]
        column.copy_(codes if self.plan.whole[step] else codes.where(missing, column))

    def draw(self, logits: Tensor, noise: Tensor | None) -> Tensor:
        """Choose int64 [B, K] from logits [B, K, N], and keep in mind whether they are finite."""
        self.harm.add_(logits.mul(0).sum())
        return self.sampling.choose(logits, noise)

    def check(self) -> None:
        """Refuse logits that were not finite; asked once, as the host has to wait for it.

        Raises:
            ValueError: if one was not.
        """
        if self.harm != 0:
            raise ValueError(
                "the language model gave logits that are not finite: check its weights for NaN, or "
                "run it in float32"
            )


def frame_readers(pattern: Pattern, sequence: Tensor, *, num_frames: int) -> Sequence[Tensor]:
    """Return for every frame where its codes are in ``sequence.flatten(1)``: int64 [K] each."""
    indices = frame_indices(pattern, num_frames=num_frames, num_steps=sequence.shape[2])
    return indices.to(sequence.device).unbind(0)
