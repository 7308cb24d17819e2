import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from audiogen.training.launch import RunError
from audiogen.training.numbers import REAL, WHOLE, check_numbers

ROOT = Path(__file__).parents[3]


def make(**changes):
    cfg = OmegaConf.create({"trainer": {"max_steps": 3, "val_check_interval": 1}, "seed": 1})
    for key, value in changes.items():
        OmegaConf.update(cfg, key, value, force_add=True)
    return cfg


def test_what_is_not_there_is_not_asked_for():
    check_numbers(make())
    check_numbers(make(samples=None, **{"module.gradient_clip": None, "optim.lr": 1}))


@pytest.mark.parametrize("key", [*WHOLE, *REAL])
@pytest.mark.parametrize("value", ["abc", "3", True, [1], float("nan")])
def test_words_lists_and_truths_are_no_numbers(key, value):
    with pytest.raises(RunError, match=rf"^{key} must be a (whole )?number"):
        check_numbers(make(**{key: value}))


@pytest.mark.parametrize("key", WHOLE)
def test_bounds(key):
    lowest, _ = WHOLE[key]
    check_numbers(make(**{key: lowest}))
    for value in (lowest - 1, lowest + 0.5):
        with pytest.raises(RunError, match=rf"{key} must be a whole number, {lowest} (or more|to)"):
            check_numbers(make(**{key: value}))


@pytest.mark.parametrize(
    ("key", "ours"),
    [
        ("trainer.accumulate_grad_batches", "module.accumulate"),
        ("trainer.gradient_clip_val", "module.gradient_clip"),
    ],
)
def test_lightnings_words_for_what_modules_do_are_refused(key, ours):
    check_numbers(make(**{ours: 1, key: None}))
    check_numbers(make(**{key: 2}))  # a module without a way of its own
    with pytest.raises(RunError, match=f"{key} is not used here: set {ours}"):
        check_numbers(make(**{ours: 1, key: 2}))


def test_null_where_a_number_is_needed():
    with pytest.raises(RunError, match="checkpoint_every must be a whole number"):
        check_numbers(make(checkpoint_every=None))


@pytest.mark.parametrize("word", ["trainer.max_steps=abc", "optim.lr=abc", "data.batch_size=0"])
def test_the_answer_comes_before_the_training_stack_loads(word, tmp_path):
    words = ["experiment=smoke_codec", f"paths.runs={tmp_path}", word]
    code = (
        "import runpy, sys, atexit\n"
        "atexit.register(lambda: print('LOADED', *{m.split('.')[0] for m in sys.modules}))\n"
        f"sys.argv = ['scripts/train_codec.py', *{words!r}]\n"
        "runpy.run_path('scripts/train_codec.py', run_name='__main__')"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {word.partition('=')[0]} must be a ")
    assert done.stderr.count("\n") == 1
    assert not {"torch", "lightning", "numpy"} & set(done.stdout.split("LOADED")[1].split())
