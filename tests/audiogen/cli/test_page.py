"""The page of a folder of sounds: all of them, nothing but links, and nothing that runs."""

import json
import os
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from audiogen.cli import page
from audiogen.cli.page import write_page

NASTY = '</script><img src=x onerror=alert(1)> <!-- "quoted" \u2028 犬 @NOTE@'


def add(out, number, **changes):
    name = changes.pop("name", f"sound-{number}")
    record = {
        "file": f"{name}.wav",
        "prompt": f"rain {number}",
        "seed": number,
        "item": 0,
        "settings": {"duration": 1.0, "guidance_scale": 3.0, "top_k": 250, "top_p": 0.0},
        "model": "runs/demo/model",
        "licence": "CC0-1.0",
        "samples": 16000,
        "sample_rate": 16000,
        "command": f"audiogen generate --seed {number} -- 'rain {number}'",
    }
    (out / f"{name}.wav").write_bytes(b"RIFF")
    path = out / f"{name}.json"
    path.write_text(json.dumps(record | changes), encoding="utf-8")
    os.utime(path, (1_000_000 + number, 1_000_000 + number))


class Reader(HTMLParser):
    """Tags, attributes, and the text of the data script."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.data, self.inside = [], "", False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = dict(attrs).get("id") == "sounds"

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        self.data += data if self.inside else ""


def sounds_of(path):
    return json.loads(Reader(path.read_text(encoding="utf-8")).data)


def test_every_sound_newest_first(tmp_path):
    for number in range(3):
        add(tmp_path, number)
    add(tmp_path, 3, score=0.25, loudness=-14.02, item=7)
    (tmp_path / "notes.json").write_text("[1, 2]")
    (tmp_path / "broken.json").write_text('{"file": ')
    add(tmp_path, 9)
    (tmp_path / "sound-9.wav").unlink()  # a record whose sound was removed
    path = write_page(tmp_path)
    sounds = sounds_of(path)
    assert [sound["prompt"] for sound in sounds] == ["rain 3", "rain 2", "rain 1", "rain 0"]
    assert sounds[0]["facts"] == (
        "1 s, seed 3, item 7, guidance scale 3, top k 250, score 0.25, -14.0 LUFS"
    )
    assert sounds[1]["again"] == "audiogen generate --seed 2 -- 'rain 2'"
    assert sounds[1]["file"] == "sound-2.wav"
    assert sounds[1]["licence"] == "CC0-1.0"


def test_what_a_prompt_says_stays_text(tmp_path):
    add(tmp_path, 1, prompt=NASTY, name="50% #1 ?犬", command=NASTY, licence=NASTY)
    text = write_page(tmp_path).read_text(encoding="utf-8")
    (sound,) = sounds_of(tmp_path / "index.html")
    assert sound["prompt"] == sound["again"] == sound["licence"] == NASTY
    assert sound["file"] == "50%25%20%231%20%3F%E7%8A%AC.wav"
    tags = Reader(text).tags
    assert [tag for tag, _ in tags].count("script") == 2
    assert not any(tag == "img" for tag, _ in tags)
    assert "innerHTML" not in text


def test_it_stands_alone(tmp_path):
    """No address of elsewhere, no sound inside: a folder that is copied still plays."""
    add(tmp_path, 1)
    text = write_page(tmp_path).read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z]|data:", text)
    assert 'preload: "none"' in text
    assert "@" not in re.sub(r"@media", "", text)
    assert str(tmp_path.parent) not in text


def test_big_folders_are_capped_and_say_so(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "MOST", 4)
    for number in range(7):
        add(tmp_path, number)
    path = write_page(tmp_path)
    assert [sound["prompt"] for sound in sounds_of(path)] == [f"rain {n}" for n in (6, 5, 4, 3)]
    assert "The first 4 sounds; 3 more are in the folder." in path.read_text()


def test_what_is_asked_for_comes_first_in_its_order(tmp_path):
    for number in range(6):
        add(tmp_path, number)
    path = write_page(tmp_path, ["sound-2.json", "sound-4.json", "none.json", "sound-0.json"])
    assert [sound["name"] for sound in sounds_of(path)] == [
        f"sound-{n}.wav" for n in (2, 4, 0, 5, 3, 1)
    ]
    assert "s.name" in path.read_text()  # it is searched


def test_a_page_while_sounds_are_made(tmp_path, monkeypatch):
    now, written = 100.0, []
    monkeypatch.setattr(page.time, "monotonic", lambda: now)
    monkeypatch.setattr(page, "write_page", lambda out, asked: written.append(now))
    live = page.LivePage(tmp_path, [])
    for _ in range(600):  # a sound each second
        live.sound_made()
        now += 1.0
    assert live.made == 600
    assert written[0] == 100  # a run that is killed early has one too
    pauses = [b - a for a, b in pairwise(written)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 60


def test_a_full_disk_does_not_stop_the_sounds(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "no space")

    monkeypatch.setattr(page, "write_page", full)
    page.LivePage(tmp_path, []).sound_made()


def test_a_page_of_somebody_else_is_kept(tmp_path):
    add(tmp_path, 1)
    (tmp_path / "index.html").write_text("mine")
    assert write_page(tmp_path) is None
    assert (tmp_path / "index.html").read_text() == "mine"
    (tmp_path / "index.html").unlink()
    assert write_page(tmp_path) == write_page(tmp_path) == tmp_path / "index.html"


def test_no_sound_no_page(tmp_path):
    assert write_page(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("settings", [None, 3, {"guidance_window": [0, 2], "greedy": True}])
def test_records_of_another_kind(tmp_path, settings):
    add(tmp_path, 1, settings=settings, samples=None, sample_rate=None, score="high")
    (sound,) = sounds_of(write_page(tmp_path))
    assert sound["prompt"] == "rain 1"
