"""The autoregressive loop: text and an optional prompt -> codes [B, K, T]."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from audiogen.lm.checks import check_text
from audiogen.lm.decoding import StepDecoder
from audiogen.lm.guidance import check_guidance, guide
from audiogen.lm.model import TokenLM
from audiogen.lm.sampling import check_sampling, sample_codes
from audiogen.tokens.patterns import build_sequence


def generate_codes(
    lm: TokenLM,
    text: Tensor,
    text_mask: Tensor | None,
    *,
    num_frames: int,
    generators: Sequence[torch.Generator] | None,
    temperature: float = 1.0,
    top_k: int = 250,
    top_p: float = 0.0,
    guidance_scale: float = 3.0,
    prompt: Tensor | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Generate codes for B captions at once; no item depends on the others.

    Args:
        lm: in evaluation mode.
        text: float [B, L, D], projected (`TokenLM.project_text`).
        text_mask: bool [B, L], true where text may be attended to; None attends everywhere.
        num_frames: T, frames of the result, the prompt's included.
        generators: one source of randomness per item; None is greedy.
        temperature: as in `audiogen.lm.sampling.sample_codes`, as are ``top_k`` and ``top_p``.
        top_k: most likely codes drawn from.
        top_p: share of the probability drawn from; 0 turns it off.
        guidance_scale: how far to extrapolate away from no caption; 1 is no guidance, which
            halves the rows to compute.
        prompt: int64 [B, K, P] codes to continue, P < T; None for none.
        progress: called with the frames done and the frames to do, prompt excluded.

    Returns:
        int64 [B, K, T], beginning with the prompt.

    Raises:
        ValueError: if an argument does not fit, or a logit is not finite.
    """
    prompt = checked_prompt(lm, prompt, batch=len(text), num_frames=num_frames)
    frames = list(prompt.unbind(dim=-1))
    total = num_frames - len(frames)
    for frame in generate_frames(
        lm,
        text,
        text_mask,
        num_frames=num_frames,
        generators=generators,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        guidance_scale=guidance_scale,
        prompt=prompt,
    ):
        frames.append(frame)
        if progress is not None:
            progress(len(frames) - prompt.shape[-1], total)
    return torch.stack(frames, dim=-1)


@torch.no_grad()
def generate_frames(
    lm: TokenLM,
    text: Tensor,
    text_mask: Tensor | None,
    *,
    num_frames: int,
    generators: Sequence[torch.Generator] | None,
    temperature: float = 1.0,
    top_k: int = 250,
    top_p: float = 0.0,
    guidance_scale: float = 3.0,
    prompt: Tensor | None = None,
) -> Iterator[Tensor]:
    """Do what `generate_codes` does, and yield each new frame, int64 [B, K], once it is complete.

    A frame is complete when its last code was drawn, and comes when those before it are complete
    too: with delays, ``max(delays)`` steps after its first code; with "coarse_first", when most of
    the work is done.
    """
    check_text(text, text_mask, batch=len(text), dim=lm.dim)
    _check_call(lm, text, generators)
    check_sampling(temperature=temperature, top_k=top_k, top_p=top_p)
    check_guidance(guidance_scale)
    prompt = checked_prompt(lm, prompt, batch=len(text), num_frames=num_frames)
    held = lm.pattern.steps(num_frames).T.tolist()  # T times the K steps of a frame
    layout = lm.pattern.layout(num_frames)
    missing = layout >= prompt.shape[-1]
    steps = missing.any(dim=0).nonzero().flatten().tolist()
    missing = missing.to(text.device)
    sequence = _prompted_sequence(lm, prompt, layout)
    decoder = StepDecoder(
        lm,
        text=text,
        text_mask=text_mask,
        rows=len(text) * (1 if guidance_scale == 1 else 2),
        max_steps=steps[-1],
    )
    finite = torch.ones((), dtype=torch.bool, device=text.device)
    frame = prompt.shape[-1]  # the next to be yielded
    for step in steps:
        logits = _next_logits(decoder, sequence[:, :, decoder.position : step], guidance_scale)
        finite &= logits.isfinite().all()
        codes = sample_codes(
            logits, generators=generators, temperature=temperature, top_k=top_k, top_p=top_p
        )
        sequence[:, :, step] = codes.where(missing[:, step], sequence[:, :, step])
        while frame < num_frames and max(held[frame]) <= step:
            yield torch.stack([sequence[:, k, s] for k, s in enumerate(held[frame])], dim=1)
            frame += 1
    if not finite:  # asked once, as asking makes the host wait for an accelerator
        raise ValueError(
            "the language model gave logits that are not finite: check its weights for NaN, or "
            "run it in float32"
        )


def _next_logits(decoder: StepDecoder, sequence: Tensor, guidance_scale: float) -> Tensor:
    """Read int64 [B, K, s]; return guided float32 logits [B, K, N]."""
    if guidance_scale == 1:
        return decoder.advance(sequence)
    conditional, unconditional = decoder.advance(sequence.repeat(2, 1, 1)).chunk(2)
    return guide(conditional, unconditional, scale=guidance_scale)


def _prompted_sequence(lm: TokenLM, prompt: Tensor, layout: Tensor) -> Tensor:
    """Lay out the prompt, int64 [B, K, P], with the special token wherever a code is missing."""
    num_missing = int(layout.max()) + 1 - prompt.shape[-1]
    codes = torch.nn.functional.pad(prompt, (0, num_missing), value=lm.special_token)
    return build_sequence(codes, layout, fill=lm.special_token)


def _check_call(lm: TokenLM, text: Tensor, generators: Sequence[torch.Generator] | None) -> None:
    if lm.training:
        raise ValueError("the language model is in training mode, with dropout: call lm.eval()")
    if not len(text):
        raise ValueError("there is no caption to generate for: give at least one, or None for none")
    if generators is not None and len(generators) != len(text):
        raise ValueError(
            f"expected one generator per caption: {len(text)} captions, "
            f"got {len(generators)} generators"
        )


def checked_prompt(lm: TokenLM, prompt: Tensor | None, *, batch: int, num_frames: int) -> Tensor:
    """Return the prompt as int64 [B, K, P] on the model's device, P = 0 where there is none."""
    if not isinstance(num_frames, int) or num_frames < 1:
        raise ValueError(f"expected a whole number num_frames of at least 1, got {num_frames!r}")
    device = lm.embedding.weight.device
    if prompt is None:
        return torch.empty(batch, lm.num_codebooks, 0, dtype=torch.long, device=device)
    if prompt.ndim != 3 or prompt.shape[:2] != (batch, lm.num_codebooks):
        raise ValueError(
            f"expected prompt codes [{batch}, {lm.num_codebooks}, P], "
            f"got shape {list(prompt.shape)}"
        )
    if prompt.shape[-1] >= num_frames:
        raise ValueError(
            f"the prompt has {prompt.shape[-1]} frames and must be shorter than the {num_frames} "
            f"to generate: ask for more, or cut the prompt"
        )
    if prompt.is_floating_point() or prompt.dtype == torch.bool:
        raise ValueError(f"prompt codes must be whole numbers, got {prompt.dtype}")
    if prompt.numel() and not 0 <= int(prompt.min()) <= int(prompt.max()) < lm.codebook_size:
        raise ValueError(
            f"prompt codes must be in [0, {lm.codebook_size}), "
            f"got {int(prompt.min())} to {int(prompt.max())}: were they made by another codec?"
        )
    return prompt.to(device, torch.long)
