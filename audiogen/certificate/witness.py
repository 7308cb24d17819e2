"""What weights give: codes of fixed prompts and seed, codes and sound of a fixed sound."""

import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from audiogen.codec.model import Codec
from audiogen.lm.generate import generate_codes
from audiogen.lm.model import TokenLM
from audiogen.released.export import Parts
from audiogen.rng import derive_seed, item_generator
from audiogen.text import TextEncoder

FRAMES = 8  # of each prompt: some seconds of a CPU for 2 billion weights
SEED = 2036
SCALE = 3.0
TOP_K = 250
PROMPTS: Sequence[str | None] = (
    None,
    "a dog barks twice",
    "rain falls on a tin roof while a car passes by",
)


class CertificateError(ValueError):
    """An export that is not what it was made of; nothing is written."""


@dataclass(frozen=True, kw_only=True)
class Witness:
    """What weights gave, by what was asked: "greedy", "sampled", "codes", "sound"."""

    measure: str  # in words
    prompts: Sequence[str | None]
    values: Mapping[str, Tensor]

    def hashes(self) -> dict[str, str]:
        """Return the sha256 of each value, its shape included."""
        return {name: _hash(value) for name, value in self.values.items()}

    def difference(self, other: "Witness") -> str | None:
        """Say which share of what both gave differs; None if it is equal."""
        shares = {}
        for name in self.values.keys() & other.values.keys():
            mine, theirs = self.values[name], other.values[name]
            same = mine.shape == theirs.shape
            shares[name] = float((mine != theirs).float().mean()) if same else 1.0
        found = [f"{share:.1%} of {name}" for name, share in sorted(shares.items()) if share]
        return " and ".join(found) or None


@dataclass(frozen=True, kw_only=True)
class Rounded:
    """The parts of a model, one of them in another precision."""

    text: TextEncoder
    lm: TokenLM
    codec: Codec
    max_duration: float


@torch.no_grad()
def witness_model(model: Parts, *, frames: int = FRAMES) -> Witness:
    """Generate greedy and sampled codes, int64 [P, K, T], of the fixed prompts.

    Where an outside text encoder is out of reach, the prompt is no caption alone.

    Raises:
        ValueError: if the model gives what is not finite.
    """
    prompts, states, mask = _encoded(model.text)
    lm = model.lm
    mask = mask.to(lm.head.weight.device)
    text = lm.project_text(states.to(lm.head.weight.device), mask)
    count = count_frames(model, frames)
    values = {}
    for name, device in (("greedy", None), ("sampled", text.device)):
        generators = device and [
            item_generator(seed=SEED, item=index, device=device) for index in range(len(prompts))
        ]
        codes = generate_codes(
            lm,
            text,
            mask,
            num_frames=count,
            generators=generators or None,
            top_k=min(TOP_K, lm.codebook_size),
            guidance_scale=SCALE,
        )
        values[name] = codes.cpu()
    measure = f"{count} frames of {len(prompts)} prompt(s), greedy and sampled"
    return Witness(measure=measure, prompts=prompts, values=values)


def witness_of(model: Parts | Codec, *, frames: int = FRAMES) -> Witness:
    """Do what `witness_codec` or `witness_model` does, whichever it is."""
    if isinstance(model, Codec):
        return witness_codec(model, frames=frames)
    return witness_model(model, frames=frames)


def rounded_to(model: Parts | Codec, dtype: torch.dtype) -> Parts | Codec:
    """Return a copy whose weights are rounded as an export does: a codec's, or the LM's."""
    if isinstance(model, Codec):
        return copy.deepcopy(model).to(dtype).float()
    lm = copy.deepcopy(model.lm).to(dtype).to(model.lm.head.weight.dtype)
    return Rounded(text=model.text, lm=lm, codec=model.codec, max_duration=model.max_duration)


def count_frames(model: Parts, frames: int) -> int:
    """Return how many frames are generated: enough for all codebooks, within one window."""
    window = max(1, round(model.max_duration * model.codec.frame_rate))
    return min(max(frames, model.lm.num_codebooks), window)


@torch.no_grad()
def witness_codec(codec: Codec, *, frames: int = FRAMES) -> Witness:
    """Encode and decode a fixed sound: a tone in noise."""
    device = codec.quantizer.codebooks[0].embed.device
    samples = codec.hop_length * frames
    generator = torch.Generator().manual_seed(derive_seed(SEED, "sound"))
    noise = torch.randn(1, codec.channels, samples, generator=generator)
    tone = torch.sin(torch.arange(samples) * 0.1)
    codes, scale = codec.encode((0.1 * noise + 0.3 * tone).to(device))
    values = {"codes": codes.cpu(), "sound": codec.decode(codes, scale).float().cpu()}
    return Witness(measure=f"{frames} frames of a fixed sound", prompts=(), values=values)


def _encoded(text: TextEncoder) -> tuple[Sequence[str | None], Tensor, Tensor]:
    if isinstance(text, nn.Module):
        text.eval()
    try:
        return PROMPTS, *text.encode(PROMPTS)
    except OSError:  # an encoder that is not here
        return (None,), *text.encode([None])


def _hash(value: Tensor) -> str:
    plain = value.contiguous().numpy()
    data = plain.astype(plain.dtype.newbyteorder("<")).tobytes()
    shape = np.array(plain.shape, dtype="<i8").tobytes()
    return hashlib.sha256(shape + data).hexdigest()
