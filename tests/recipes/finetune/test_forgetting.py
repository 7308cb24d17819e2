import json

import numpy as np
import pytest
import torch
from scipy.special import rel_entr

from audiogen.checkpoint import load_model
from recipes.finetune.forgetting import (
    ask,
    fixed_prompts,
    kl,
    log_probabilities,
    measure,
    record,
    say,
)


def test_kl_is_that_of_scipy():
    rng = np.random.default_rng(0)
    p, q = (rng.dirichlet(np.ones(7), size=(2, 3, 5)) for _ in range(2))
    expected = rel_entr(p, q).sum(axis=-1).mean()
    found = kl(torch.from_numpy(np.log(p)), torch.from_numpy(np.log(q)))
    assert found == pytest.approx(expected, rel=1e-9)
    assert kl(torch.from_numpy(np.log(p)), torch.from_numpy(np.log(p))) == 0


def test_a_model_is_at_distance_zero_from_itself(base):
    model = load_model(base)
    rows = measure(model, ask(model, ["rain", "a dog"], seed=1))
    assert [row["moved"] for row in rows] == pytest.approx([0, 0], abs=1e-6)
    assert all(row["without_caption"] > 0 for row in rows)


def test_the_farther_it_moved_the_greater(base, tmp_path, make_model):
    answers = ask(load_model(base), ["rain"], seed=1)
    moved = [
        measure(load_model(make_model(tmp_path / str(c), change=c)), answers) for c in (0.05, 0.5)
    ]
    small, great = (rows[0]["moved"] for rows in moved)
    assert 0 < small < great / 10


def test_a_prompt_is_answered_the_same_whatever_else_is_asked(base):
    model = load_model(base)
    alone = say(model, "rain", frames=6, samples=2, seed=1)
    torch.testing.assert_close(alone, say(model, "rain", frames=6, samples=2, seed=1))
    assert not torch.equal(alone[0], alone[1])
    assert not torch.equal(alone, say(model, "rain", frames=6, samples=2, seed=2))
    logged = log_probabilities(model, alone, "rain")
    assert logged.shape == (2, 2, 6, 16)
    torch.testing.assert_close(logged.exp().sum(-1), torch.ones(2, 2, 6).double())


def test_record_has_intervals_of_enough_prompts():
    rows = [{"prompt": str(i), "moved": i / 10, "without_caption": 1.0} for i in range(10)]
    found = record({"other": rows, "own": rows[:3]})
    assert found["other"]["moved"]["nats"] == pytest.approx(0.45)
    assert found["other"]["moved"]["low"] < 0.45 < found["other"]["moved"]["high"]
    assert found["own"]["moved"]["low"] is None
    json.dumps(found, allow_nan=False)


def test_there_are_enough_fixed_prompts_for_an_interval():
    prompts = fixed_prompts()
    assert len(set(prompts)) == len(prompts) >= 8
