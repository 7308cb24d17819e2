"""Scoring is checked before anything is made, and done once for what has not changed."""

import json
import shutil

import pytest

from recipes.audiocaps_metrics.made import take_given
from recipes.audiocaps_metrics.score import main
from recipes.audiocaps_metrics.table import main as table
from recipes.results import write_results


@pytest.fixture
def scorable(chosen, tmp_path):
    """A run whose sounds are those of other clips."""
    given = tmp_path / "given"
    given.mkdir()
    names = sorted(path.name for path in (chosen / "reference").iterdir())
    for name, other in zip(names, names[1:] + names[:1], strict=True):
        shutil.copy(chosen / "reference" / other, given / name)
    found = take_given(chosen, chosen / "stand_in" / "test.csv", given)
    write_results(chosen / "generated.json", found)
    return chosen


def call(run, *words, protocol="demo"):
    fixed = ["--run", run, "--protocol", protocol, "--cache", run / "cache", "--workers", 0]
    return main([str(word) for word in [*fixed, *words]])


def test_it_is_done_once_and_again_after_a_change(scorable, capsys):
    assert call(scorable) == 0
    report = scorable / "scores" / "demo.json"
    first = report.stat().st_mtime_ns
    assert call(scorable) == 0
    assert "is there already" in capsys.readouterr().err
    assert report.stat().st_mtime_ns == first
    assert (scorable / "scores" / "demo.html").is_file()
    assert call(scorable, "--dtype", "bfloat16") == 0
    assert report.stat().st_mtime_ns != first
    for inputs in ("{half", json.dumps({"inputs": {}})):
        (scorable / "scores" / "demo.inputs").write_text(inputs)
        assert call(scorable) == 0
    assert report.stat().st_mtime_ns != first
    kept = list((scorable / "cache").rglob("*.safetensors"))
    assert kept


def test_a_sound_that_no_card_could_score_is_left_out_by_name(scorable, capsys):
    name = sorted((scorable / "reference").iterdir())[0].stem
    assert call(scorable, f"--without={name}") == 0
    report = json.loads((scorable / "scores" / "demo.json").read_text())
    assert report["data"]["pairs"] == 2
    assert table(["--run", str(scorable)]) == 0
    assert "1 sounds were left out of the score" in capsys.readouterr().out
    assert call(scorable) == 0
    report = json.loads((scorable / "scores" / "demo.json").read_text())
    assert report["data"]["pairs"] == 3
    assert call(scorable, "--without", "Yother") == 2
    assert "has no such sound" in capsys.readouterr().err


def test_a_card_may_want_all_captions_of_a_clip(scorable, tmp_path):
    from evaluation.protocols.card import FOLDER

    for how, count in (("first", 1), ("all", 5)):
        card = tmp_path / f"{how}.yaml"
        text = (FOLDER / "demo.yaml").read_text().replace("name: demo", f"name: {how}")
        card.write_text(text.replace("captions: none", f"captions: {how}"))
        assert call(scorable, protocol=str(card)) == 0
        items = json.loads((scorable / "scores" / f"{how}.json").read_text())["items"]
        assert {len(item["captions"]) for item in items} == {count}


def test_what_cannot_be_scored_is_known_beforehand(tmp_path, capsys):
    run = tmp_path / "run"
    assert call(run, "--check") == 0
    for words, said in [
        (["--weights", tmp_path], "no network of protocol audiocraft can be used"),
        (["--weights", "random", "--device", "cuda:77"], "no device 'cuda:77' here"),
        (["--protocol", "none"], "no protocol 'none'"),
    ]:
        assert call(run, "--check", *words, protocol="audiocraft") == 2
        assert said in capsys.readouterr().err.strip().splitlines()[-1]
    (tmp_path / "vggish-10086976.pth").write_bytes(b"<html>404</html>")
    assert call(run, "--check", "--weights", tmp_path, protocol="audiocraft") == 2
    said = capsys.readouterr().err
    assert "not computed: kld_passt" in said
    assert "vggish-10086976.pth" in said.strip().splitlines()[-1]
    assert call(run, "--check", "--weights", "random", protocol="audiocraft") == 0
    assert call(run) == 2
    assert not run.exists()
