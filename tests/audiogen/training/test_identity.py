import json
import time

import pytest
from omegaconf import OmegaConf

from audiogen.training.identity import config_hash, register_resolvers, resolved, run_id


def make(**changes):
    base = {
        "name": "small",
        "seed": 1,
        "paths": {"data": "/a/data", "runs": "/a/runs"},
        "folder": "${paths.runs}/${run_id:}",
        "resume_from": "auto",
        "export_to": None,
        "inputs": ["${data.manifest}"],
        "logger": {"id": "${run_id:}"},
        "data": {"manifest": "${paths.data}/m.jsonl", "batch_size": 4, "num_workers": 2},
        "text": {"cache": None},
        "optim": {"lr": 0.1, "betas": [0.8, 0.99]},
        "module": {"optimizer": "${optim}", "codec_folder": None},
        "trainer": {"max_steps": 10, "enable_progress_bar": True},
        "hydra": {"run": {"dir": "${folder}"}},
    }
    cfg = OmegaConf.create(base)
    for key, value in changes.items():
        OmegaConf.update(cfg, key, value)
    return cfg


@pytest.fixture(autouse=True)
def resolvers():
    register_resolvers()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", 2),
        ("optim.lr", 0.11),
        ("optim.betas", [0.8, 0.98]),
        ("data.batch_size", 5),
        ("trainer.max_steps", 11),
        ("data.manifest", "${paths.data}/other.jsonl"),
    ],
)
def test_one_changed_value_changes_the_run(key, value):
    assert run_id(_root_=make(**{key: value})) != run_id(_root_=make())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("paths.data", "/b"),
        ("paths.runs", "/b"),
        ("folder", "elsewhere"),
        ("resume_from", None),
        ("export_to", "models/x"),
        ("logger", None),
        ("module.codec_folder", "codec"),
        ("text.cache", "states"),
        ("module.metrics", None),
        ("data.num_workers", 0),
        ("trainer.enable_progress_bar", False),
        ("hydra.run.dir", "x"),
    ],
)
def test_what_cannot_change_the_result_does_not_change_the_run(key, value):
    assert run_id(_root_=make(**{key: value})) == run_id(_root_=make())


def test_name_and_eight_digits():
    cfg = make()
    assert cfg.folder == f"/a/runs/{run_id(_root_=cfg)}"
    assert cfg.logger.id == run_id(_root_=cfg) == f"small-{config_hash(cfg)[:8]}"


def test_the_clock_never_enters(monkeypatch):
    first = config_hash(make())
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert config_hash(make()) == first


def test_inputs_count_by_content_wherever_they_lie(tmp_path):
    hashes = []
    for folder, text in (("a", "one"), ("b", "one"), ("b", "two!")):
        path = tmp_path / folder / "m.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        hashes.append(config_hash(make(**{"data.manifest": str(path)})))
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_folder_of_tokens_counts_by_its_json_files(tmp_path):
    def tokens(codec):
        (tmp_path / "tokens.json").write_text(json.dumps({"codec_hash": codec}))
        return config_hash(make(**{"data.manifest": str(tmp_path)}))

    first = tokens("abc")
    (tmp_path / "codes-00000.npy").write_bytes(b"large")
    assert tokens("abc") == first != tokens("abcd")


@pytest.mark.parametrize("name", ["model.safetensors", "compression_state_dict.bin"])
def test_a_folder_of_a_model_counts_by_its_weights(tmp_path, name):
    (tmp_path / "config.json").write_text("{}")
    hashes = []
    for weights in (b"one", b"two!"):
        (tmp_path / name).write_bytes(weights)
        hashes.append(config_hash(make(**{"data.manifest": str(tmp_path)})))
    assert hashes[0] != hashes[1]


def test_resolved_has_values_only_and_names_what_is_missing():
    plain = resolved(make())
    assert "hydra" not in plain
    assert plain["data"]["manifest"] == "/a/data/m.jsonl"
    assert plain["module"]["optimizer"] == {"lr": 0.1, "betas": [0.8, 0.99]}
    with pytest.raises(Exception, match=r"trainer.max_steps"):
        resolved(make(**{"trainer.max_steps": "???"}))
