"""Names of a codec's tensors: ours, the published ones, and those of transformers."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from audiogen.codec.conv import PaddedConv1d, PaddedConvTranspose1d
from audiogen.codec.fingerprint import TRAINING_NOTES
from audiogen.codec.model import Codec
from audiogen.model_folder.layout import CheckpointError
from audiogen.released.strict import check_finite, check_tensors

# How norms name their tensors: torch's parametrizations, and the hooks they came after.
LEGACY = {
    "parametrizations.weight.original0": "weight_g",
    "parametrizations.weight.original1": "weight_v",
    "parametrizations.weight.original": "weight_orig",
    "parametrizations.weight.0._u": "weight_u",
    "parametrizations.weight.0._v": "weight_v",
}
MANY = 512  # layers of one kind, which take seconds to build
TAIL = re.compile(r"parametrizations\.weight\.[\w.]+$")


def legacy_name(name: str) -> str:
    """Name a tensor of a norm as torch did before parametrizations; others keep their name.

    >>> legacy_name("layers.0.conv.parametrizations.weight.original1")
    'layers.0.conv.weight_v'
    """
    return TAIL.sub(lambda found: LEGACY.get(found.group(), found.group()), name)


def published_names(codec: Codec) -> dict[str, str]:
    """Map the name of every tensor in a published file to the name in ``codec``.

    A convolution sits in a wrapper beside its norm: ``layers.0.conv`` is ``model.0.conv.conv``,
    its group norm ``model.0.conv.norm``; of a transposed one, ``model.3.convtr.convtr``.
    """
    kinds = {
        name: "convtr" if isinstance(module, PaddedConvTranspose1d) else "conv"
        for name, module in codec.named_modules()
        if isinstance(module, PaddedConv1d | PaddedConvTranspose1d)
    }
    return {_published(name, kinds): name for name in model_tensors(codec)}


def _published(name: str, kinds: Mapping[str, str]) -> str:
    parts = name.split(".")
    owners = (".".join(parts[:i]) for i in range(1, len(parts)))
    owner = next((prefix for prefix in owners if prefix in kinds), None)
    if owner is not None:
        kind, rest = kinds[owner], name[len(owner) + 1 :]
        part, _, tail = rest.partition(".")
        name = f"{owner}.{kind}.{kind if part == 'conv' else part}.{tail}"
    name = re.sub(r"^(encoder|decoder)\.layers\.", r"\1.model.", name)
    name = re.sub(r"^quantizer\.codebooks\.(\d+)\.", r"quantizer.vq.layers.\1._codebook.", name)
    return legacy_name(name)


def transformers_names(codec: Codec) -> dict[str, str]:
    """Map the name of every tensor of an `EncodecModel` to the name in ``codec``."""
    pattern = re.compile(r"^quantizer\.codebooks\.(\d+)\.")
    return {
        legacy_name(pattern.sub(r"quantizer.layers.\1.codebook.", name)): name
        for name in model_tensors(codec)
    }


def model_tensors(codec: Codec) -> dict[str, Tensor]:
    """Tensors that decide what a codec computes, under our names, in their order."""
    return {k: v for k, v in codec.state_dict().items() if k not in TRAINING_NOTES}


def check_counts(keywords: Mapping[str, Any], state: Mapping[str, Tensor], *, source: Path) -> None:
    """Refuse a codec of more parts than there are tensors, before hours are spent building it.

    Raises:
        CheckpointError: naming the count.
    """
    halves = [keywords.get(f"{half}_overrides") or {} for half in ("encoder", "decoder")]
    for each in (keywords, *halves):
        for name in ("num_codebooks", "lstm_layers", "num_residual_layers"):
            count = each.get(name)
            if isinstance(count, int) and count > max(MANY, len(state)):
                raise CheckpointError(
                    f"{source} holds {len(state)} tensors, and its configuration describes a codec "
                    f"with {name} {count}: they are of two models, or damaged; get both again"
                )


def load_named(
    codec: Codec, state: Mapping[str, Tensor], names: Mapping[str, str], *, source: Path
) -> None:
    """Put tensors of any float type into a codec as float32; every difference is listed at once.

    Args:
        codec: whose tensors are overwritten.
        state: name in the file -> tensor.
        names: name in the file -> name in ``codec``, of all that must be there.
        source: the file.

    Raises:
        CheckpointError: naming missing, unexpected and mis-shaped keys, and those that hold no
            floating point numbers or numbers that are not finite.
    """
    given = {legacy_name(name): value for name, value in state.items()}
    own = codec.state_dict()
    wanted = {name: own[ours].shape for name, ours in names.items()}
    check_tensors(given, wanted, source=source, what="codec")
    # Strictness is checked above; the call would refuse the training notes that no file has. It
    # copies from the mapped file to where the codec keeps its tensors, which `own` shares.
    codec.load_state_dict({ours: given[name] for name, ours in names.items()}, strict=False)
    check_finite({name: own[ours] for name, ours in names.items()}, source=source, what="codec")
