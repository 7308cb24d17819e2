"""A model folder is replaced whole: an error or a kill leaves the old one or the new one."""

import os
import signal
from pathlib import Path

import pytest
import torch

from audiogen.checkpoint import load_codec, save_codec
from audiogen.model_folder import replace as folder
from audiogen.model_folder import write
from audiogen.pipeline import AudioGen


def test_saving_over_a_model_replaces_it_and_keeps_what_is_not_ours(make_model, saved):
    (saved / "notes.txt").write_text("listen to item 3")
    (saved / "t5").mkdir()
    (saved / "t5" / "config.json").write_text("{}")
    new = make_model(seed=1)
    new.save_pretrained(saved)
    assert load_codec(saved).fingerprint() == new.codec.fingerprint()
    assert (saved / "notes.txt").read_text() == "listen to item 3"
    assert (saved / "t5" / "config.json").exists()
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


def test_a_codec_saved_over_a_model_leaves_no_language_model_behind(model, saved):
    save_codec(model.codec, saved)
    assert not (saved / "lm.safetensors").exists()


def test_an_error_half_way_keeps_the_old_folder(make_model, model, saved, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write, "save_file", fail)
    with pytest.raises(OSError, match="No space left"):
        make_model(seed=1).save_pretrained(saved)
    assert load_codec(saved).fingerprint() == model.codec.fingerprint()
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_after(function, calls: int):
    """Let ``function`` run so often, then kill the process as the next call begins."""
    left = [calls]

    def run(*args: object, **kwargs: object) -> object:
        if left[0] == 0:
            die()
        left[0] -= 1
        return function(*args, **kwargs)

    return run


KILLS = {
    "before the first file": ("save_file", 0),
    "after one file": ("save_file", 1),
    "before the card": ("render_card", 0),
    "before the old one steps aside": ("rename", 0),
    "between the two renames": ("rename", 1),
    "before the old one is removed": ("rmtree", 1),
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(("target", "calls"), KILLS.values(), ids=KILLS)
def test_a_kill_leaves_the_old_or_the_new_never_a_mix(make_model, model, saved, target, calls):
    new = make_model(seed=1)
    child = os.fork()
    if child == 0:
        owner = {"rename": Path, "rmtree": folder.shutil}.get(target, write)
        setattr(owner, target, die_after(getattr(owner, target), calls))
        new.save_pretrained(saved)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    loaded = AudioGen.from_pretrained(saved)
    expected = new if target == "rmtree" else model
    assert loaded.codec.fingerprint() == expected.codec.fingerprint()
    assert torch.equal(loaded.lm.head.weight, expected.lm.head.weight)
    new.save_pretrained(saved)  # and the next attempt succeeds
    assert load_codec(saved).fingerprint() == new.codec.fingerprint()
    assert not folder.aside(saved).exists()


def test_traces_of_kills_are_removed_once_they_are_old(model, saved):
    trace = saved.with_name(".model.new-0123")
    trace.mkdir()
    model.save_pretrained(saved)
    assert trace.exists()
    os.utime(trace, (0, 0))
    model.save_pretrained(saved)
    assert not trace.exists()
