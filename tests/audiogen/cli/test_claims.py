"""Marks of sounds in the making: hints, which never lose a sound."""

import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from audiogen.cli import main
from audiogen.cli.claims import Claims
from audiogen.cli.records import Writer
from audiogen.files import machine


def job(folder, name="rain"):
    return SimpleNamespace(path=folder / f"{name}.wav")


def marks(folder):
    return sorted(path.name for path in folder.iterdir())


def test_one_takes_what_the_other_then_does_not(tmp_path):
    folder = tmp_path / "deep" / "out"
    with Claims(folder) as one, Claims(folder) as other:
        assert one.take(job(folder))
        assert one.take(job(folder))  # a batch may be tried again
        assert not other.take(job(folder))
        assert other.take(job(folder, "wind"))
        one.drop(job(folder))
        assert other.take(job(folder))
        assert len(marks(folder)) == 2
    assert marks(folder) == []


def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path):
    with Claims(tmp_path) as claims:
        assert claims.take(job(tmp_path, "r" * 251))
        assert len(marks(tmp_path)) == 1


def test_marks_of_a_killed_process_are_removed_and_no_others(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    owners = {
        "gone": f"{machine()}-{gone.pid}",
        "alive": f"{machine()}-{os.getpid()}",
        "elsewhere": f"not{machine()}-{gone.pid}",
        "odd": "nobody",
    }
    for name, owner in owners.items():
        (tmp_path / f".making-{name}").symlink_to(owner)
    (tmp_path / ".making-file").touch()
    Claims(tmp_path)
    assert marks(tmp_path) == [".making-alive", ".making-elsewhere", ".making-file", ".making-odd"]


def test_without_links_nothing_is_marked_and_all_is_made(tmp_path, monkeypatch):
    def no_links(*_, **__):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", no_links)
    with Claims(tmp_path) as one, Claims(tmp_path) as other:
        assert one.take(job(tmp_path))
        assert other.take(job(tmp_path))
        one.drop(job(tmp_path))


PROMPTS = [f"a dog barks {n} times" for n in range(10)]


@pytest.fixture
def command(saved, tmp_path):
    options = ["--model", saved, "--out", tmp_path / "out", "--duration", 0.02, "--batch-size", 2]
    return ["generate", *PROMPTS, *map(str, options)]


def test_two_begun_together_make_different_sounds(command, tmp_path, monkeypatch):
    """Both have their first batch before either has written one: of the ten at most two twice."""
    write, both, first, written = Writer.__call__, threading.Barrier(2), {}, []

    def meeting(self, job, *rest):
        if threading.get_ident() not in first:
            first[threading.get_ident()] = job.path
            both.wait(timeout=120)
        written.append(job.path)
        write(self, job, *rest)

    monkeypatch.setattr(Writer, "__call__", meeting)
    codes = []
    run = [threading.Thread(target=lambda: codes.append(main(command))) for _ in range(2)]
    for thread in run:
        thread.start()
    for thread in run:
        thread.join()
    assert codes == [0, 0]
    assert len(set(first.values())) == 2
    assert len(set(written)) == len(PROMPTS)
    assert len(written) <= len(PROMPTS) + 2
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".wav", ".json", ".html"}


def test_what_another_had_marked_is_made_at_the_end(command, saved, tmp_path, monkeypatch, capsys):
    """As if a process of another machine had been killed: the mark is of nobody here."""
    take, claimed = Claims.take, []

    def marked(self, job):
        if not claimed:
            claimed.append(job.path)
            take(Claims(job.path.parent), job)
        return take(self, job)

    monkeypatch.setattr(Claims, "take", marked)
    assert main(command) == 0
    printed = capsys.readouterr().out.splitlines()
    assert Counter(printed) == dict.fromkeys(printed, 1)
    assert len(printed) == len(PROMPTS)
    assert printed[-1] == str(claimed[0])
    assert not list((tmp_path / "out").glob(".*"))
