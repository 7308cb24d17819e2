"""What transformers makes of an export, by its own class."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiogen.certificate.witness import SCALE, CertificateError, Witness, count_frames
from audiogen.lm.guidance import guide
from audiogen.released.export import Parts
from audiogen.text.pretrained import quiet

TIE = 1e-3  # of the logits: two codes as likely as each other, for which rounding decides
NEAR = 1e-3  # of full scale: sound by another order of the same sums


def reread_musicgen(
    model: Parts, witness: Witness, *, frames: int
) -> Callable[[Path], tuple[Witness, str | None]]:
    """Return what reads an export by `MusicgenForConditionalGeneration`, greedily.

    Its sampling draws other numbers, so that sampled codes cannot be compared. Where two codes are
    as likely as each other, rounding decides: that is allowed, and said.

    Raises:
        CertificateError: by that function, if a tensor is missing or the sound differs.
    """

    def read(path: Path) -> tuple[Witness, str | None]:
        codes, sound = _generate(path, witness.prompts, count_frames(model, frames))
        wanted = witness.values["greedy"]
        found = Witness(measure=witness.measure, prompts=witness.prompts, values={"greedy": codes})
        remark = None
        if not torch.equal(codes, wanted) and _tied(model, witness.prompts, wanted, codes):
            remark = "greedy codes part where two are equally likely"
        device = model.lm.head.weight.device
        with torch.no_grad():
            ours = torch.cat([model.codec.decode(one[None].to(device)).cpu() for one in codes])
        worst = float((sound - ours).abs().max() / ours.abs().max().clamp(min=1.0))
        if not worst <= NEAR:
            raise CertificateError(
                f"the sound of transformers differs by {worst:.2g} of full scale from ours of the "
                "same codes: nothing is written. Is this a version that was tried, 5.23?"
            )
        return found, remark

    return read


def _generate(folder: Path, prompts: Sequence[str | None], frames: int) -> tuple[Tensor, Tensor]:
    """Return int64 [P, K, T] and float [P, C, samples]."""
    import transformers

    with quiet():
        processor = transformers.AutoProcessor.from_pretrained(folder, local_files_only=True)
        make: Any = transformers.MusicgenForConditionalGeneration.from_pretrained
        model, report = make(folder, local_files_only=True, output_loading_info=True)
        wrong = [name for names in report.values() for name in names]
        if wrong:
            raise CertificateError(f"transformers does not find its place for {wrong[0]}")
        model.eval()
        captions = [prompt for prompt in prompts if prompt]
        results = [_ask(model, model.get_unconditional_inputs(num_samples=1), frames)]
        if captions:
            inputs = dict(processor(text=captions, padding=True, return_tensors="pt"))
            results.append(_ask(model, inputs | {"guidance_scale": SCALE}, frames))
    codes, sound = zip(*results, strict=True)
    return torch.cat(codes), torch.cat(sound)


@torch.no_grad()
def _ask(model: Any, inputs: Any, frames: int) -> tuple[Tensor, Tensor]:
    """Generate greedily; the codes are what its codec is asked to decode."""
    decode, seen = model.audio_encoder.decode, []

    def noting(codes: Tensor, **keywords: Any) -> Any:
        seen.append(codes[0])
        return decode(codes, **keywords)

    model.audio_encoder.decode = noting
    try:
        steps = frames + model.decoder.num_codebooks - 1
        sound = model.generate(**inputs, do_sample=False, max_new_tokens=steps)
    finally:
        del model.audio_encoder.decode
    return seen[0], sound


@torch.no_grad()
def _tied(model: Parts, prompts: Sequence[str | None], mine: Tensor, theirs: Tensor) -> bool:
    """Tell whether codes [P, K, T] first part where both choices are as likely as each other."""
    if mine.shape != theirs.shape:
        return False
    lm, device = model.lm, model.lm.head.weight.device
    states, mask = model.text.encode(prompts)
    mask = mask.to(device)
    text = lm.project_text(states.to(device), mask)
    given, _ = lm.predict(mine.to(device), text, mask, complete=True)
    missing, _ = lm.predict(mine.to(device), torch.zeros_like(text), None, complete=True)
    logits = guide(given, missing, scale=SCALE).cpu()
    steps = lm.pattern.steps(mine.shape[-1]).expand_as(mine)
    gaps = (logits.gather(-1, mine[..., None]) - logits.gather(-1, theirs[..., None])).abs()[..., 0]
    for item in range(len(mine)):
        parted = mine[item] != theirs[item]
        if not parted.any():
            continue
        first = steps[item] == steps[item][parted].min()
        if bool((gaps[item][first & parted] > TIE * logits[item].abs().max()).any()):
            return False
    return True
