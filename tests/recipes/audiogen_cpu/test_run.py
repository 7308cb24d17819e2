"""run.sh itself, a few steps on a few clips, and what it skips."""

import json
from pathlib import Path

import pytest
import torch

from audiogen.checkpoint import load_codec, save_codec
from audiogen.codec.model import Codec
from audiogen.encode import encode_manifest
from recipes.audiogen_cpu.crops import write_crops
from recipes.datasets.esc50 import prepare_esc50

STAGES = ["data", "crops", "tokens", "lm", "judge", "samples", "report"]


@pytest.fixture
def script(make_script):
    return make_script("audiogen_cpu")


def write_codec(folder: Path) -> Path:
    torch.manual_seed(0)
    sizes = {"num_filters": 2, "dimension": 8, "lstm_layers": 0}
    return save_codec(Codec(**sizes, num_codebooks=4, codebook_size=256).eval(), folder)


def test_begun_it_goes_on_from_there_to_the_report(tmp_path, make_script, warm_python, write_esc50):
    """The first stages, done here as a killed run.sh leaves them, are not done again."""
    data = write_esc50(tmp_path / "ESC-50-master", seconds=1.2)
    run = tmp_path / "run"
    prepare_esc50(data, run / "data")
    crops = write_crops(run / "data" / "manifest.jsonl", seconds=1.0, count=2, seed=2036)
    codec = write_codec(tmp_path / "codec")
    sizes = {"segment_duration": 1, "batch_size": 8, "shard_size": 1024}
    encode_manifest(load_codec(codec), crops, run / "tokens", **sizes, progress=False)
    made = [crops, *(run / "data" / "crops").iterdir(), *(run / "tokens").glob("*-00000.*")]
    before = [path.stat().st_mtime_ns for path in made]
    script = make_script("audiogen_cpu", python=warm_python)
    finished = script.run("--data", data, "--run", run, "--smoke", "--codec", codec)
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
def test_mistakes_end_with_exit_code_2_and_one_line(tmp_path, script, words, said):
    script.assert_refuses(words, said, run=tmp_path / "run")


def test_help_says_how_it_is_called(script):
    script.assert_helps("run.sh --data ESC-50-master [--codec runs/codec_16khz/codec]")
