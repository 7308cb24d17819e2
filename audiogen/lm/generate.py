"""The autoregressive loop: text and an optional prompt -> codes [B, K, T]."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from audiogen.lm.checks import check_text
from audiogen.lm.graphs import Call, Graphs, choose_graphs
from audiogen.lm.guidance import Guidance
from audiogen.lm.model import TokenLM
from audiogen.lm.noise import Noise
from audiogen.lm.plan import Plan
from audiogen.lm.sampling import Sampling
from audiogen.lm.step import frame_readers
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
    guidance_frames: tuple[int, int] | None = None,
    two_step: bool = False,
    prompt: Tensor | None = None,
    graphs: Graphs | bool | None = None,
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
        guidance_scale: how far to extrapolate away from no caption: u + scale * (c - u). 1 is no
            guidance and 0 no caption, both of which halve the rows to compute; a negative scale
            draws away from the caption.
        guidance_frames: the first frame that is guided and the first that is no more, counted
            from 0 with the prompt's; outside scale 1 holds. What counts is the frame of a step's
            first codebook, so delayed codebooks follow it. None guides all frames.
        two_step: compute with and without caption one after the other, which halves the rows of a
            step and reads all weights twice. The codes are the same but for float noise: no
            caption contributes the same whatever it is padded to. What noise does to a fast model
            on several threads is said in `audiogen.lm.fast`.
        prompt: int64 [B, K, P] codes to continue, P < T; None for none.
        graphs: capture steps as CUDA graphs: None where it pays (see `choose_graphs`), true or
            false; a `Graphs` keeps them for later calls.
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
        guidance_frames=guidance_frames,
        two_step=two_step,
        prompt=prompt,
        graphs=graphs,
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
    guidance_frames: tuple[int, int] | None = None,
    two_step: bool = False,
    prompt: Tensor | None = None,
    graphs: Graphs | bool | None = None,
) -> Iterator[Tensor]:
    """Do what `generate_codes` does, and yield each new frame, int64 [B, K], once it is complete.

    A frame is complete when its last code was drawn, and comes when those before it are complete
    too: with delays, ``max(delays)`` steps after its first code; with "coarse_first", when most of
    the work is done.
    """
    check_text(text, text_mask, batch=len(text), dim=lm.dim)
    _check_call(lm, text, generators)
    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p)
    guidance = Guidance(scale=guidance_scale, frames=guidance_frames, two_step=two_step)
    prompt = checked_prompt(lm, prompt, batch=len(text), num_frames=num_frames)
    chosen = choose_graphs(graphs, lm, text.device)
    given = prompt.shape[-1]
    plan = Plan.of(lm.pattern, num_frames=num_frames, prompt_frames=given, guidance=guidance)
    call = Call(
        lm=lm,
        text=text,
        text_mask=text_mask,
        plan=plan,
        guidance=guidance,
        sampling=sampling,
        sequence=_prompted_sequence(lm, prompt, plan.layout),
        noise=_noise(lm, generators, sampling, plan, device=text.device),
    )
    steps = call.eager_steps() if chosen is None else chosen.steps(call)
    readers = frame_readers(lm.pattern, steps.sequence, num_frames=num_frames)
    frame = given  # the next to be yielded
    for step in plan.steps:
        steps.take(step)
        while frame < num_frames and plan.complete[frame] <= step:
            yield steps.sequence.flatten(1).index_select(1, readers[frame])
            frame += 1
    steps.check()


def _noise(
    lm: TokenLM,
    generators: Sequence[torch.Generator] | None,
    sampling: Sampling,
    plan: Plan,
    *,
    device: torch.device,
) -> Noise | None:
    """Return the draws of a call, None where it is greedy."""
    if generators is None or sampling.temperature == 0:
        return None
    shape = (lm.num_codebooks, lm.codebook_size)
    return Noise(generators, shape=shape, steps=len(plan.steps), device=device)


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
