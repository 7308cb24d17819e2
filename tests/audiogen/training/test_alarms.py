"""What is said about trainings that go wrong, and that nothing is said about others."""

import logging
import math
from types import SimpleNamespace

import pytest

from audiogen.training.alarms import Alarms, alarms

N = 1024


def rows(*losses, gap=0.1, train=None):
    train = train or losses
    return [
        {"val/loss": loss, "val/loss_shuffled_captions": loss + gap, "train/loss": own}
        for loss, own in zip(losses, train, strict=True)
    ]


@pytest.mark.parametrize(
    ("history", "kind", "words"),
    [
        (rows(5, 4.5, 4.4, gap=0.001), "text", "the text is not used"),
        (rows(5, 4.5, 5.1), "diverging", "the validation loss is 5.1, it was 4.5; lower"),
        (
            rows(5, 4, 4.1, 4.12, 4.13, train=(5, 4, 3.8, 3.5, 3.2)),
            "overfitting",
            "was 4 and is 4.13, while the training loss falls",
        ),
        (rows(6.93, 6.93, 6.92, 6.92), "flat", "a guess among 1024 codes has 6.931"),
        (rows(5, 4.00001, 4.00001, 4.0, 4.0), "flat", "has stayed at 4 for 3 validations"),
    ],
)
def test_what_is_wrong_is_named(history, kind, words):
    found = alarms(history, codebook_size=N)
    assert list(found) == [kind]
    assert words in found[kind]


@pytest.mark.parametrize(
    "history",
    [
        [],
        rows(6.9),
        rows(6.9, 6.5, 6.2, 6.0, 5.9),
        rows(5, 4.5, gap=0.0),  # too early to say
        rows(5, 4.5, 4.4, gap=0.001)[:2] + rows(4.3, gap=0.05),  # it begins to read
        rows(4, 4.05, 4.02, 4.03, train=(4, 4.1, 4.2, 4.1)),  # noise
        [{"val/loss": loss} for loss in (5, 4.5, 4.4)],  # one item, whose caption has no other
        [{"val/loss": math.nan}],
    ],
)
def test_nothing_is_said_of_what_is_well(history):
    assert alarms(history, codebook_size=N) == {}


def trainer_after(step, values):
    return SimpleNamespace(
        sanity_checking=False,
        state=SimpleNamespace(fn="fit"),
        is_global_zero=True,
        global_step=step,
        callback_metrics=values,
    )


def test_each_thing_is_said_once_and_again_if_it_was_better_in_between(caplog):
    watching = Alarms()
    module = SimpleNamespace(shown={"loss": 1.0}, lm=SimpleNamespace(codebook_size=N))
    with caplog.at_level(logging.WARNING):
        for step, loss in enumerate((4.0, 5.0, 5.5, 3.9, 5.0)):
            watching.on_validation_end(trainer_after(step, {"val/loss": loss}), module)
    said = [record.message for record in caplog.records]
    assert [message.split(":")[0] for message in said] == ["after update 1", "after update 4"]


def test_a_run_that_goes_on_remembers_its_validations(caplog):
    first, again = Alarms(), Alarms()
    module = SimpleNamespace(shown={}, lm=SimpleNamespace(codebook_size=N))
    first.on_validation_end(trainer_after(1, {"val/loss": 4.0}), module)
    again.load_state_dict(first.state_dict())
    with caplog.at_level(logging.WARNING):
        again.on_validation_end(trainer_after(2, {"val/loss": 5.0}), module)
    assert "diverging" in caplog.text
