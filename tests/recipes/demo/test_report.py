import errno
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from recipes.demo.report import main, render
from recipes.page.inputs import Run

ROOT = Path(__file__).parents[3]
EVIL = "<script>alert('x')</script> \"&amp; <img src=x onerror=alert(1)>"
VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Texts, tags and addresses of a page; complains about tags that are not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.texts, self.tags, self.addresses = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [v for k, v in attrs if k in ("src", "href", "xlink:href", "srcset")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [v for k, v in attrs if k in ("src", "href", "xlink:href", "srcset")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture(scope="module")
def page(synthetic_run):
    return render(synthetic_run, title=None, date="2030-01-01")


@pytest.fixture
def own_run(synthetic_run, tmp_path):
    run = tmp_path / "own"
    shutil.copytree(synthetic_run.folder, run)
    return run


def text_of(page):
    return re.sub(r"\s+", " ", " ".join(Page(page).texts))


def test_page_is_whole_and_needs_nothing_else(page):
    assert page.startswith("<!doctype html>")
    parsed = Page(page)
    assert parsed.tags.count("audio") == 48
    assert all(a.startswith(("data:", "#")) for a in parsed.addresses)
    assert "link" not in parsed.tags
    assert "url(" not in re.sub(r"url\(#", "", page)
    assert "@import" not in page
    assert parsed.tags.count("script") == 1
    assert "default-src 'none'" in page
    assert len(page) < 12_000_000


def test_page_shows_every_section(page):
    text = text_of(page)
    assert "AudioGen demo on synthetic sounds" in text
    assert "missing" not in re.findall(r'class="([^"]*)"', page)
    for words in (
        "Is it the codec or the language model?", "cannot say 12",
        "12 min", "the ceiling", "the floor", "stand-in", "not computed", "procedural", "CC0-1.0",
        "overtones and breath or friction noise", "factor of three", "make demo DATA=", "restarted",
        "true captions", "Gain of guidance", "1 min 30 s", "1.00 GB", "2030-01-01",
    ):  # fmt: skip
        assert words in text, words


def test_gates_are_on_the_page(page):
    text = text_of(page)
    assert "quietest family, codec round trip ÷ real, RMS ≥ 0.100 0.5" in text
    assert "test clips judged ≥ 240 12 ✗ no" in text
    assert "time of all stages ≤ 12.0 min 1.5 min ✓ yes" in text


def test_an_empty_folder_says_what_is_missing_and_shows_no_zero(tmp_path):
    page = render(Run(folder=tmp_path), title=None, date="")
    text = text_of(page)
    for name in (
        "scores.json", "evaluation.json", "samples/captions.jsonl", "data/manifest.jsonl",
        "stages.jsonl", "train_codec/*/metrics.csv", "train_lm/*/metrics.csv",
    ):  # fmt: skip
        assert f"{name} is not in the run folder" in text, name
    assert "0 of 11 hold, 11 not measured" in text
    assert "none yet" in text
    assert not re.search(r">\s*0(\.0+)?\s*<", page)
    assert "✓ yes" not in page


@pytest.mark.parametrize(
    "name",
    ["scores.json", "evaluation.json", "samples/captions.jsonl", "data/manifest.jsonl"],
)
def test_a_damaged_file_costs_its_section_only(own_run, name):
    (own_run / name).write_text('{"n": 3, "probe": {}}')
    page = render(Run(folder=own_run), title=None, date="")
    text = text_of(page)
    assert 'class="missing"' in page
    assert "Machine" in text
    assert "validation, by caption" in text


def test_texts_from_outside_are_escaped(own_run):
    samples = own_run / "samples" / "captions.jsonl"
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    rows[0] |= {"caption": EVIL, "labels": {"family": EVIL}}
    samples.write_text("".join(json.dumps(row) + "\n" for row in rows))
    skipped = {"file": f"{EVIL}.wav", "reason": EVIL}
    (own_run / "data" / "skipped.jsonl").write_text(json.dumps(skipped) + "\n")
    scores = json.loads((own_run / "scores.json").read_text())
    scores["classes"][0]["name"] = EVIL
    (own_run / "scores.json").write_text(json.dumps(scores))
    metrics = own_run / "train_codec" / "demo_codec-1" / "metrics.csv"
    metrics.write_text(metrics.read_text().replace("train/mel", "train/<script>"))
    page = render(Run(folder=own_run), title=EVIL, date=EVIL)
    parsed = Page(page)
    assert parsed.tags.count("script") == 1
    assert "onerror" not in re.sub(r"&lt;img src=x onerror", "", page)
    assert sum(EVIL in text for text in parsed.texts) >= 6


def test_recordings_have_their_own_words(own_run):
    (own_run / "data" / "prepared.json").write_text("{}")
    (own_run / "data" / "skipped.jsonl").write_text('{"file": "a.wav", "reason": "silent"}\n')
    text = text_of(render(Run(folder=own_run), title=None, date=""))
    assert "AudioGen demo on recordings" in text
    assert "The bounds on what is heard were set for the synthetic sounds" in text
    assert "≤ 20.0 min" in text
    assert "≤ 12.0 min" not in text
    assert "do not publish it unless their licence allows" in text
    assert "overtones" not in text
    assert "1 file left out" in text


def test_unlabeled_recordings(own_run):
    (own_run / "data" / "prepared.json").write_text("{}")
    scores = {"n": 12, "probe": None, "rms": {"real": 0.1, "generated": 0.05}}
    (own_run / "scores.json").write_text(json.dumps(scores))
    text = text_of(render(Run(folder=own_run), title=None, date=""))
    assert "The clips carry no labels" in text
    assert "0.0500" in text


def test_command_writes_atomically_and_prints_the_path(tmp_path, capsys):
    out = tmp_path / "pages" / "report.html"
    assert main(["--run", str(tmp_path), "--out", str(out), "--title", "My title"]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    assert "<h1>My title</h1>" in out.read_text(encoding="utf-8")
    assert list(out.parent.iterdir()) == [out]
    assert main(["--run", str(tmp_path)]) == 0
    assert (tmp_path / "report.html").is_file()


def test_a_failure_leaves_the_old_page(tmp_path, monkeypatch, capsys):
    out = tmp_path / "report.html"
    out.write_text("old")
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(full))
    assert main(["--run", str(tmp_path), "--out", str(out)]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: [Errno 28] No space left")
    assert out.read_text() == "old"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".writing")]


def test_no_run_is_one_line(tmp_path, capsys):
    assert main(["--run", str(tmp_path / "none")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "none is not a folder" in error


def test_runs_as_a_module(tmp_path):
    command = [sys.executable, "-m", "recipes.demo.report", "--run", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(tmp_path / "report.html")
