"""Best of n: what a scorer says of the candidates of each caption, and the best of them."""

from collections.abc import Callable, Sequence

from torch import Tensor

from audiogen.generation.call import Call
from audiogen.generation.scorers import (
    Scorer,
    checked_scores,
    likelihood_gains,
    scorer_name,
)
from audiogen.lm.model import TokenLM
from audiogen.text.captions import Caption, attributes, check_captions

Scores = tuple[float, ...]  # of the candidates of one caption


def check_choice(captions: Sequence[Caption], scorer: str | Scorer) -> None:
    """Refuse, before the work, to let a scorer of ours judge sounds without a caption.

    Raises:
        ValueError: naming the caption that is none.
    """
    if not isinstance(scorer, str):
        return
    check_captions(captions)
    for index, caption in enumerate(captions):
        if not any((text or "").strip() for text in attributes(caption).values()):
            raise ValueError(
                f"caption {index} is none, and the scorer {scorer} says how well a sound fits its "
                "caption: give one, or leave best_of out"
            )


def candidate_scores(
    call: Call,
    codes: Tensor,
    *,
    lm: TokenLM,
    ask: Scorer | None,
    decode: Callable[[Tensor], Tensor],
    sample_rate: int,
) -> list[Scores]:
    """Score codes int64 [B * n, K, T], those of one caption side by side.

    Args:
        call: what was generated.
        codes: of all its rows.
        lm: what generated it.
        ask: the scorer; None is the likelihood.
        decode: codes [n, K, T] to float32 [n, C, T'].
        sample_rate: Hz.

    Raises:
        ValueError: if a scorer gives anything but a number for each.
    """
    n, name = call.settings.best_of, scorer_name(call.settings.scorer)
    starts = range(0, len(codes), n)
    if ask is None:
        states = call.states.repeat_interleave(n, dim=0)
        mask = None if call.mask is None else call.mask.repeat_interleave(n, dim=0)
        gains = likelihood_gains(lm, codes, states, mask, windows=call.windows())
        given: list[object] = [gains[start : start + n] for start in starts]
    else:
        given = [
            ask(decode(codes[start : start + n]), sample_rate, caption)
            for start, caption in zip(starts, call.captions, strict=True)
        ]
    return [checked_scores(values, count=n, name=name) for values in given]


def keep_best(codes: Tensor, scores: Sequence[Scores]) -> Tensor:
    """Keep of codes [B * n, K, T] the best of each n, the first of equals: [B, K, T]."""
    kept, start = [], 0
    for of_item in scores:
        kept.append(start + max(range(len(of_item)), key=of_item.__getitem__))
        start += len(of_item)
    return codes[kept]
