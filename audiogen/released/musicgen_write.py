"""`AudioGen` -> a folder of `transformers.MusicgenForConditionalGeneration` with equal codes."""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiogen.files import given_path
from audiogen.model_folder.card import check_card, render_card
from audiogen.model_folder.layout import CheckpointError
from audiogen.model_folder.replace import replace_folder
from audiogen.model_folder.write import Check, write_tensors
from audiogen.released.export import Parts, card_of_parts
from audiogen.released.musicgen_config import (
    check_held,
    decoder_config,
    encodec_config,
    generation_config,
    t5_of,
)
from audiogen.released.musicgen_names import TEXT, codec_tensors, lm_places
from audiogen.released.strict import is_finite
from audiogen.text.pretrained import quiet
from audiogen.text.t5 import T5Encoder

TIED = "encoder.embed_tokens.weight"  # of a T5, which is its shared.weight
WEIGHTS = "model.safetensors"
OWN_FILES = (
    *("config.json", "generation_config.json", WEIGHTS, "README.md", "certificate.json"),
    *("processor_config.json", "preprocessor_config.json"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "spiece.model"),
)


def export_transformers(
    model: Parts,
    folder: str | Path,
    *,
    dtype: torch.dtype | None = None,
    card: Mapping[str, object] | None = None,
    check: Check | None = None,
) -> Path:
    """Write a folder that `MusicgenForConditionalGeneration` and `AutoProcessor` load.

    With ``do_sample=False`` it gives the codes of ``greedy=True`` here, captions padded to the
    longest or not: transformers masks the padding, as ``padding="own"`` does. An empty caption is
    read as text there, and as no caption here: leave it out there too, by
    ``model.get_unconditional_inputs``. T frames are ``max_new_tokens=T + K - 1``.

    Args:
        model: whose text encoder is a T5, in whole numbers of frames a delay per codebook, with
            all else that MusicGen is. Nothing is changed.
        folder: new, empty, or holding such an export.
        dtype: in which the language model is stored; None is float32. Transformers widens it, as
            config.json tells it to. T5 and codec are stored in float32.
        card: what is known of the model; None is its own card.
        check: called with the folder before it takes its place, returns facts for its card; if it
            raises, nothing is written.

    Returns:
        The folder.

    Raises:
        NotHeldError: if the class cannot hold the model; every key is named with its value.
        ValueError: if a weight is not finite in ``dtype``, or the folder holds something else.
        TextEncoderError: if the T5 encoder cannot be read.
    """
    folder = given_path(folder)
    check_held(model.text, model.lm, model.codec)
    check_musicgen_target(folder)
    t5 = t5_of(model.text)
    assert t5 is not None
    tensors = musicgen_tensors(model, t5, dtype or torch.float32)
    written = check_card(card_of_parts(model, card))
    with quiet(), replace_folder(folder, owned=OWN_FILES) as staging:
        config = _config(model, t5)
        _check_names(config, tensors)
        _write_json(config.to_dict(), staging / "config.json", **_architecture(config))
        write_tensors(tensors, staging / WEIGHTS, {"format": "pt"})
        _write_rest(model, t5, staging)
        checked = {} if check is None else check(staging)
        text = render_card(written, {**_facts(model), **checked}, kind="transformers")
        (staging / "README.md").write_text(text, encoding="utf-8")
    return folder


def musicgen_tensors(model: Parts, t5: T5Encoder, dtype: torch.dtype) -> dict[str, Tensor]:
    """Return all tensors under the names of transformers, on the CPU.

    Raises:
        ValueError: naming those that are not finite.
    """
    own = model.lm.state_dict()
    outer = t5.network.state_dict()
    lm = {name: place.of(own[place.name]).to(dtype) for name, place in lm_places(model.lm).items()}
    rest = codec_tensors(model.codec)
    rest |= {TEXT + name: value for name, value in outer.items() if name != TIED}
    found = {**lm, **{name: value.float() for name, value in rest.items()}}
    found = {name: value.detach().cpu().contiguous().clone() for name, value in found.items()}
    wrong = [name for name, value in found.items() if not is_finite(value)]
    if wrong:
        raise ValueError(
            f"{', '.join(wrong[:3])} is not finite in {dtype}: check the weights, or write them "
            "in float32 or bfloat16"
        )
    return found


def _config(model: Parts, t5: T5Encoder) -> Any:
    import transformers  # here, as it takes seconds and only this needs it

    text = t5.network.config.to_dict() | {"dtype": "float32"}
    text.pop("_name_or_path", None)  # a place on this disk
    return transformers.MusicgenConfig(
        text_encoder=text,
        audio_encoder={"model_type": "encodec", "dtype": "float32"} | encodec_config(model.codec),
        decoder={"model_type": "musicgen_decoder", "dtype": "float32"} | decoder_config(model.lm),
        dtype="float32",
    )


def _architecture(config: Any) -> dict[str, Any]:
    return {"architectures": ["MusicgenForConditionalGeneration"], "model_type": config.model_type}


def _check_names(config: Any, tensors: Mapping[str, Tensor]) -> None:
    """Compare names and shapes with those of the class, built without memory for its weights."""
    import transformers

    with torch.device("meta"):
        built = transformers.MusicgenForConditionalGeneration(copy.deepcopy(config))
    wanted = {k: v.shape for k, v in built.state_dict().items() if k != TEXT + TIED}
    found = {name: value.shape for name, value in tensors.items()}
    wrong = sorted(k for k in wanted.keys() | found.keys() if wanted.get(k) != found.get(k))
    if wrong:
        raise ValueError(
            f"transformers {transformers.__version__} names {len(wrong)} tensors otherwise, for "
            f"example {wrong[0]}: it is not a version that is known here, install 5.23"
        )


def _write_rest(model: Parts, t5: T5Encoder, folder: Path) -> None:
    """Write how it is generated with, and what makes its inputs."""
    import transformers

    steps = generation_config(model.lm, model.codec, max_duration=model.max_duration)
    transformers.GenerationConfig(**steps).save_pretrained(folder)
    extractor = transformers.EncodecFeatureExtractor(
        feature_size=model.codec.channels,
        sampling_rate=model.codec.sample_rate,
        padding_side="left",
    )
    tokenizer = _lowering(t5.tokenizer) if t5.config["lowercase"] else t5.tokenizer
    transformers.MusicgenProcessor(extractor, tokenizer).save_pretrained(folder)


def _lowering(tokenizer: Any) -> Any:
    """Return a tokenizer that reads captions in lower case, as the encoder does here.

    It is of no T5's class: that builds what normalizes the text anew, whatever its file says.
    """
    import transformers
    from tokenizers import normalizers

    backend = copy.deepcopy(tokenizer.backend_tokenizer)
    rest = [] if backend.normalizer is None else [backend.normalizer]
    backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), *rest])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=tokenizer.pad_token,
        eos_token=tokenizer.eos_token,
        unk_token=tokenizer.unk_token,
        model_max_length=tokenizer.model_max_length,
        model_input_names=["input_ids", "attention_mask"],
    )


def _write_json(values: Mapping[str, Any], file: Path, **more: Any) -> None:
    file.write_text(json.dumps({**values, **more}, indent=2) + "\n", encoding="utf-8")


def _facts(model: Parts) -> dict[str, object]:
    codec = model.codec
    return {
        "sample rate": f"{codec.sample_rate} Hz, {codec.channels} channel(s)",
        "frame rate": f"{codec.frame_rate:g} Hz",
        "codebooks": f"{model.lm.num_codebooks} of {codec.codebook_size} codes",
        "longest window": f"{model.max_duration:g} s",
        "steps": f"T frames take max_new_tokens = T + {model.lm.num_codebooks - 1}",
    }


def check_musicgen_target(folder: Path) -> None:
    """Refuse to replace anything but nothing, an empty folder or an export of this kind."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind = config.get("model_type") if isinstance(config, dict) else None
    except (OSError, ValueError):
        kind = None
    if kind != "musicgen":
        raise CheckpointError(
            f"will not write a model of transformers into {folder}, which holds something else: "
            "give a new or empty folder"
        )
