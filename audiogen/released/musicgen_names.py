"""Names of tensors of `MusicgenForConditionalGeneration` -> places in our parts.

Transformers has one tensor per codebook, and one each for queries, keys and values, where `TokenLM`
has one for all: row blocks. The rest is a tensor of another name.
"""

import re

from torch import Tensor

from audiogen.codec.model import Codec
from audiogen.lm.model import TokenLM
from audiogen.released.lm_names import Place
from audiogen.released.names import model_tensors

TEXT, CODEC, DECODER = "text_encoder.", "audio_encoder.", "decoder.model.decoder."
PROJECTION = "enc_to_dec_proj"
ATTENTIONS = {"self_attn": "self_attention", "encoder_attn": "cross_attention"}
PARTS = {  # of a block, theirs -> ours
    "fc1": "mlp_in",
    "fc2": "mlp_out",
    "self_attn_layer_norm": "norm_self",
    "encoder_attn_layer_norm": "norm_cross",
    "final_layer_norm": "norm_mlp",
}
CODEBOOK = re.compile(r"^quantizer\.codebooks\.(\d+)\.")
WHOLE = slice(None)


def lm_places(lm: TokenLM) -> dict[str, Place]:
    """Map the name of every tensor of the decoder, and of the text projection, to its place.

    Where text and decoder are equally wide, transformers has no projection, and none is named.
    """
    own = set(lm.state_dict())
    places: dict[str, Place] = {}
    if lm.config["text_dim"] != lm.dim:
        for part in ("weight", "bias"):
            places[f"{PROJECTION}.{part}"] = Place(name=f"text_projection.{part}", rows=WHOLE)
    for i in range(len(lm.layers)):
        places |= _block_places(lm.dim, f"{DECODER}layers.{i}.", f"blocks.{i}.")
    for part in ("weight", "bias"):
        places[f"{DECODER}layer_norm.{part}"] = Place(name=f"norm.{part}", rows=WHOLE)
    for k in range(lm.num_codebooks):
        entries = Place(name="embedding.weight", rows=_rows(k, lm.codebook_size + 1))
        places[f"{DECODER}embed_tokens.{k}.weight"] = entries
        head = Place(name="head.weight", rows=_rows(k, lm.codebook_size))
        places[f"decoder.lm_heads.{k}.weight"] = head
    return {theirs: place for theirs, place in places.items() if place.name in own}


def _block_places(dim: int, theirs: str, ours: str) -> dict[str, Place]:
    places = {}
    for their_attention, our_attention in ATTENTIONS.items():
        for index, letter in enumerate("qkv"):
            place = Place(name=f"{ours}{our_attention}.in_proj.weight", rows=_rows(index, dim))
            places[f"{theirs}{their_attention}.{letter}_proj.weight"] = place
        out = Place(name=f"{ours}{our_attention}.out_proj.weight", rows=WHOLE)
        places[f"{theirs}{their_attention}.out_proj.weight"] = out
    for their_part, our_part in PARTS.items():
        for part in ("weight", "bias"):
            place = Place(name=f"{ours}{our_part}.{part}", rows=WHOLE)
            places[f"{theirs}{their_part}.{part}"] = place
    return places


def _rows(index: int, count: int) -> slice:
    return slice(index * count, (index + 1) * count)


def codec_tensors(codec: Codec) -> dict[str, Tensor]:
    """Return the tensors of a codec under the names of an `EncodecModel` inside of a MusicGen."""
    return {
        CODEC + CODEBOOK.sub(r"quantizer.layers.\1.codebook.", name): value
        for name, value in model_tensors(codec).items()
    }
