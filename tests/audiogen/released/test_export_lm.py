"""Whole models in the published layout: what is written is what was read, and ours goes there."""

import shutil

import pytest
import torch
import yaml
from omegaconf import OmegaConf

from audiogen.checkpoint import load_model
from audiogen.lm.model import TokenLM
from audiogen.model_folder.layout import CheckpointError
from audiogen.pipeline import AudioGen
from audiogen.released import export_released, load_released
from audiogen.text.t5 import T5Encoder

from .plain_lm import build_plain_lm
from .published_lm import T5, lm_config, write_model
from .test_lm_load import ODD, random_case

SAMPLE = [*ODD, *range(100, 103)]


def tensors(folder):
    return torch.load(folder / "state_dict.bin", weights_only=True)["best_state"]


@pytest.fixture
def t5():
    return T5Encoder(name=str(T5), lazy=True)


@pytest.mark.parametrize("case", SAMPLE)
def test_what_is_exported_again_is_what_was_published(tmp_path, case):
    """Tensors by name, order and bit; the configuration as another reader resolves it."""
    changes = ODD[case] if case in ODD else random_case(case)
    config = lm_config(**changes, codebooks_pattern__modeling="parallel")
    size = {
        f"rvq__{k}": config["transformer_lm"][v] for k, v in {"n_q": "n_q", "bins": "card"}.items()
    }
    state = build_plain_lm(config).state_dict()
    folder = write_model(tmp_path / "theirs", config, state, **size)
    again = export_released(load_released(folder), tmp_path / "again")
    found = tensors(again)
    assert set(found) == set(state)
    assert all(torch.equal(found[name], state[name]) for name in state)
    package = torch.load(again / "state_dict.bin", weights_only=True)
    assert set(package) == {"best_state", "xp.cfg", "version", "exported"}
    ours, theirs = OmegaConf.create(package["xp.cfg"]), OmegaConf.create(config)
    assert "lm" not in ours.audiogen  # everything has a published name
    for key, value in ours.transformer_lm.items():
        assert value == theirs.transformer_lm[key], key
    for key in ("fuser", "conditioners", "lm_model", "sample_rate", "channels"):
        assert ours[key] == theirs[key], key
    assert ours.dataset.segment_duration == theirs.dataset.segment_duration
    codec, before = (torch.load(f / "compression_state_dict.bin") for f in (again, folder))
    assert all(torch.equal(codec["best_state"][k], v) for k, v in before["best_state"].items())
    assert load_released(again).lm.config == load_released(folder).lm.config


PATTERNS = [
    {"name": "delay", "delays": [0, 1, 2], "flatten_first": 2, "empty_initial": 1},
    {"name": "delay", "delays": [0, 3, 1]},
    {"name": "parallel", "empty_initial": 1},
    {"name": "unroll", "flattening": [0, 1, 1], "delays": [0, 1, 1]},
    {"name": "coarse_first", "delays": [0, 2]},
    {"name": "musiclm", "group_by": 2},
    {"name": "unroll"},
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_pattern_goes_out_and_comes_back(model, t5, tmp_path, pattern):
    lm = TokenLM(**small(model, pattern=pattern))
    parts = AudioGen(text=t5, lm=lm, codec=model.codec, max_duration=0.1)
    back = load_released(export_released(parts, tmp_path / "out"))
    assert back.lm.config == lm.config
    assert torch.equal(back.lm.pattern.layout(5), lm.pattern.layout(5))


def small(model, **changes):
    kept = {"num_codebooks": 3, "codebook_size": 16, "num_layers": 2, "num_heads": 2, "dim": 8}
    return kept | {"text_dim": 32} | changes


def test_ours_goes_out_and_comes_back(model, t5, tmp_path):
    """Keywords without a published name travel along, and so do card and codec."""
    lm = TokenLM(
        **small(model, delays=[0, 1, 2], embedding_std=0.1, init="reference", paper_exact=True),
        position_scale=0.3,
        max_period=500.0,
    )
    text = T5Encoder(name=str(T5), lowercase=True, max_tokens=20)
    card = {"licence": "CC0-1.0", "training_data": ["barks", "rain"]}
    whole = AudioGen(text=text, lm=lm, codec=model.codec, max_duration=2.5, card=card)
    folder = export_released(whole, tmp_path / "out")
    assert {path.name for path in (folder / "t5_tiny").iterdir()} >= {"config.json"}
    moved = tmp_path / "moved"
    shutil.move(folder, moved)  # it names no place on this disk
    back = AudioGen.from_pretrained(moved)
    assert back.lm.config == lm.config
    assert back.max_duration == 2.5
    assert back.text.config == text.config | {"name": "t5_tiny"}
    assert back.card["licence"] == "CC0-1.0"
    assert back.card["training_data"] == ["barks", "rain"]
    assert back.codec.fingerprint() == model.codec.fingerprint()
    call = {"duration": 0.04, "seed": 1}
    found = back.generate_codes(["A dog barks"], **call)
    assert torch.equal(found, whole.generate_codes(["A dog barks"], **call))


def test_the_codec_of_another_export_is_refused(model, make_model, t5, tmp_path):
    lm = TokenLM(**small(model, delays=[0, 1, 2]))
    for i in range(2):
        parts = AudioGen(text=t5, lm=lm, codec=make_model(seed=i).codec, max_duration=0.1)
        export_released(parts, tmp_path / f"{i}")
    shutil.copy(tmp_path / "1" / "compression_state_dict.bin", tmp_path / "0")
    with pytest.raises(CheckpointError, match=r"is not the codec of .* as its hash"):
        load_model(tmp_path / "0")


def test_half_precision_as_it_is_published(model, t5, tmp_path):
    lm = TokenLM(**small(model, delays=[0, 1, 2]))
    parts = AudioGen(text=t5, lm=lm, codec=model.codec, max_duration=0.1)
    folder = export_released(parts, tmp_path / "half", dtype=torch.float16)
    assert {value.dtype for value in tensors(folder).values()} == {torch.float16}
    codec = torch.load(folder / "compression_state_dict.bin")["best_state"]
    assert {value.dtype for value in codec.values()} == {torch.float32}
    back = load_released(folder)
    assert torch.equal(back.lm.head.weight, lm.head.weight.half().float())
    again = export_released(back, tmp_path / "again", dtype=torch.float16)
    assert all(torch.equal(v, tensors(folder)[k]) for k, v in tensors(again).items())
    lm.to(torch.bfloat16)  # kept as it is
    found = tensors(export_released(parts, tmp_path / "kept"))
    assert {value.dtype for value in found.values()} == {torch.bfloat16}


def test_what_does_not_fit_half_precision(model, t5, tmp_path):
    lm = TokenLM(**small(model, delays=[0, 1, 2]))
    lm.head.weight.data[20, 0] = 1e6
    parts = AudioGen(text=t5, lm=lm, codec=model.codec, max_duration=0.1)
    with pytest.raises(ValueError, match=r"linears\.1\.weight is not finite in torch\.float16"):
        export_released(parts, tmp_path / "half", dtype=torch.float16)
    assert not (tmp_path / "half").exists()


def test_a_text_encoder_that_the_layout_has_no_words_for(model, tmp_path):
    with pytest.raises(ValueError, match="reads captions by 'hashed': export it as a model folder"):
        export_released(model, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_where_it_may_be_written(model, t5, saved, tmp_path):
    lm = TokenLM(**small(model, delays=[0, 1, 2]))
    parts = AudioGen(text=t5, lm=lm, codec=model.codec, max_duration=0.1)
    with pytest.raises(CheckpointError, match="which holds something else"):
        export_released(parts, saved)
    folder = tmp_path / "out"
    export_released(parts, folder)
    (folder / "notes.txt").write_text("mine")
    lm.head.weight.data.zero_()
    export_released(parts, folder)
    assert (folder / "notes.txt").read_text() == "mine"
    assert not tensors(folder)["linears.0.weight"].any()


def test_the_configuration_holds_no_reference(model, t5, tmp_path):
    lm = TokenLM(**small(model, delays=[0, 1, 2]))
    parts = AudioGen(text=t5, lm=lm, codec=model.codec, max_duration=10.0)
    folder = export_released(parts, tmp_path / "out")
    text = torch.load(folder / "state_dict.bin", weights_only=True)["xp.cfg"]
    assert "${" not in text
    assert yaml.safe_load(text)["conditioners"]["description"]["t5"]["name"] == "t5_tiny"
