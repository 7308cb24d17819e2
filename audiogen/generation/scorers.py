"""Which of several sounds made for one caption is kept: scorers, each with a name.

| name | score |
|---|---|
| ``likelihood`` | gain in log-likelihood of the codes by their caption, nats per code |
| ``clap:FOLDER_OR_ID`` | cosine of sound and caption in a CLAP of transformers that you have |
| a function | of (waveforms float32 [n, C, T], sample rate, caption), n numbers, more is better |

The likelihood is the language model's own opinion and needs nothing else; it knows what the model
knows. A CLAP that is also used to judge the sounds has been asked before: say so beside its score.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from audiogen.generation.windows import Window
from audiogen.lm.model import TokenLM
from audiogen.text.captions import Caption

if TYPE_CHECKING:
    from audiogen.generation.clap_score import ClapScore

Scorer = Callable[[Tensor, int, Caption], Sequence[float] | Tensor]

LIKELIHOOD = "likelihood"
CLAP = "clap"
LOGITS = 1 << 26  # logits held at once: 256 MiB of float32


def check_scorer(scorer: object) -> None:
    """Refuse what is neither a known name nor a function.

    Raises:
        ValueError: saying what is known.
    """
    if callable(scorer) or scorer == LIKELIHOOD:
        return
    if isinstance(scorer, str) and scorer.startswith(f"{CLAP}:") and scorer != f"{CLAP}:":
        return
    if scorer in (CLAP, f"{CLAP}:"):
        raise ValueError(
            "the scorer clap needs weights of yours: name a folder or hub id of a ClapModel, such "
            'as "clap:laion/clap-htsat-unfused"'
        )
    raise ValueError(
        f'scorer is "{LIKELIHOOD}", "{CLAP}:FOLDER_OR_ID" or a function of (waveforms, sample '
        f"rate, caption), got {scorer!r}"
    )


def scorer_name(scorer: str | Scorer) -> str:
    """Return what a scorer is called in a result.

    >>> scorer_name("likelihood"), scorer_name(max)
    ('likelihood', 'max')
    """
    if isinstance(scorer, str):
        return scorer
    name = getattr(scorer, "name", None) or getattr(scorer, "__name__", None)
    return str(name or type(scorer).__name__)


def clap_of(scorer: str) -> "ClapScore":
    """Load the CLAP that a name such as "clap:FOLDER" names.

    Raises:
        TextEncoderError: if it cannot be read.
    """
    from audiogen.generation.clap_score import ClapScore  # only who asks for it pays for it

    return ClapScore(name=scorer.removeprefix(f"{CLAP}:"))


@torch.no_grad()
def likelihood_gains(
    lm: TokenLM, codes: Tensor, text: Tensor, mask: Tensor | None, *, windows: Iterable[Window]
) -> list[float]:
    """Return how much more likely their caption makes codes: nats per code, one per row.

    The mean, over all codes of new frames, of log p(code | before, caption) - log p(code |
    before), each read in the window it was generated in. Temperature, top-k and guidance play no
    part.

    Args:
        lm: in evaluation mode.
        codes: int64 [R, K, T].
        text: float [R, L, D], projected.
        mask: bool [R, L], or None to attend to every position.
        windows: see `audiogen.generation.windows.plan_windows`.
    """
    none = torch.zeros(text.shape[:2], dtype=torch.bool, device=text.device)
    gains = torch.zeros(len(codes), dtype=torch.float64)
    count = 0
    for start, done, end in windows:
        seen = codes[..., start:end]
        rows = max(1, LOGITS // (seen[0].numel() * lm.codebook_size))
        for at in range(0, len(codes), rows):
            part = slice(at, at + rows)
            given = None if mask is None else mask[part]
            with_text = _log_likelihood(lm, seen[part], text[part], given, done - start)
            without = _log_likelihood(lm, seen[part], text[part], none[part], done - start)
            gains[part] += (with_text - without).cpu()
        count += codes.shape[1] * (end - done)
    return [float(gain) for gain in gains / count]


def _log_likelihood(
    lm: TokenLM, codes: Tensor, text: Tensor, mask: Tensor | None, first: int
) -> Tensor:
    """Sum log p of codes int64 [R, K, T] from frame ``first`` on: float64 [R]."""
    logits, _ = lm.predict(codes, text, mask, complete=True)
    likely = torch.log_softmax(logits[:, :, first:].float(), dim=-1)
    return likely.gather(-1, codes[:, :, first:, None]).double().sum(dim=(1, 2, 3))


def checked_scores(scores: object, *, count: int, name: str) -> tuple[float, ...]:
    """Return what a scorer gave as numbers.

    Raises:
        ValueError: if they are not ``count`` numbers, or one is NaN.
    """
    try:
        values = tuple(float(score) for score in scores)  # type: ignore[attr-defined]
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"scorer {name} must give {count} numbers, got {type(scores).__name__}: {error}"
        ) from error
    if len(values) != count or any(map(math.isnan, values)):
        raise ValueError(f"scorer {name} must give {count} numbers, none NaN, got {values}")
    return values
