import os
import signal
import time
import zipfile
from pathlib import Path

import pytest
import torch

from audiogen.training import checkpoints
from audiogen.training.checkpoints import (
    AtomicCheckpointIO,
    Checkpointer,
    is_whole,
    newest_checkpoint,
)
from audiogen.training.launch import explained


def save(folder, step, value=1.0):
    path = folder / f"step-{step:09d}.ckpt"
    AtomicCheckpointIO().save_checkpoint({"value": torch.full((1000,), value)}, path)
    return path


def test_newest_is_by_number(tmp_path):
    for step in (900, 1000, 20):
        save(tmp_path, step)
    assert newest_checkpoint(tmp_path).name == "step-000001000.ckpt"
    assert newest_checkpoint(tmp_path / "none") is None


@pytest.mark.parametrize("damage", ["empty", "half", "last byte", "one bit"])
def test_damaged_newest_is_passed_over(tmp_path, damage):
    good, bad = save(tmp_path, 1), save(tmp_path, 2)
    content = bytearray(bad.read_bytes())
    middle = content.find(b"\x00\x00\x80\x3f" * 8)  # inside of the tensor: ones, float32
    if damage == "one bit":
        content[middle] ^= 1
    keep = {"empty": 0, "half": len(content) // 2, "last byte": len(content) - 1}
    bad.write_bytes(content[: keep.get(damage, len(content))])
    assert not is_whole(bad)
    assert newest_checkpoint(tmp_path) == good


def test_no_flipped_byte_of_a_header_is_more_than_damage(tmp_path):
    """In local headers, the central directory and its end: harmless, or the file is damaged."""
    path = save(tmp_path, 1)
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        starts = [record.header_offset for record in archive.infolist()]
        central = archive.start_dir
    headers = [byte for start in starts[:2] for byte in range(start, start + 48)]
    found = set()
    for place in [*headers, *range(central, len(content))]:
        broken = bytearray(content)
        broken[place] ^= 0xFF
        path.write_bytes(broken)
        found.add(whole := is_whole(path))
        if whole:
            assert torch.load(path, weights_only=True)["value"].tolist() == [1.0] * 1000
    assert found == {True, False}


class Harmful:
    """What a pickle may hold: a call of anything."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_code_in_a_checkpoint_is_never_run(tmp_path):
    good, bad = save(tmp_path, 1), tmp_path / "step-000000002.ckpt"
    torch.save({"value": Harmful(tmp_path / "harm")}, bad)
    assert not is_whole(bad)
    assert newest_checkpoint(tmp_path) == good
    assert not (tmp_path / "harm").exists()
    torch.save([1], bad)
    assert not is_whole(bad)


def test_error_while_writing_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = save(tmp_path, 1, value=1.0)

    def fail(checkpoint, stream):
        stream.write(b"half of it")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        save(tmp_path, 1, value=2.0)
    assert torch.load(path, weights_only=True)["value"][0] == 1.0
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("size", [1, 100_000])  # torch.save says it in another way for each
def test_a_full_disk_is_one_line_that_names_the_checkpoint(tmp_path, monkeypatch, capsys, size):
    path = tmp_path / "step-000000001.ckpt"
    opened = Path.open
    full = lambda _, *words: opened(Path("/dev/full"), *words)  # noqa: E731
    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(SystemExit) as left, explained("train_lm"):
        AtomicCheckpointIO().save_checkpoint({"value": torch.zeros(size)}, path)
    assert left.value.code == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith(f"error: {path}: the disk is full (No space left on device): free some")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("phase", ["while writing", "before renaming"])
def test_kill_in_a_write_leaves_the_checkpoint_before(tmp_path, phase):
    good = save(tmp_path, 1)
    pid = os.fork()
    if pid == 0:
        stop = lambda *_: time.sleep(60)  # noqa: E731
        if phase == "while writing":
            torch.save = lambda _, stream: (stream.write(b"PK half"), stream.flush(), stop())
        else:
            checkpoints.os.fsync = stop
        save(tmp_path, 2)
        os._exit(0)
    deadline = time.monotonic() + 30
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert len(list(tmp_path.iterdir())) == 2  # the second is the unfinished one
    assert newest_checkpoint(tmp_path) == good


def test_impossible_intervals_are_refused(tmp_path):
    with pytest.raises(ValueError, match="at least 1, got every 0, keep 2"):
        Checkpointer(tmp_path, every=0)
