"""run.sh itself, a few steps on a few clips, and what it skips."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from audiogen.checkpoint import load_codec, save_codec
from audiogen.codec.model import Codec
from audiogen.encode import encode_manifest
from recipes.audiogen_cpu.crops import write_crops
from recipes.datasets.esc50 import prepare_esc50

ROOT = Path(__file__).parents[3]
STAGES = ["data", "crops", "tokens", "lm", "judge", "samples", "report"]


def command(*words: object) -> list[str]:
    return ["bash", str(ROOT / "recipes/audiogen_cpu/run.sh"), *map(str, words)]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}


def run_sh(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words), env=environment(), capture_output=True, text=True, check=False
    )


def write_esc50(root: Path) -> None:
    """Ten clips of 1.2 s in the layout of ESC-50."""
    rng = np.random.default_rng(0)
    (root / "meta").mkdir(parents=True)
    (root / "audio").mkdir()
    rows = ["filename,fold,category"]
    for i in range(10):
        tone = np.sin(2 * np.pi * (300 + 100 * i) * np.arange(19_200) / 16_000)
        sound = 0.3 * tone + 0.05 * rng.standard_normal(19_200)
        soundfile.write(root / "audio" / f"{i}.wav", sound, 16_000)
        rows.append(f"{i}.wav,{i % 5 + 1},{('dog', 'rain')[i // 5]}")
    (root / "meta" / "esc50.csv").write_text("\n".join(rows) + "\n")


def write_codec(folder: Path) -> Path:
    torch.manual_seed(0)
    sizes = {"num_filters": 2, "dimension": 8, "lstm_layers": 0}
    return save_codec(Codec(**sizes, num_codebooks=4, codebook_size=256).eval(), folder)


def test_begun_it_goes_on_from_there_to_the_report(tmp_path):
    """The first stages, done here as a killed run.sh leaves them, are not done again."""
    write_esc50(tmp_path / "ESC-50-master")
    run = tmp_path / "run"
    prepare_esc50(tmp_path / "ESC-50-master", run / "data")
    crops = write_crops(run / "data" / "manifest.jsonl", seconds=1.0, count=2, seed=2036)
    codec = write_codec(tmp_path / "codec")
    sizes = {"segment_duration": 1, "batch_size": 8, "shard_size": 1024}
    encode_manifest(load_codec(codec), crops, run / "tokens", **sizes, progress=False)
    made = [crops, *(run / "data" / "crops").iterdir(), *(run / "tokens").glob("*-00000.*")]
    before = [path.stat().st_mtime_ns for path in made]
    words = ["--data", tmp_path / "ESC-50-master", "--run", run, "--smoke", "--codec", codec]
    finished = run_sh(*words)
    assert finished.returncode == 0, finished.stderr[-3000:]
    assert [path.stat().st_mtime_ns for path in made] == before
    test = json.loads((run / "judged/test.json").read_text())
    assert (test["n"], test["sources"], test["seconds"]) == (2, ["esc50"], pytest.approx(2.4))
    assert json.loads((run / "judged/train.json").read_text())["n"] == 12
    assert len(list(run.glob("samples/generated/*.wav"))) == 2
    card = json.loads((run / "model" / "config.json").read_text())["card"]
    assert card["licence"] == "CC BY-NC 3.0"
    stages = [json.loads(line)["stage"] for line in (run / "stages.jsonl").read_text().splitlines()]
    assert stages == STAGES
    assert "Is the caption used?" in (run / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--nonsense"], "unknown argument --nonsense"),
        ([], "--data needs the folder of ESC-50"),
        (["--data", "x", "--codec", "none"], "none is not the folder of a codec"),
        (["--data", "x", "--experiment", "none"], "no conf/experiment/none.yaml"),
        (["--data", "no/such/folder"], "no/such/folder"),
    ],
)
def test_mistakes_end_with_exit_code_2_and_one_line(tmp_path, words, said):
    finished = run_sh("--run", tmp_path / "run", *words)
    assert finished.returncode == 2
    errors = [line for line in finished.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert said in errors[0]
    assert not (tmp_path / "run" / "data").exists()


def test_help_says_how_it_is_called():
    shown = run_sh("--help")
    assert shown.returncode == 0
    assert "run.sh --data ESC-50-master [--codec runs/codec_16khz/codec]" in shown.stdout
    assert "#" not in shown.stdout
