import re
import shutil

import torch

from audiogen.audio import write_audio
from recipes import on_track
from recipes.audiogen_cpu.report import main
from recipes.demo.samples import FOLDERS

EVIL = "<img src=x onerror=alert(1)>"


def write_samples(run):
    rng = torch.Generator().manual_seed(0)
    for folder in FOLDERS:
        sound = 0.1 * torch.randn(1, 4000, generator=rng)
        write_audio(run / "samples" / folder / "a.wav", sound, 16_000)
    row = f'{{"file": "a.wav", "caption": "{EVIL}", "labels": {{"class": "dog"}}}}\n'
    (run / "samples" / "captions.jsonl").write_text(row)


def text_of(page):
    page = re.sub(r"<(style|script|svg).*?</\1>", " ", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_page_holds_the_numbers_and_needs_nothing_else(tmp_path, write_run, make_judged):
    found = make_judged()
    run = write_run(tmp_path / "run", found=found)
    write_samples(run)
    assert main(["--run", str(run)]) == 0
    page = (run / "report.html").read_text(encoding="utf-8")
    text = text_of(page)
    assert "7 of 7 hold" in text
    gains = found["gains"]["no_caption"]
    assert f"{gains['nats']:.3f} {gains['low']:.3f} to {gains['high']:.3f}" in text
    book = found["codebooks"][1]
    assert f"2 {book['nats']['caption']:.3f} {book['perplexity']:.1f} of 256" in text
    assert page.count("<audio") == len(FOLDERS)
    assert EVIL not in page
    assert "CC0-1.0" in text
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert all(a.startswith(("data:", "#")) for a in addresses)
    assert "http" not in page.replace('http-equiv="', "")
    assert "what the caption is worth over time" in page


def test_a_run_on_its_way_is_shown_over_the_reference(tmp_path, write_run, monkeypatch):
    run = write_run(tmp_path / "run")
    others = [write_run(tmp_path / str(i), name=f"audiogen_cpu-{i}") for i in range(2)]
    monkeypatch.setattr(on_track, "RECIPES", tmp_path)
    (tmp_path / "audiogen_cpu").mkdir()
    curve = tmp_path / "audiogen_cpu" / "curve.json"
    record = ["--record", *map(str, others), "--curve", str(curve), "--about", "Tones."]
    assert on_track.main(record) == 0
    assert main(["--run", str(run)]) == 0
    text = text_of((run / "report.html").read_text(encoding="utf-8"))
    assert "✓ val/loss is inside the band at update 200" in text
    assert "Tones." in text


def test_what_is_not_there_is_named(tmp_path, write_run, capsys):
    run = write_run(tmp_path / "run")
    shutil.rmtree(run / "judged")
    assert main(["--run", str(run), "--out", str(tmp_path / "page.html")]) == 0
    text = text_of((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert text.count("judged/test.json is not in the run folder") == 2
    assert "samples/captions.jsonl is not in the run folder" in text
    assert main(["--run", str(tmp_path / "none")]) == 2
    assert "is not a folder" in capsys.readouterr().err
