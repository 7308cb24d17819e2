"""Every text encoder that can be chosen trains a language model, two updates each."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from audiogen.data.shards import TokenError, TokenShardWriter
from audiogen.text.folders import TextEncoderError
from audiogen.training.identity import config_hash, module_config
from audiogen.training.run import fit
from audiogen.training.run_folder import RunFolder

from .conftest import LM, ROOT


def train(runs: Path, *overrides: str) -> list[dict[str, str]]:
    """Run in this process; return the rows of the history, without what the clock decides."""
    words = [word for word in LM if not word.startswith("text_dim")]
    words += ["trainer.enable_progress_bar=false", f"paths.runs={runs}", *overrides]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("train_lm", overrides=words)
    fit(cfg)
    (history,) = runs.glob("*/*/metrics.csv")
    with history.open() as stream:
        return [
            {key: value for key, value in row.items() if "loss" in key or "norm" in key}
            for row in csv.DictReader(stream)
        ]


@pytest.fixture
def t5(t5_folder: Path) -> list[str]:
    return ["text=t5_large", f"text.encoder.name={t5_folder}", "text_dim=32"]


def test_a_text_encoder_in_a_relative_folder_is_found_from_everywhere(
    t5_folder, tmp_path, monkeypatch
):
    """In the folder of the run and in the module; the id is of the name as given."""
    monkeypatch.chdir(t5_folder.parent)
    words = [word for word in LM if not word.startswith("text_dim")]
    words += ["text=t5_large", "text.encoder.name=t5_tiny", "text_dim=32", f"folder={tmp_path}/run"]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("train_lm", overrides=words)
    before = config_hash(cfg)
    assert RunFolder.claim(cfg).config_hash == before == config_hash(cfg)
    written = OmegaConf.load(tmp_path / "run" / "config.yaml")
    assert written.module.text.encoder.name == written.text.encoder.name == str(t5_folder)
    assert module_config(cfg).text.encoder.name == str(t5_folder)
    assert cfg.text.encoder.name == "t5_tiny"


def same(rows: list[dict[str, str]], others: list[dict[str, str]]) -> bool:
    pairs = zip(rows, others, strict=True)
    return all(
        row.keys() == other.keys()
        and all(float(row[key] or 0) == pytest.approx(float(other[key] or 0)) for key in row)
        for row, other in pairs
    )


def test_t5_trains_the_same_with_its_states_cached(t5, tmp_path, monkeypatch):
    plain = train(tmp_path / "plain", *t5)
    assert any(row["train/loss"] for row in plain)
    cache = f"text.cache={tmp_path / 'states'}"
    filled = train(tmp_path / "filled", *t5, cache)
    assert same(filled, plain)
    assert len(list((tmp_path / "states").glob("t5_tiny-*-float32.sqlite"))) == 1

    def refuse(*_):
        raise AssertionError("the weights were asked for")

    monkeypatch.setattr("audiogen.text.pretrained.PretrainedEncoder.load", refuse)
    assert train(tmp_path / "read", *t5, cache) == filled


def test_clap_trains(clap_folder, tmp_path):
    words = ["text=clap", f"text.encoder.name={clap_folder}", "text_dim=8"]
    assert any(row["train/loss"] for row in train(tmp_path, *words))


@pytest.fixture
def codes(tmp_path: Path) -> Path:
    """Codes of twelve clips that are labelled with what makes the sound."""
    facts = {"codec_hash": "c", "manifest_hash": "m", "sample_rate": 16000, "frame_rate": 50}
    facts |= {"num_codebooks": 4, "codebook_size": 128, "segment_frames": 20}
    rng = np.random.default_rng(0)
    items = [
        {
            **{"id": str(n), "captions": ["a sound"], "frames": 20},
            **{"split": "valid" if n > 7 else "train", "labels": {"class": f"class {n % 3}"}},
        }
        for n in range(12)
    ]
    writer = TokenShardWriter(tmp_path / "codes", facts=facts)
    writer.write(0, rng.integers(0, 128, (12, 4, 20)).astype(np.uint16), items)
    writer.finish(num_shards=1)
    return tmp_path / "codes"


def test_joined_attributes_train(t5_folder, codes, tmp_path):
    words = ["text=joined", f"text.encoders.description.encoder.name={t5_folder}", "text_dim=32"]
    words += ["data=audiocaps_tokens", f"tokens={codes}", "data.batch_size=4", "data.num_workers=0"]
    named = [f"+data.{split}.attributes.sound_class=class" for split in ("train", "valid")]
    rows = train(tmp_path / "named", *words, *named)
    assert not same(rows, train(tmp_path / "unnamed", *words))  # the class is read
    hidden = "module.attribute_dropout={sound_class: 0.5, description: 0.5}"
    assert any(row["train/loss"] for row in train(tmp_path / "hidden", *words, *named, hidden))


def test_a_width_that_does_not_fit_is_refused(t5, tmp_path):
    with pytest.raises(Exception, match=r"width 32, asked for is 64: set text_dim=32"):
        train(tmp_path, *t5, "text_dim=64")
    with pytest.raises(Exception, match=r"google/flan-t5-base gives states of width 768"):
        train(tmp_path, "text=flan_t5_base", "text_dim=1024")


def test_what_is_cheap_to_find_out_is_said_first(tmp_path):
    """Codes that are not there, then an encoder that is not there, then nothing else."""
    missing = ["text=t5_large", f"text.encoder.name={tmp_path}/no_t5", "lm.dim=4096"]
    with pytest.raises(TokenError, match=r"no_codes: no readable tokens\.json"):
        train(tmp_path, *missing, "data=audiocaps_tokens", f"tokens={tmp_path}/no_codes")
    with pytest.raises(Exception, match="no_t5: there is no such folder") as caught:
        train(tmp_path, *missing, "lm.dim=16")
    assert isinstance(caught.value.__cause__ or caught.value, TextEncoderError)
    assert not list(tmp_path.glob("*/*/run.json"))  # a mistake leaves no run behind


def test_attributes_that_no_encoder_reads_are_refused(t5_folder, tmp_path):
    hidden = "module.attribute_dropout={sound_class: 0.5}"
    with pytest.raises(Exception, match=r"names 'sound_class'.*reads 'description' only"):
        train(tmp_path, "text_dim=8", hidden)
    joined = ["text=joined", f"text.encoders.description.encoder.name={t5_folder}", "text_dim=32"]
    wrong = "module.attribute_dropout={sound_clas: 0.5}"
    with pytest.raises(Exception, match=r"'sound_clas'.*reads 'description' and 'sound_class'"):
        train(tmp_path, *joined, wrong)


@pytest.mark.parametrize("text", ["t5_small", "joined"])
def test_an_encoder_that_cannot_be_fetched_stops_the_run_before_its_first_update(
    text, tmp_path, monkeypatch
):
    """Before any caption is read, though its weights are not read before one arrives."""
    asked = []

    def nowhere(name, *, kind, example):
        asked.append(name)
        raise TextEncoderError(f"no {kind} {name!r}")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("audiogen.text.pretrained.here", lambda *_, **__: None)
    monkeypatch.setattr("audiogen.text.pretrained.find_folder", nowhere)
    monkeypatch.setattr("audiogen.text.t5.T5Encoder.encode", lambda *_: asked.append("a caption"))
    words = [f"text={text}", f"text_dim={512 if text == 't5_small' else 1024}"]
    with pytest.raises(TextEncoderError, match="no T5 encoder 't5-"):
        train(tmp_path, *words)
    assert asked == ["t5-small" if text == "t5_small" else "t5-large"]
    assert not list(tmp_path.glob("*/*/run.json"))
