"""Names of a language model's tensors: ours, and the published ones.

Published files have one tensor per codebook where `TokenLM` has one for all: row blocks of the
embedding and of the head. Everything else is a tensor of another name.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from audiogen.lm.model import TokenLM

TEXT = "condition_provider.conditioners.description.output_proj"
# Part of a block, published -> ours, in the order of published files.
PARTS = {
    "self_attn.in_proj_weight": "self_attention.in_proj.weight",
    "self_attn.in_proj_bias": "self_attention.in_proj.bias",
    "self_attn.out_proj.weight": "self_attention.out_proj.weight",
    "self_attn.out_proj.bias": "self_attention.out_proj.bias",
    "linear1.weight": "mlp_in.weight",
    "linear1.bias": "mlp_in.bias",
    "linear2.weight": "mlp_out.weight",
    "linear2.bias": "mlp_out.bias",
    "norm1.weight": "norm_self.weight",
    "norm1.bias": "norm_self.bias",
    "norm2.weight": "norm_mlp.weight",
    "norm2.bias": "norm_mlp.bias",
    "layer_scale_1.scale": "scale_self.scale",
    "layer_scale_2.scale": "scale_mlp.scale",
    "cross_attention.in_proj_weight": "cross_attention.in_proj.weight",
    "cross_attention.in_proj_bias": "cross_attention.in_proj.bias",
    "cross_attention.out_proj.weight": "cross_attention.out_proj.weight",
    "cross_attention.out_proj.bias": "cross_attention.out_proj.bias",
    "norm_cross.weight": "norm_cross.weight",
    "norm_cross.bias": "norm_cross.bias",
    "layer_scale_cross.scale": "scale_cross.scale",
}
EXTRA_LEVEL = re.compile(r"\.(self_attn|cross_attention)\.mha\.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a published tensor lies: a tensor of ours, or rows of it."""

    name: str
    rows: slice

    def of(self, tensor: Tensor) -> Tensor:
        """Return the view of ``tensor`` that the published one fills."""
        return tensor[self.rows]


def published_places(lm: TokenLM) -> dict[str, Place]:
    """Map every published name to its place in ``lm``, in the order of published files."""
    own = set(lm.state_dict())
    whole = {f"{TEXT}.{part}": f"text_projection.{part}" for part in ("weight", "bias")}
    places = {theirs: Place(name=ours, rows=slice(None)) for theirs, ours in whole.items()}
    places |= _per_codebook(lm, "emb", "embedding", lm.codebook_size + 1)
    for i in range(len(lm.layers)):
        for theirs, ours in PARTS.items():
            name = f"blocks.{i}.{ours}"
            places[f"transformer.layers.{i}.{theirs}"] = Place(name=name, rows=slice(None))
    for part in ("weight", "bias"):
        places[f"out_norm.{part}"] = Place(name=f"norm.{part}", rows=slice(None))
    places |= _per_codebook(lm, "linears", "head", lm.codebook_size)
    there = {theirs: place for theirs, place in places.items() if place.name in own}
    assert {place.name for place in there.values()} == own
    return there


def _per_codebook(lm: TokenLM, theirs: str, ours: str, rows: int) -> dict[str, Place]:
    return {
        f"{theirs}.{k}.{part}": Place(name=f"{ours}.{part}", rows=slice(k * rows, (k + 1) * rows))
        for k in range(lm.num_codebooks)
        for part in ("weight", "bias")
    }


def plain_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Leave out the level ``.mha.``, under which models with torch's own attention keep theirs.

    A tensor that is there under both names keeps its longer one, which nothing asks for.
    """
    short = {name: EXTRA_LEVEL.sub(r".\1.", name) for name in state}
    return {
        name if short[name] != name and short[name] in state else short[name]: value
        for name, value in state.items()
    }
