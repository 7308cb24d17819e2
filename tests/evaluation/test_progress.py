"""What long work says off a terminal, and what it does not say."""

import re
import sys

import pytest

from evaluation import progress
from evaluation.__main__ import main
from evaluation.progress import bar, say


class Clock:
    """Seconds that pass when somebody says so."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    own = Clock()
    monkeypatch.setattr("tqdm.std.time", own)
    return own


def test_off_a_terminal_a_line_per_minute_at_most(clock, capsys):
    for _ in bar(range(400), total=400, desc="scoring", unit="pairs", show=True):
        clock.now += 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 6
    assert lines[0] == "scoring: 15 %, 60 of 400 pairs, 01:00 gone, 05:40 left"
    assert not any("\r" in line for line in lines)


def test_short_work_and_work_nobody_watches_say_nothing(clock, capsys):
    for show, steps in ((True, 50), (False, 400)):
        for _ in bar(range(steps), total=steps, desc="scoring", unit="pairs", show=show):
            clock.now += 1
    say("a line", show=False)
    with bar(desc="a file", unit="B", total=None, show=True) as shown:
        shown.update(5)
    assert capsys.readouterr().err == ""


def test_a_terminal_has_its_bar_alone(clock, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    say("a line", show=True)
    for _ in bar(range(100), total=100, desc="scoring", unit="pairs", show=True):
        clock.now += 1
    said = capsys.readouterr().err
    assert "a line" not in said
    assert "\r" in said
    assert not said.endswith("\n")


def test_networks_say_when_they_are_loaded_and_done(folders, captions, tiny, capsys):
    arguments = [*map(str, folders), "--no-sanity", "--weights", str(tiny.weights)]
    assert main([*arguments, "--captions", str(captions)]) == 0
    first = capsys.readouterr().err.splitlines()
    for name in ("vggish", "passt", "clap"):
        loaded = [i for i, line in enumerate(first) if line.startswith(f"{name}: network loaded")]
        form = rf"{name}: features of \d\d sounds in \d+\.\d s, 0 from the cache"
        done = [i for i, line in enumerate(first) if re.fullmatch(form, line)]
        assert len(loaded) == len(done) == 1
        assert loaded < done
    assert sum("features of 12 captions in" in line for line in first) == 1
    assert main([*arguments, "--captions", str(captions)]) == 0
    again = capsys.readouterr().err
    assert re.search(r"^vggish: features of 0 sounds in 0\.0 s, \d\d from the cache$", again, re.M)


def test_the_library_says_nothing_unless_asked(folders, capsys):
    from evaluation.suite import evaluate

    evaluate(*folders, protocol="demo", sanity=False)
    assert capsys.readouterr() == ("", "")


def test_a_line_is_due_each_minute():
    assert progress.EVERY == 60
