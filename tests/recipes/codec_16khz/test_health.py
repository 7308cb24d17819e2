import json
import os
import re
import shutil
from html.parser import HTMLParser

import pytest
import torch
from scipy import stats

from audiogen.checkpoint import load_codec, save_codec
from audiogen.data.manifest import read_manifest, write_manifest
from recipes.codec_16khz.health import history_of, main
from recipes.codec_16khz.page import listen

EVIL = "<img src=x onerror=alert(1)>"
VOID = {"meta", "img", "br"}
ROWS = """step,epoch,train/loss,val/si_sdr,val/mel_distance,codebooks/drift_0,codebooks/restarts_0
10,0,2.0,-3.5,0.9,0.5,4
20,0,1.0,1.5,0.6,0.25,7
"""


class Page(HTMLParser):
    """Texts and addresses of a page; complains about tags that are not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.texts, self.tags, self.addresses = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [v for k, v in attrs if k in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def arguments(codec, manifest, out, *more):
    words = ["--codec", codec, "--manifest", manifest, "--out", out, *more]
    return [str(word) for word in words]


@pytest.fixture(scope="module")
def judged(tmp_path_factory, codec_folder, manifest):
    """The folder of a result with the curves of a run."""
    folder = tmp_path_factory.mktemp("judged")
    run = folder / "run" / "train_codec" / "codec_16khz_cpu-1"
    run.mkdir(parents=True)
    (run / "metrics.csv").write_text(ROWS)
    (run / "done.json").write_text("{}")
    out = folder / "out"
    assert main(arguments(codec_folder, manifest, out, "--run", folder / "run")) == 0
    return out


@pytest.fixture(scope="module")
def record(judged):
    return json.loads((judged / "health.json").read_text())


@pytest.fixture(scope="module")
def page(judged):
    return (judged / "health.html").read_text(encoding="utf-8")


def text_of(page):
    return re.sub(r"\s+", " ", " ".join(Page(page).texts))


def test_numbers_come_from_the_codes_of_the_test_clips(record, codec_folder, manifest):
    assert (record["sounds"]["n"], record["health"]["frames"]) == (8, 200)
    counts = torch.tensor(record["counts"])
    codec = load_codec(codec_folder)
    for clip in read_manifest(manifest):
        if clip.split == "test":
            assert clip.id in {row["id"] for row in record["clips"]}
    entropy = stats.entropy(counts.numpy(), base=2, axis=1)
    assert [b["entropy"] for b in record["health"]["codebooks"]] == pytest.approx(list(entropy))
    assert record["health"]["nominal_bitrate"] == pytest.approx(2 * 4 * 50 / 1000)
    assert record["health"]["effective_bitrate"] == pytest.approx(sum(entropy) * 50 / 1000)
    assert [b["restarts"] for b in record["health"]["codebooks"]] == [5, 0]
    assert record["codec"]["fingerprint"] == codec.fingerprint()
    distances = [row["mel_distance"] for row in record["clips"]]
    assert record["scores"]["mel_distance"] == pytest.approx(sum(distances) / 8)
    assert {row["name"]: row["n"] for row in record["classes"]} == dict.fromkeys(
        ("bell", "dog", "rain", "wind"), 2
    )


def test_page_is_whole_and_needs_nothing_else(page):
    parsed = Page(page)
    assert all(a.startswith(("data:", "#")) for a in parsed.addresses)
    assert parsed.tags.count("audio") == 16  # worst and median of four classes, before and after
    assert parsed.tags.count("script") == 1
    assert "default-src 'none'" in page
    assert "http" not in page.replace('http-equiv="', "")


def test_page_says_what_is_found(page):
    text = text_of(page)
    for words in (
        "What needs attention", "The round trips are not the sounds",
        "Where the lines are drawn, and why", "Codebooks", "codebook 2",
        "What each class loses", "worst of 2", "median of 2", "Original", "Round trip", "CC0-1.0",
        "SI-SDR", "drift of the entries", "restarted entries", "Last: validation 1.5",
    ):  # fmt: skip
        assert words in text, words
    assert "Expected and reached" in text  # the run bears the name of the recipe's experiment


def test_a_second_start_writes_nothing_and_another_split_does(
    judged, codec_folder, manifest, tmp_path, capsys
):
    out = tmp_path / "out"
    shutil.copytree(judged, out)
    run = ["--run", str(judged.parent / "run")]
    before = (out / "health.html").stat().st_mtime_ns
    assert main(arguments(codec_folder, manifest, out, *run)) == 0
    assert capsys.readouterr().out.strip() == str(out / "health.html")
    assert (out / "health.html").stat().st_mtime_ns == before
    assert main(arguments(codec_folder, manifest, out, "--split", "train")) == 0
    assert json.loads((out / "health.json").read_text())["sounds"]["n"] == 1
    text = text_of((out / "health.html").read_text(encoding="utf-8"))
    assert "No training run was given" in text
    assert "Expected and reached" not in text


def test_a_half_written_result_is_made_again(judged, codec_folder, manifest, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "health.json").write_text((judged / "health.json").read_text()[:100])
    assert main(arguments(codec_folder, manifest, out)) == 0
    assert json.loads((out / "health.json").read_text())["sounds"]["n"] == 8
    assert (out / "health.html").is_file()


def test_texts_from_outside_are_escaped_and_unlabeled_clips_have_a_row(
    codec_folder, write_clips, tmp_path
):
    first, second, third = write_clips(tmp_path, number=3)
    rows = [
        type(first)(**{**values(first), "labels": {"class": EVIL}, "licence": EVIL}),
        second,
        type(third)(**{**values(third), "labels": {}}),
    ]
    write_manifest(tmp_path / "manifest.jsonl", rows)
    out = tmp_path / "out"
    assert main(arguments(codec_folder, tmp_path / "manifest.jsonl", out)) == 0
    page = (out / "health.html").read_text(encoding="utf-8")
    assert "<img src=x" not in page
    assert EVIL in " ".join(Page(page).texts)
    assert "no class" in text_of(page)


def values(clip):
    return {name: getattr(clip, name) for name in clip.__slots__}


def test_without_labels_there_is_one_row(codec_folder, write_clips, tmp_path):
    rows = [
        type(clip)(**{**values(clip), "labels": {}}) for clip in write_clips(tmp_path, number=3)
    ]
    write_manifest(tmp_path / "manifest.jsonl", rows)
    assert main(arguments(codec_folder, tmp_path / "manifest.jsonl", tmp_path / "out")) == 0
    found = json.loads((tmp_path / "out" / "health.json").read_text())
    assert [(row["name"], row["n"]) for row in found["classes"]] == [("all clips", 3)]


def test_a_full_page_counts_what_it_leaves_out(monkeypatch, codec_folder, manifest, tmp_path):
    monkeypatch.setattr(listen, "MAX_BYTES", 40_000)
    assert main(arguments(codec_folder, manifest, tmp_path / "out")) == 0
    page = (tmp_path / "out" / "health.html").read_text(encoding="utf-8")
    shown = Page(page).tags.count("audio") // 2
    assert 0 < shown < 8
    assert f"{8 - shown} more would not fit" in text_of(page)


def test_history_is_that_of_the_folder_or_of_the_one_inside(tmp_path):
    run = tmp_path / "train_codec" / "x-1"
    run.mkdir(parents=True)
    (run / "metrics.csv").write_text(ROWS)
    assert history_of(run).rows == history_of(tmp_path).rows
    assert history_of(None) is None
    with pytest.raises(ValueError, match=r"neither metrics\.csv nor"):
        history_of(tmp_path / "train_codec")


def mistake(capsys, *words):
    """Exit code and the only line of stderr."""
    code = main([str(word) for word in words])
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return code, lines[0]


def test_mistakes_are_one_line_and_leave_nothing(
    capsys, codec_folder, manifest, small_codec, write_clips, tmp_path
):
    out = tmp_path / "out"
    code, said = mistake(capsys, *arguments(codec_folder, manifest, out, "--split", "valid"))
    assert (code, "no clip of the split “valid”" in said) == (2, True)
    other = save_codec(small_codec(sample_rate=24_000), tmp_path / "codec")
    code, said = mistake(capsys, *arguments(other, manifest, out))
    assert (code, "16000 Hz, and the codec works at 24000 Hz" in said) == (2, True)
    code, said = mistake(capsys, *arguments(tmp_path / "none", manifest, out))
    assert (code, "none" in said) == (2, True)
    code, said = mistake(capsys, *arguments(codec_folder, tmp_path / "no.jsonl", out))
    assert (code, "no.jsonl: make one by `python -m recipes.datasets.folder" in said) == (2, True)
    code, said = mistake(capsys, *arguments(codec_folder, tmp_path, out))
    assert (code, "there is no manifest" in said) == (2, True)
    code, said = mistake(capsys, *arguments(codec_folder, manifest, out, "--run", tmp_path))
    assert (code, "neither metrics.csv" in said) == (2, True)
    assert not out.exists()
    (tmp_path / "file").touch()
    code, said = mistake(capsys, *arguments(codec_folder, manifest, tmp_path / "file" / "out"))
    assert (code, "file" in said) == (2, True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(capsys, codec_folder, manifest, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    code, said = mistake(capsys, *arguments(codec_folder, manifest, locked / "out"))
    assert (code, "locked" in said) == (2, True)
