"""Sounds longer than a language model was trained on: windows that overlap in codes."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from audiogen.lm.generate import checked_prompt, generate_frames
from audiogen.lm.graphs import Graphs, choose_graphs
from audiogen.lm.model import TokenLM


class Window(NamedTuple):
    """What the language model reads at once, as frames of the whole sound."""

    start: int
    done: int  # from here on frames are new; those before are the window's prompt
    end: int


def plan_windows(*, num_frames: int, window: int, stride: int, given: int = 0) -> Iterator[Window]:
    """Lay out windows until there are ``num_frames``, the ``given`` ones of a prompt included.

    The first holds up to ``window`` frames. Each later one begins ``stride`` frames behind the one
    before and so has the last ``window - stride`` frames as its prompt; so has the first, where
    the prompt fills a window.

    >>> list(plan_windows(num_frames=24, window=20, stride=3))  # doctest: +NORMALIZE_WHITESPACE
    [Window(start=0, done=0, end=20), Window(start=3, done=20, end=23),
     Window(start=6, done=23, end=24)]
    """
    start, done = (0 if given < window else given - (window - stride)), given
    while done < num_frames:
        end = min(start + window, num_frames)
        yield Window(start, done, end)
        start, done = start + stride, end


def whole_prompt(lm: TokenLM, prompt: Tensor, *, batch: int, num_frames: int) -> Tensor:
    """Return a prompt as int64 [B, K, P] on the model's device.

    Raises:
        ValueError: if it leaves nothing to generate, or is not of codes all through.
    """
    if prompt.ndim == 3 and prompt.shape[-1] >= num_frames:
        raise ValueError(
            f"the prompt has {prompt.shape[-1]} frames and must be shorter than the {num_frames} "
            "asked for, which include it: ask for a longer duration, or cut the prompt"
        )
    return checked_prompt(lm, prompt, batch=batch, num_frames=num_frames)


def generate_windows(
    lm: TokenLM,
    text: Tensor,
    text_mask: Tensor | None,
    *,
    num_frames: int,
    window: int,
    stride: int,
    prompt: Tensor,
    generators: Sequence[torch.Generator] | None,
    temperature: float,
    top_k: int,
    top_p: float,
    guidance_scale: float,
    guidance_frames: tuple[int, int] | None = None,
    two_step: bool = False,
    plan: Iterable[Window] | None = None,
    graphs: Graphs | None = None,
) -> Iterator[Tensor]:
    """Yield new frames, int64 [B, K] each, until there are ``num_frames``, the prompt included.

    The windows are those of `plan_windows`, so nothing has to be blended at a seam. All counts are
    whole frames, so any number can be asked for; of those made, no more than a window is kept.

    Args:
        lm: in evaluation mode.
        text: float [B, L, D], projected; the same for every window.
        text_mask: as in `audiogen.lm.generate.generate_frames`, as is all that is not named here.
        num_frames: frames in the end.
        window: the most frames the language model reads at once.
        stride: frames added per window after the first, 1 to ``window - 1``.
        prompt: int64 [B, K, P], P from 0 to ``num_frames - 1``; longer than a window is fine.
        generators: one per item, drawn from through all windows; None is greedy.
        temperature: of the draws.
        top_k: most likely codes drawn from.
        top_p: share of the probability drawn from.
        guidance_scale: 1 is no guidance.
        guidance_frames: frames [first, last) of the whole sound that are guided; None for all.
        two_step: the passes with and without caption one after the other.
        plan: other windows than those of `plan_windows`.
        graphs: captured steps of an earlier call; None captures once for all windows, where
            `audiogen.lm.graphs.choose_graphs` thinks that it pays.

    Raises:
        ValueError: if the prompt leaves nothing to generate, or is not of codes all through.
    """
    codes = whole_prompt(lm, prompt, batch=len(text), num_frames=num_frames)
    given, graphs = codes.shape[-1], graphs or choose_graphs(None, lm, text.device)
    if plan is None:
        plan = plan_windows(num_frames=num_frames, window=window, stride=stride, given=given)
    for start, done, end in plan:
        frames = []
        codes = codes[..., codes.shape[-1] - (done - start) :]
        for frame in generate_frames(
            lm,
            text,
            text_mask,
            num_frames=end - start,
            generators=generators,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            guidance_scale=guidance_scale,
            guidance_frames=_within(guidance_frames, start, end),
            two_step=two_step,
            prompt=codes,
            graphs=False if graphs is None else graphs,
        ):
            frames.append(frame)
            yield frame
        codes = torch.cat([codes, torch.stack(frames, dim=-1)], dim=-1)


def _within(frames: tuple[int, int] | None, start: int, end: int) -> tuple[int, int] | None:
    """Return which frames of a window are guided, counted from its own first."""
    if frames is None:
        return None
    first, last = (min(max(frame - start, 0), end - start) for frame in frames)
    return None if (first, last) == (0, end - start) else (first, last)
