"""Published keys and our keywords, both ways."""

import inspect
from pathlib import Path

import pytest

from audiogen.codec.model import Codec
from audiogen.model_folder.layout import CheckpointError
from audiogen.released import load_released
from audiogen.released.codec_config import read_codec_config, write_codec_config
from audiogen.released.xp_cfg import XpCfg


def read(tree):
    return read_codec_config(XpCfg(tree, source=Path("codec.bin")))


def test_the_published_medium_codec_is_our_default(config):
    """Section 1.3 of the description, and conf/codec/encodec_16khz.yaml."""
    tree = config(
        seanet__dimension=128,
        seanet__n_filters=64,
        seanet__ratios=[8, 5, 4, 2],
        seanet__lstm=2,
        rvq__n_q=4,
        rvq__bins=2048,
    )
    keywords = read(tree)
    assert keywords["num_filters"] == inspect.signature(Codec).parameters["num_filters"].default
    codec = Codec(**keywords | {"num_filters": 2})
    expected = Codec(num_filters=2).config | {
        "activation_params": {"alpha": 1.0},
        "dead_code_threshold": 2,
        "dead_code_unit": "count",
    }
    assert codec.config == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"compression_model": "dac"}, "has compression_model 'dac'; the codec known here"),
        ({"encodec__autoencoder": "dac"}, "has encodec.autoencoder 'dac'"),
        ({"encodec__quantizer": "no_quant"}, "has encodec.quantizer 'no_quant'"),
        ({"seanet__snake": 1}, "keys not known here: seanet.snake"),
        ({"rvq__snake": 1}, "keys not known here: rvq.snake"),
        ({"seanet__encoder": {"final_activation": "Tanh"}}, "seanet.encoder.final_activation"),
        ({"seanet__n_filters": "many"}, "seanet.n_filters 'many' where a whole number"),
        ({"seanet__n_filters": 2.5}, "seanet.n_filters 2.5 where a whole number"),
        ({"seanet__n_filters": float("nan")}, "seanet.n_filters nan where a whole number"),
        ({"seanet__ratios": 8}, "seanet.ratios 8 where a list of whole numbers"),
        ({"seanet__ratios": [8, "x"]}, r"seanet.ratios \[8, 'x'\] where"),
        ({"seanet__true_skip": "maybe"}, "seanet.true_skip 'maybe' where true or false"),
        ({"seanet__activation": "Softmax"}, "seanet.activation 'Softmax' where an activation"),
        ({"seanet__norm_params": 3}, "seanet.norm_params 3 where a mapping"),
        ({"seanet__decoder": "x"}, "has seanet.decoder 'x' instead of a mapping"),
        ({"seanet": None}, "has seanet None instead of a mapping"),
        ({"rvq__decay": True}, "rvq.decay True where a number"),
        ({"encodec__channels": 2}, "encodec.channels 2 and seanet.channels 1"),
        ({"encodec__sample_rate": "${nowhere}"}, r"refers to \$\{nowhere\} at encodec.sample_rate"),
        ({"sample_rate": "???"}, "leaves sample_rate open"),
    ],
)
def test_what_is_wrong_is_named_by_its_key(config, changes, message):
    with pytest.raises(CheckpointError, match=message):
        read(config(**changes))


@pytest.mark.parametrize(
    "key", ["pad_mode", "dimension", "true_skip", "dilation_base", "norm", "lstm", "activation"]
)
def test_what_cannot_be_guessed_must_be_there(config, key):
    """A wrong padding fits every shape: strict loading would not see it."""
    tree = config()
    del tree["seanet"][key]
    with pytest.raises(CheckpointError, match=f"lacks seanet.{key}"):
        read(tree)


def test_what_older_files_do_not_say(config):
    tree = config(encodec__renorm="whatever")
    for part, keys in {
        "seanet": ("activation_params", "norm_params", "disable_norm_outer_blocks", "encoder"),
        "rvq": ("decay", "kmeans_init", "kmeans_iters", "threshold_ema_dead_code", "q_dropout"),
        "encodec": ("renormalize",),
    }.items():
        for key in keys:
            del tree[part][key]
    del tree["seanet"]["causal"]
    keywords = read(tree)
    assert keywords["renormalize"] is False
    assert keywords["causal"] is False
    assert keywords["kmeans_iters"] == 50
    Codec(**keywords)


def test_whole_numbers_and_switches_of_other_spellings(config):
    keywords = read(config(seanet__n_filters=4.0, seanet__lstm=True, seanet__true_skip=1))
    assert [keywords[k] for k in ("num_filters", "lstm_layers", "true_skip")] == [4, 1, True]
    assert [type(keywords[k]) for k in ("num_filters", "lstm_layers", "true_skip")] == [
        int,
        int,
        bool,
    ]


def test_a_width_overridden_alike_in_both_halves_is_shared(config):
    halves = {half: {"dimension": 9, "lstm": 2} for half in ("encoder", "decoder")}
    keywords = read(config(seanet__encoder=halves["encoder"], seanet__decoder=halves["decoder"]))
    assert (keywords["dimension"], keywords["lstm_layers"]) == (9, 2)
    assert keywords["encoder_overrides"] is keywords["decoder_overrides"] is None


def test_widths_that_differ_are_an_error(config, publish):
    tree = config(seanet__encoder={"dimension": 9})
    with pytest.raises(CheckpointError, match=r"xp.cfg describes a part .*override dimension"):
        load_released(publish(config=tree))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encodec__causal": True, "encodec__renormalize": True}, "cannot be causal"),
        ({"seanet__norm": "layer_norm"}, "norm must be one of"),
        ({"seanet__pad_mode": "circular"}, "pad_mode must be one of"),
        ({"seanet__ratios": []}, "ratios"),
        ({"seanet__activation_params": {"beta": 1}}, "beta"),
        ({"seanet__compress": 0}, "compress must be at least 1"),
        ({"seanet__norm_params": {"gain": 1}, "seanet__norm": "time_group_norm"}, "gain"),
        ({"rvq__n_q": 0}, "num_codebooks must be at least 1"),
        ({"rvq__bins": 1}, "codebook_size must be at least 2"),
        ({"seanet__decoder__trim_right_ratio": 0.5}, "needs causal=True"),
        ({"seanet__n_filters": 10**18}, ""),
        ({"seanet__kernel_size": -3}, ""),
        ({"seanet__lstm": -1}, ""),
        ({"audiogen": {"rotary": True}}, "rotary"),
    ],
)
def test_what_no_codec_can_be_is_an_error_of_the_file(config, publish, changes, message):
    with pytest.raises(CheckpointError, match=rf"codec.bin: xp.cfg describes .*{message}"):
        load_released(publish(config=config(**changes)))


def test_convolutions_may_be_causal_in_a_codec_that_is_not(config):
    """The published model asks only ``encodec.causal`` whether it may look at the whole sound."""
    keywords = read(config(seanet__causal=True, encodec__renormalize=True))
    assert keywords["causal"] is False
    codec = Codec(**keywords)
    assert codec.encoder.layers[0].pad_right == 0
    tree = write_codec_config(codec)
    assert tree["seanet"]["encoder"] == {"causal": True}
    assert Codec(**read(tree)).config == codec.config


@pytest.mark.parametrize(
    "keywords",
    [
        {},
        {"norm": "time_group_norm", "norm_params": {"eps": 1e-3}, "dead_code_unit": "count"},
        {"activation": "LeakyReLU", "activation_params": {"negative_slope": 0.2}},
        {"final_activation": "tanh", "init": "scaled", "channels": 2, "renormalize": True},
        {"causal": True, "trim_right_ratio": 0.25, "pad_mode": "reflect"},
        {
            "encoder_overrides": {"lstm_layers": 0},
            "decoder_overrides": {"final_activation": "relu"},
        },
        {"kmeans_init": False, "decay": 0.5, "codebook_dropout": True, "paper_exact": True},
    ],
)
def test_every_keyword_survives_the_published_configuration(keywords):
    small = {"num_filters": 2, "dimension": 4, "ratios": (3, 2), "codebook_size": 8}
    codec = Codec(**small, **keywords)
    tree = write_codec_config(codec)
    assert Codec(**read(tree)).config == codec.config


@pytest.mark.parametrize("key", ["activation_params", "norm_params", "decoder"])
@pytest.mark.parametrize("value", ["x", float("nan"), float("inf"), None, [1.0], {"a": 1}])
def test_parameters_that_fail_only_when_computing(config, publish, key, value):
    found = {"final_activation_params": {"alpha": value}} if key == "decoder" else {"alpha": value}
    tree = config(**{f"seanet__{key}": found})
    with pytest.raises(CheckpointError, match=rf"has seanet.{key}.* where a number is expected"):
        load_released(publish(config=tree))


def test_parameters_that_are_no_numbers_where_torch_takes_them(config):
    found = {"approximate": "tanh"}
    keywords = read(config(seanet__activation="GELU", seanet__activation_params=found))
    assert keywords["activation_params"] == found
    keywords = read(config(seanet__activation_params={"alpha": 1, "inplace": True}))
    assert keywords["activation_params"] == {"alpha": 1, "inplace": True}


@pytest.mark.parametrize("rate", [1e24, 10_000_001, 0, -1])
def test_rates_that_no_sound_has(config, publish, rate):
    with pytest.raises(CheckpointError, match="sample_rate must be a positive number of Hz up to"):
        load_released(publish(config=config(encodec__sample_rate=rate)))
