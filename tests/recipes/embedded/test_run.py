"""run.sh of the embedded model, a few steps per stage: from nothing to a folder, and again."""

import json

import pytest
import torch
from safetensors.torch import load_file

from audiogen import AudioGen
from audiogen.data.synthetic_phrases import vocabulary

STAGES = ["data", "probe_data", "codec", "half", "captions", "tokens", "lm", "build", "samples",
          "probe", "prompts", "card"]  # fmt: skip


@pytest.fixture
def script(make_script):
    return make_script("embedded")


def test_from_nothing_to_a_folder_that_generates(tmp_path, make_script, warm_python):
    run, into = tmp_path / "run", tmp_path / "package" / "model"
    finished = make_script("embedded", python=warm_python).run(
        "--run", run, "--smoke", "--into", into
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    rows = [json.loads(line) for line in (run / "stages.jsonl").read_text().splitlines()]
    assert [row["stage"] for row in rows] == STAGES
    assert "this was a smoke test" in finished.stderr
    assert "size of the folder" in finished.stdout

    assert (into / "words.txt").read_text().split() == sorted(vocabulary())
    stored = load_file(into / "lm.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.float16}
    card = json.loads((into / "config.json").read_text())["card"]
    assert card["licence"] == "CC0-1.0"
    assert any(line.startswith("generated, guidance 3: family 0.") for line in
               card["how_far_it_follows_a_caption"])  # fmt: skip
    # What was judged is what is shipped: the card alone differs.
    for name in ("lm", "codec", "text"):
        file = f"{name}.safetensors"
        assert (into / file).read_bytes() == (run / "embedded" / file).read_bytes()
    model = AudioGen.from_pretrained(into)
    assert model.max_duration == 1.0
    assert model.generate(["rain"], seed=1, duration=0.1).isfinite().all()


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--nonsense"], "unknown argument --nonsense"), (["--into"], "--into needs a value")],
)
def test_mistakes_end_with_exit_code_2_and_one_line(tmp_path, script, words, said):
    script.assert_refuses(["--smoke", *words], said, run=tmp_path / "run")


def test_without_its_python_it_says_what_to_do(tmp_path, script):
    script.assert_names_a_missing_python(tmp_path)


def test_help_says_how_it_is_called(script):
    script.assert_helps("run.sh [--run runs/embedded] [--seed 2036] [--into FOLDER] [--smoke]")
