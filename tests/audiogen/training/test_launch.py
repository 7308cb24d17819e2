"""What people see of a command: exit codes, one line, and how fast it answers."""

import subprocess
import sys
from pathlib import Path

import pytest
from hydra.utils import instantiate
from torch._utils import ExceptionWrapper

from audiogen.audio import AudioError
from audiogen.data.sounds import UnreadableError
from audiogen.text.folders import TextEncoderError
from audiogen.training.launch import explain, nearest_name, spelled_out

ROOT = Path(__file__).parents[3]
VERBS = ["train_codec", "train_lm", "encode_tokens", "generate", "evaluate", "export"]


def run(verb, *words):
    command = [sys.executable, f"scripts/{verb}.py", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("verb", VERBS)
def test_help_and_config_load_nothing_heavy(verb):
    code = (
        "import runpy, sys, atexit\n"
        "atexit.register(lambda: print('LOADED', *{m.split('.')[0] for m in sys.modules}))\n"
        f"sys.argv = ['scripts/{verb}.py', '--cfg', 'job']\n"
        f"runpy.run_path('scripts/{verb}.py', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split("LOADED")[1].split())
    assert not {"torch", "lightning", "transformers", "wandb", "numpy"} & loaded


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["trainer.max_stepz=3"],
            "error: there is no 'trainer.max_stepz' in the configuration: "
            "did you mean 'trainer.max_steps'?",
        ),
        (
            ["experiment=smok_codec"],
            "error: there is no 'experiment/smok_codec' in the configuration: "
            "did you mean 'experiment/smoke_codec'?",
        ),
        (["experimant=smoke"], "did you mean 'experiment'?"),
        (["lr=3"], "did you mean 'optim.lr'?"),
        (["adversarial=null"], "error: Config group override must be a string or a list"),
        (["seed=1", "logger=none"], "error: trainer.max_steps is required and was not given"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(words, line):
    done = run("train_codec", *words)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    assert line in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("trainer.max_step", "trainer.max_steps"),
        ("optim.learning_rate", None),
        ("module.condition_droput", "module.condition_dropout"),
        ("lm/smal", "lm/small"),
        ("batch_size", "data.batch_size"),
    ],
)
def test_nearest_name(wrong, right):
    known = {"trainer.max_steps", "module.condition_dropout", "lm/small", "data.batch_size"}
    assert nearest_name(wrong, known) == right


def test_full_errors_on_demand(monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    done = run("train_codec", "trainer.max_stepz=3")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_an_error_of_a_loading_process_is_one_line_too():
    """As the loader raises it: of the same type, with the traceback in its message."""
    try:
        try:
            raise AudioError("a.wav: empty (0 bytes); download or export it again")
        except AudioError as error:
            raise UnreadableError("m.jsonl: 2 of 6 clips cannot be read") from error
    except UnreadableError:
        passed_on = ExceptionWrapper(where="in DataLoader worker process 0")
    with pytest.raises(UnreadableError) as caught:
        passed_on.reraise()
    line = explain(caught.value, config_name="train_lm", overrides=[])
    assert line == "m.jsonl: 2 of 6 clips cannot be read"
    assert explain(ValueError("Caught by torch"), config_name="train_lm", overrides=[]) is None


def test_an_error_of_ours_is_one_line_wherever_it_came_through():
    error = TextEncoderError("no T5 encoder 't5-small'")
    assert explain(error, config_name="train_lm", overrides=[]) == str(error)
    assert explain(OSError("odd"), config_name="train_lm", overrides=[]) is None


def test_wrong_keywords_of_what_is_built_later_are_one_line():
    target = "audiogen.training.random_data.RandomTokens"
    late = instantiate({"_target_": target, "_partial_": True, "attributes": {}})
    with pytest.raises(TypeError) as caught:
        late()
    line = explain(caught.value, config_name="train_lm", overrides=[])
    assert "unexpected keyword argument 'attributes'" in line
    with pytest.raises(TypeError) as caught:
        len(3)
    assert (
        explain(caught.value, config_name="train_lm", overrides=[]) is None
    )  # a bug, not a mistake


@pytest.mark.parametrize("words", [["run=r", "--to"], ["--to="]])
def test_an_option_without_its_value_is_one_line(capsys, words):
    with pytest.raises(SystemExit) as stop:
        spelled_out(["export.py", *words], {"--to": "format"})
    assert stop.value.code == 2
    assert capsys.readouterr().err == "error: --to needs a value, as format=... does\n"
