"""Sounds longer than a language model was trained on: windows that overlap in codes."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from audiogen.lm.generate import checked_prompt, generate_frames
from audiogen.lm.model import TokenLM


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
) -> Iterator[Tensor]:
    """Yield new frames, int64 [B, K] each, until there are ``num_frames``, the prompt included.

    The first window holds up to ``window`` frames. Each later one begins with the last
    ``window - stride`` frames so far as its prompt and adds up to ``stride`` more, so nothing has
    to be blended at a seam. All counts are whole frames, so any number can be asked for.

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

    Raises:
        ValueError: if the prompt leaves nothing to generate, or is not of codes all through.
    """
    if prompt.shape[-1] >= num_frames:
        raise ValueError(
            f"the prompt has {prompt.shape[-1]} frames and must be shorter than the {num_frames} "
            "asked for, which include it: ask for a longer duration, or cut the prompt"
        )
    codes = checked_prompt(lm, prompt, batch=len(text), num_frames=num_frames)
    while (done := codes.shape[-1]) < num_frames:
        start = 0 if done < window else done - (window - stride)
        frames = []
        for frame in generate_frames(
            lm,
            text,
            text_mask,
            num_frames=min(num_frames - start, window),
            generators=generators,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            guidance_scale=guidance_scale,
            prompt=codes[..., start:],
        ):
            frames.append(frame)
            yield frame
        codes = torch.cat([codes, torch.stack(frames, dim=-1)], dim=-1)
