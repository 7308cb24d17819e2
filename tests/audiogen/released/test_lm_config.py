"""What is read of a published language model's configuration, and what is refused by name."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from audiogen.lm.model import TokenLM
from audiogen.model_folder.layout import CheckpointError
from audiogen.released.lm_config import read_lm_config
from audiogen.released.xp_cfg import XpCfg, dump

from .published_lm import golden_config, lm_config

HERE = Path("state_dict.bin")


def read(config):
    return read_lm_config(XpCfg(config, source=HERE))


def read_changed(**changes):
    return read(lm_config(**changes))


def test_what_audiocraft_exported():
    found = read(golden_config())
    assert found.keywords == {
        "dim": 64,
        "num_heads": 4,
        "num_layers": 3,
        "num_codebooks": 4,
        "codebook_size": 32,
        "hidden_scale": 4,
        "dropout": 0.0,
        "activation": "gelu",
        "norm_first": True,
        "bias_ff": False,
        "bias_attn": False,
        "bias_proj": False,
        "layer_scale": None,
        "max_period": 10000.0,
        "position_scale": 1.0,
        "delays": [0, 1, 2, 3],
    }
    assert found.text == {"name": "t5_tiny"}
    assert (found.max_duration, found.sample_rate, found.channels) == (10.0, 16000, 1)
    assert (found.codec_codebooks, found.guidance_scale, found.codec_hash) == (None, 3.0, None)


def test_its_other_model():
    keywords = read(golden_config("lm_alt")).keywords
    assert keywords["pattern"] == {"name": "parallel"}
    assert not keywords["norm_first"]
    assert all(keywords[f"bias_{part}"] for part in ("ff", "attn", "proj"))


@pytest.mark.parametrize("kind", ["text", "mapping", "omegaconf"])
def test_every_form_of_a_configuration(kind):
    tree = lm_config()
    value = {"text": dump(tree), "mapping": tree, "omegaconf": OmegaConf.create(tree)}[kind]
    assert read(value) == read(lm_config())


def test_references_are_followed_and_others_left_alone():
    found = read_changed(
        rate=8000, sample_rate="${rate}", transformer_lm__card="${rate}", dora__dir="${oc.env:HOME}"
    )
    assert (found.sample_rate, found.keywords["codebook_size"]) == (8000, 8000)


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({"modeling": "delay", "delay": {"delays": [0, 2, 4]}}, [0, 2, 4]),
        ({"modeling": "delay"}, [0, 1, 2]),
        ({"modeling": "delay", "delay": {"delays": None, "empty_initial": 0}}, [0, 1, 2]),
        (
            {"modeling": "delay", "delay": {"delays": [0, 1, 2], "flatten_first": 3}},
            {"name": "delay", "delays": [0, 1, 2], "flatten_first": 3},
        ),
        ({"modeling": "parallel"}, {"name": "parallel"}),
        (
            {"modeling": "parallel", "parallel": {"empty_initial": 2}},
            {"name": "parallel", "empty_initial": 2},
        ),
        (
            {"modeling": "unroll", "unroll": {"flattening": [0, 1, 1], "delays": [0, 0, 0]}},
            {"name": "unroll", "flattening": [0, 1, 1], "delays": [0, 0, 0]},
        ),
        (
            {"modeling": "coarse_first", "coarse_first": {"delays": [0, 1]}},
            {"name": "coarse_first", "delays": [0, 1]},
        ),
        (
            {"modeling": "musiclm", "music_lm": {"group_by": 3}},
            {"name": "musiclm", "group_by": 3},
        ),
        (
            {"modeling": "music_lm", "music_lm": {"group_by": 3}},
            {"name": "musiclm", "group_by": 3},
        ),
    ],
)
def test_patterns(section, expected):
    keywords = read_changed(codebooks_pattern=section).keywords
    assert keywords.get("delays", keywords.get("pattern")) == expected
    TokenLM(**{**keywords, "text_dim": 4})


def test_the_oldest_files_name_their_pattern_elsewhere():
    config = lm_config(codebooks_pattern={"modeling": None}, transformer_lm__q_modeling="delay")
    assert read(config).keywords["delays"] == [0, 1, 2]


def test_what_has_no_part_in_what_is_computed_is_passed_over():
    found = read_changed(
        transformer_lm__checkpointing="torch",
        transformer_lm__attention_as_float32=True,
        transformer_lm__two_step_cfg=True,
        transformer_lm__weight_init=None,
        transformer_lm__emb_lr=0.1,
        conditioners__args={"merge_text_conditions_p": 0.5},
        conditioners__description__t5__word_dropout=0.3,
        compression_model_n_q=4,
    )
    assert found.keywords == read_changed().keywords
    assert found.codec_codebooks == 4


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("lm_model", "transformer_lm_2"),
        ("transformer_lm.positional_embedding", "rope"),
        ("transformer_lm.positional_embedding", "sin_rope"),
        ("transformer_lm.xpos", True),
        ("transformer_lm.qk_layer_norm", True),
        ("transformer_lm.qk_layer_norm_cross", 1),
        ("transformer_lm.kv_repeat", 2),
        ("transformer_lm.past_context", 100),
        ("transformer_lm.causal", False),
        ("transformer_lm.norm", "rms_norm"),
        ("transformer_lm.activation", "mish"),
        ("transformer_lm.dim", "wide"),
        ("transformer_lm.num_layers", 2.5),
        ("transformer_lm.bias_ff", "yes"),
        ("codebooks_pattern.modeling", "spiral"),
        ("codebooks_pattern.modeling", [1]),
        ("codebooks_pattern.delay.delays", "0123"),
        ("codebooks_pattern.delay.delays", [0, 1, -2]),
        ("codebooks_pattern.delay.delays", [0, 1, 10**9]),
        ("codebooks_pattern.delay.flatten_first", 10**9),
        ("transformer_lm.max_period", 0),
        ("transformer_lm.hidden_scale", -1),
        ("interleave_stereo_codebooks.use", True),
        ("conditioners.description.model", "clap"),
        ("conditioners.description.t5.finetune", True),
        ("conditioners.description.t5.normalize_text", True),
        ("conditioners.description.t5.name", 5),
        ("fuser.cross", []),
        ("fuser.cross", ["description", "genre"]),
        ("fuser.sum", ["description"]),
        ("fuser.prepend", ["description"]),
        ("fuser.input_interpolate", ["description"]),
        ("fuser.cross_attention_pos_emb", True),
        ("dataset.segment_duration", 0),
        ("sample_rate", None),
        ("compression_model_n_q", "all"),
    ],
)
def test_a_value_that_is_not_known_is_named_with_its_key(path, value):
    with pytest.raises(CheckpointError) as caught:
        read_changed(**{path.replace(".", "__"): value})
    assert f"{path} {value!r}" in str(caught.value)
    assert str(caught.value).startswith(f"{HERE}: its xp.cfg has ")


def test_a_switch_that_is_not_known_and_off_changes_nothing():
    found = read_changed(transformer_lm__rotary=False, transformer_lm__window=None)
    assert found == read_changed()


@pytest.mark.parametrize(
    "path",
    [
        *("transformer_lm.rotary", "fuser.film", "codebooks_pattern.delay.offset"),
        *("conditioners.description.t5.size", "conditioners.description.lut"),
    ],
)
def test_a_key_that_is_not_known_is_named(path):
    with pytest.raises(CheckpointError, match=f"has keys not known here: {path}"):
        read_changed(**{path.replace(".", "__"): 1})


@pytest.mark.parametrize(
    "path",
    [
        *("transformer_lm", "transformer_lm.dim", "transformer_lm.bias_proj", "fuser"),
        *("conditioners", "dataset.segment_duration", "lm_model", "sample_rate"),
    ],
)
def test_a_key_that_is_missing_is_named(path):
    with pytest.raises(CheckpointError, match=f"its xp.cfg lacks {path}"):
        read_changed(**{path.replace(".", "__"): KeyError})


def test_what_we_note_besides_cannot_take_the_place_of_what_is_checked():
    found = read_changed(audiogen={"lm": {"init": "reference"}, "codec_hash": "12"})
    assert (found.keywords["init"], found.codec_hash) == ("reference", "12")
    with pytest.raises(CheckpointError, match=r"not known here: audiogen\.lm\.num_layers"):
        read_changed(audiogen={"lm": {"num_layers": 10**12}})
    with pytest.raises(CheckpointError, match=r"has audiogen\.lm 5 instead of a mapping"):
        read_changed(audiogen={"lm": 5})


def test_another_conditioner():
    with pytest.raises(CheckpointError, match="has conditioners self_wav; the one known here is"):
        read_changed(conditioners={"self_wav": {"model": "chroma_stem"}})
