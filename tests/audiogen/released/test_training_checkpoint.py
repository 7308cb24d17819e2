"""Checkpoints of AudioCraft's trainer, whose configuration is a pickled object of OmegaConf."""

import os
import pathlib

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from audiogen.model_folder.layout import CheckpointError
from audiogen.released import load_released, load_released_codec


@pytest.fixture
def states(plain, config):
    """Three sets of weights of one codec."""
    names = ("best", "last", "ema")
    return {name: plain(config(), seed=i).state_dict() for i, name in enumerate(names)}


@pytest.fixture
def checkpoint(states, xp_cfg, tmp_path):
    """Return a function that writes checkpoint.th with parts replaced."""

    def write(**changes):
        package = {
            "history": [{"train": {"l1": 0.5}, "valid": {"l1": np.float64(0.25)}}],
            "xp.cfg": OmegaConf.create(xp_cfg),
            "xp.sig": "abcd1234",
            "best_state": {"model": states["best"]},
            "fsdp_best_state": {},
            "model": states["last"],
            "optimizer": {
                "state": {0: {"step": torch.tensor(3.0)}},
                "param_groups": [{"lr": 3e-4}],
            },
            "ema": {"state": {"model": states["ema"]}, "count": 12.0},
            "adv_losses": {"msstftd.optimizer": {"state": {}, "param_groups": []}},
        }
        torch.save(package | changes, tmp_path / "checkpoint.th")
        return tmp_path / "checkpoint.th"

    return write


@pytest.mark.parametrize("weights", ["best", "last", "ema"])
def test_each_set_of_weights(checkpoint, publish, states, weights):
    expected = load_released(publish(states[weights])).fingerprint()
    assert load_released(checkpoint(), weights=weights).fingerprint() == expected


def test_the_best_is_the_sharded_best_where_there_is_one(checkpoint, publish, states):
    path = checkpoint(fsdp_best_state={"model": states["ema"]})
    expected = load_released(publish(states["ema"])).fingerprint()
    assert load_released(path).fingerprint() == expected
    assert load_released(path.parent).fingerprint() == expected  # as a folder


def test_nothing_of_omegaconf_runs(checkpoint, monkeypatch):
    """Its nodes are read by stand-ins: the real ones would restore themselves here."""
    path = checkpoint()

    def refuse(*_):
        raise AssertionError("an object of OmegaConf was restored")

    from omegaconf.base import Node
    from omegaconf.basecontainer import BaseContainer

    monkeypatch.setattr(BaseContainer, "__setstate__", refuse)
    monkeypatch.setattr(Node, "__setstate__", refuse)
    load_released(path)


@pytest.mark.parametrize("change", ["struct", "readonly", "merged", "resolved cache", "typed"])
def test_configurations_that_went_through_hydra(checkpoint, publish, states, xp_cfg, change):
    cfg = OmegaConf.create(xp_cfg)
    if change == "struct":
        OmegaConf.set_struct(cfg, True)
    elif change == "readonly":
        OmegaConf.set_readonly(cfg, True)
    elif change == "merged":
        cfg = OmegaConf.merge(cfg, OmegaConf.from_dotlist(["seanet.dimension=6", "seed=1"]))
        cfg.label = None
        cfg.folder = pathlib.Path("somewhere/else")
    elif change == "resolved cache":
        OmegaConf.register_new_resolver("once", lambda: 3, use_cache=True, replace=True)
        cfg.seed = "${once:}"
        assert cfg.seed == 3
    elif change == "typed":
        cfg.numbers = [1.5, True, b"bytes", None]
    expected = load_released(publish(states["best"])).fingerprint()
    assert load_released(checkpoint(**{"xp.cfg": cfg})).fingerprint() == expected


def test_a_configuration_that_holds_a_command_is_refused(checkpoint, tmp_path, xp_cfg):
    class Evil:
        def __reduce__(self):
            return (os.system, (f"touch {tmp_path / 'ran'}",))

    cfg = OmegaConf.create(xp_cfg, flags={"allow_objects": True})
    cfg.device = Evil()
    with pytest.raises(CheckpointError, match=r"checkpoint.th wants posix.system to be called"):
        load_released(checkpoint(**{"xp.cfg": cfg}))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("changes", "weights", "message"),
    [
        ({"ema": None}, "ema", "has no 'ema' weights, only best, last"),
        ({"best_state": None}, "best", "has no 'best' weights, only ema, last"),
        ({"best_state": {}, "model": {}, "ema": None}, "best", "only none at all"),
        ({"model": [1, 2]}, "last", "holds a list where tensors should be"),
        ({"model": {"a": 1}}, "last", "a of its state is no tensor"),
        ({}, "mean", "weights must be one of best, ema, last; got 'mean'"),
    ],
)
def test_what_is_not_there_is_named(checkpoint, changes, weights, message):
    with pytest.raises(ValueError, match=message):
        load_released(checkpoint(**changes), weights=weights)


def test_an_exported_file_has_no_other_weights(publish):
    with pytest.raises(CheckpointError, match="holds one set of weights and no 'ema' beside it"):
        load_released(publish(), weights="ema")


def test_a_checkpoint_of_our_own_training(tmp_path):
    torch.save({"state_dict": {}, "pytorch-lightning_version": "2.6"}, tmp_path / "last.ckpt")
    with pytest.raises(CheckpointError, match=r"of our own training: .*scripts/export\.py"):
        load_released(tmp_path / "last.ckpt")


def test_a_state_dict_without_its_configuration(tmp_path, states):
    torch.save(states["best"], tmp_path / "bare.bin")
    with pytest.raises(CheckpointError, match=r"has no xp.cfg, .*\(it has decoder\.model"):
        load_released(tmp_path / "bare.bin")


def test_a_language_model(publish, xp_cfg):
    state = {"emb.0.weight": torch.zeros(3, 2), "transformer.layers.0.norm1.weight": torch.ones(2)}
    with pytest.raises(CheckpointError, match="is a language model, and a codec was asked for"):
        load_released_codec(publish(state, name="state_dict.bin"))


def test_the_folder_of_a_language_model_alone(publish, tmp_path):
    publish({"emb.0.weight": torch.zeros(3, 2)}, name="state_dict.bin")
    with pytest.raises(FileNotFoundError, match="the language model alone does not make sound"):
        load_released_codec(tmp_path)
