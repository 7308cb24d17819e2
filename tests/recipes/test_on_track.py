import shutil

import pytest
import yaml

from recipes import on_track
from recipes.on_track import RECIPES, main
from recipes.page.on_track import read_reference

CURVES = sorted(RECIPES.glob("*/curve.json"))


def write_run(folder, losses=(3.0, 2.0, 1.0), *, done=True, dim=8, size=128):
    """A run folder as run.sh leaves it."""
    training = folder / "train_lm" / f"demo_lm-{folder.name}"
    training.mkdir(parents=True)
    rows = [f"{10 * (i + 1)},{loss}" for i, loss in enumerate(losses)]
    (training / "metrics.csv").write_text("\n".join(["step,val/loss", *rows]) + "\n")
    config = {"name": "demo_lm", "lm": {"dim": dim}, "data": {"batch_size": 2}}
    config["codec"] = {"num_codebooks": 4, "codebook_size": size}
    (training / "config.yaml").write_text(yaml.safe_dump(config))
    if done:
        (training / "done.json").write_text("{}")
    return folder


@pytest.fixture
def curve(tmp_path):
    runs = [write_run(tmp_path / name, (3.0 + d, 2.0 + d, 1.0 + d)) for name, d in RUNS.items()]
    path = tmp_path / "curve.json"
    words = ["--record", *map(str, runs), "--curve", str(path), "--about", "Tones <b>."]
    assert main(words) == 0
    return path


RUNS = {"a": 0.0, "b": 0.1, "c": -0.1}


def test_bands_of_finished_runs_judge_another_one(curve, tmp_path, capsys):
    reference = read_reference(curve)
    assert reference.runs == ["demo_lm-a", "demo_lm-b", "demo_lm-c"]
    assert reference.settings["lm.dim"] == 8
    capsys.readouterr()
    good = write_run(tmp_path / "good", (3.05, 2.0, 1.0), done=False)
    assert main(["--run", str(good), "--curve", str(curve)]) == 0
    shown = capsys.readouterr()
    page = good / "on_track.html"
    assert shown.out.startswith(f"{page}: val/loss is inside the band at update 30: 1.000")
    text = page.read_text(encoding="utf-8")
    assert "Tones &lt;b&gt;." in text
    assert "<svg" in text
    assert "This run is one of them" not in text
    assert main(["--run", str(tmp_path / "a"), "--curve", str(curve), "--out", str(page)]) == 0
    assert "This run is one of them" in page.read_text(encoding="utf-8")
    bad = write_run(tmp_path / "bad", (3.0, 2.0, 2.0))
    training = next((bad / "train_lm").iterdir())
    assert main(["--run", str(training), "--curve", str(curve), "--out", str(page)]) == 1
    assert "above the band by" in capsys.readouterr().out


def test_other_settings_are_said(curve, tmp_path, capsys):
    run = write_run(tmp_path / "wide", dim=16)
    assert main(["--run", str(run), "--curve", str(curve)]) == 0
    assert "not the same: lm.dim is 16 here, 8 there" in capsys.readouterr().err


def test_losses_of_other_codes_are_not_judged(curve, tmp_path, capsys):
    run = write_run(tmp_path / "fine", size=2048)
    assert main(["--run", str(run), "--curve", str(curve)]) == 2
    said = capsys.readouterr()
    assert "(codec.codebook_size=2048) cannot be compared" in said.err
    assert said.err.count("\n") == 1
    assert not said.out
    assert not (run / "on_track.html").exists()


def test_the_recipe_of_the_experiment_is_found(curve, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(on_track, "RECIPES", tmp_path / "recipes")
    run = write_run(tmp_path / "mine")
    assert main(["--run", str(run)]) == 2
    assert "no recipe has a reference curve of demo_lm" in capsys.readouterr().err
    (tmp_path / "recipes" / "demo").mkdir(parents=True)
    shutil.copy(curve, tmp_path / "recipes" / "demo" / "curve.json")
    assert main(["--run", str(run)]) == 0


def test_runs_that_make_no_band_are_refused(tmp_path, capsys):
    a, b = (write_run(tmp_path / name) for name in "ab")
    wide = write_run(tmp_path / "wide", dim=16)
    going = write_run(tmp_path / "going", done=False)
    out = ["--curve", str(tmp_path / "curve.json"), "--about", "x"]
    for runs, said in (
        ([a], "takes 2 runs, got 1"),
        ([a, a], "a run is named twice"),
        ([a, wide], "other settings than"),
        ([a, going], "is not finished"),
        ([a, tmp_path / "none"], "metrics.csv is not in the run folder"),
    ):
        assert main(["--record", *map(str, runs), *out]) == 2
        assert said in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["--record", str(a), str(b)])
    assert "--record needs --curve and --about" in capsys.readouterr().err
    assert not (tmp_path / "curve.json").exists()


@pytest.mark.parametrize("path", CURVES, ids=lambda path: path.parent.name)
def test_every_curve_that_is_shipped_can_be_read(path):
    reference = read_reference(path)
    assert len(reference.runs) == len(set(reference.runs)) >= 3
    for name in ("val/loss", "train/loss", "val/loss_codebook_0", "val/loss_codebook_3"):
        band = reference.bands[name]
        ends = zip(band.low, band.median, band.high, strict=True)
        assert all(low < middle < high for low, middle, high in ends)
        assert band.steps[-1] == reference.settings["trainer.max_steps"]
    assert "2026" in reference.about
