"""Scores of generated sounds while training: their names, what is missing, what they disturb."""

import json
import logging
import random
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch

from audiogen.pipeline import AudioGen
from audiogen.training.scores import Scores, named
from audiogen.training.streams import streams_kept
from evaluation.protocols.card import FOLDER
from evaluation.ready import missing_lines
from evaluation.suite import computable

from .test_lm_batches import data_of, make, rows_of, sounds
from .test_lm_module import fit

__all__ = ["sounds"]  # a fixture
STAND_INS = {"val/frechet_logmel_standin", "val/level_difference_db"}


@pytest.fixture
def card(tmp_path):
    """A protocol for sounds of a quarter of a second."""
    text = (FOLDER / "demo.yaml").read_text().replace("name: demo", "name: mine")
    text = text.replace("patch: 1.0", "patch: 0.1")
    path = tmp_path / "card.yaml"
    path.write_text(text.replace("hop: 0.5", "hop: 0.05").replace("resamples: 400", "resamples: 5"))
    return str(path)


def train(sounds, folder, *, kind="codes", scores=None, root=None, **changes):
    module = make(sounds, lm={"dropout": 0.3}, **changes)
    callbacks = [] if scores is None else [scores]
    data = data_of(sounds, kind)
    options = {"callbacks": callbacks, "default_root_dir": root, "validate": 2}
    return fit(module, folder, steps=4, data=data, **options)


@pytest.mark.parametrize("kind", ["codes", "sounds"])
def test_scores_are_in_the_history_by_their_own_names(sounds, tmp_path, card, kind):
    scores = Scores(every=4, count=3, protocol=card)
    trainer = train(sounds, tmp_path / "run", kind=kind, scores=scores, root=tmp_path)
    row = rows_of(trainer)[-1]
    assert row.keys() >= STAND_INS
    assert "val/fad" not in row
    report = json.loads((tmp_path / "scores" / "step-000000004.json").read_text())
    assert report["protocol"]["name"] == "mine"
    rows = (tmp_path / "scores" / "captions.csv").read_text().splitlines()
    assert rows[1:] == ["00000.wav,rain on a roof", "00001.wav,a dog barks", "00002.wav,wind"]
    assert [item["name"] for item in report["items"]] == ["00000", "00001", "00002"]
    assert not any("captions" in text for text in report["warnings"])  # the card takes none
    level = float(row["val/level_difference_db"])
    assert report["scores"]["level_difference_db"]["value"] == pytest.approx(level)


def test_training_is_the_same_with_them_and_without(sounds, tmp_path, card, monkeypatch):
    """Dropout draws from the global stream; a library that draws from it, too, changes nothing."""
    import audiogen.training.scores as module

    evaluate = module.evaluate

    def drawing(*arguments, **keywords):
        random.random(), np.random.rand(), torch.rand(3)  # noqa: NPY002
        return evaluate(*arguments, **keywords)

    monkeypatch.setattr(module, "evaluate", drawing)
    rows = []
    for scores in (None, Scores(every=2, count=2, protocol=card)):
        trainer = train(sounds, tmp_path / str(scores is None), scores=scores, root=tmp_path)
        rows.append(rows_of(trainer))
    assert [bool(STAND_INS & row.keys()) for row in rows[1]] == [False, True, False, True]
    assert [{k: v for k, v in row.items() if k not in STAND_INS} for row in rows[1]] == rows[0]


def test_streams_are_given_back_even_after_an_error():
    def draws():
        return random.random(), np.random.rand(), torch.rand(()).item()  # noqa: NPY002

    random.seed(1), np.random.seed(1), torch.manual_seed(1)  # noqa: NPY002
    expected = draws()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)  # noqa: NPY002
    with suppress(RuntimeError), streams_kept():
        draws()
        raise RuntimeError
    assert draws() == expected


def test_what_cannot_be_computed_is_one_line_before_training(sounds, tmp_path, caplog):
    scores = Scores(every=1, count=2, protocol="audiocraft", weights=str(tmp_path))
    assert scores.metrics == ["level_difference_db"]
    scores.metrics = []  # nothing is left to generate for
    trainer = train(sounds, tmp_path / "run", scores=scores)
    said = [r.message for r in caplog.records if "validation goes without" in r.message]
    assert [line.split(":")[0].split(maxsplit=3)[-1] for line in said] == [
        "fad_vggish",
        "kld_passt",
        "clap_score",
    ]
    assert all("another folder with scores.weights=" in line for line in said)
    assert not STAND_INS & rows_of(trainer)[-1].keys()


def test_metrics_of_one_reason_share_a_line():
    missing = {"a": "no weights", "b": "no captions", "c": "no weights"}
    assert missing_lines(missing) == ["a, c: no weights", "b: no captions"]


def test_without_a_codec_there_are_none(sounds, tmp_path, caplog, card):
    scores = Scores(every=1, count=2, protocol=card)
    with caplog.at_level(logging.INFO):
        trainer = train(sounds, tmp_path / "run", scores=scores, codec_folder=None)
    assert "validation goes without scores: codec_folder was not given" in caplog.text
    assert not STAND_INS & rows_of(trainer)[-1].keys()


def test_sounds_that_cannot_be_scored_do_not_stop_a_training(sounds, tmp_path, caplog, card):
    Path(card).write_text(Path(card).read_text().replace("min_duration: 0.0", "min_duration: 9.0"))
    trainer = train(sounds, tmp_path, scores=Scores(every=1, count=2, protocol=card), root=tmp_path)
    assert "no scores after update 4: no pair is left to score" in caplog.text
    assert "val/loss" in rows_of(trainer)[-1]


@pytest.mark.parametrize(("at", "said"), [("0", "2 of 3"), (":", "3 of 3")])
def test_sounds_that_are_not_finite_are_counted_and_not_scored(
    sounds, tmp_path, caplog, card, monkeypatch, at, said
):
    def spoil(model, *args, **options):
        made = generate(model, *args, **options)
        made[0 if at == "0" else slice(None), :, 3] = float("inf")
        return made

    generate = AudioGen.generate
    monkeypatch.setattr(AudioGen, "generate", spoil)
    scores = Scores(every=4, count=3, protocol=card, batch_size=2)
    trainer = train(sounds, tmp_path, scores=scores, root=tmp_path)
    assert f"no scores after update 4: {said} generated sounds have samples that" in caplog.text
    assert not STAND_INS & rows_of(trainer)[-1].keys()


def test_sounds_beyond_full_scale_are_counted(sounds, tmp_path, caplog, card, monkeypatch):
    def shout(model, *args, **options):
        made = generate(model, *args, **options)
        made *= 0.5 / made.abs().max()
        made[1, 0, 5] = -4
        return made

    generate = AudioGen.generate
    monkeypatch.setattr(AudioGen, "generate", shout)
    with caplog.at_level(logging.INFO):
        scores = Scores(every=4, count=2, protocol=card)
        trainer = train(sounds, tmp_path, scores=scores, root=tmp_path)
    said = (
        "1 of 2 generated sounds were beyond full scale and are clipped, 00001.wav at a peak of 4"
    )
    assert f"scores: {said}" in caplog.text
    report = json.loads((tmp_path / "scores" / "step-000000004.json").read_text())
    assert said in report["warnings"]
    assert rows_of(trainer)[-1].keys() >= STAND_INS


def test_memory_that_runs_out_costs_the_scores_and_not_the_training(
    sounds, tmp_path, caplog, card, monkeypatch
):
    def fail(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("audiogen.training.scores.evaluate", fail)
    scores = Scores(every=4, count=2, protocol=card)
    trainer = train(sounds, tmp_path, scores=scores, root=tmp_path)
    assert "no scores after update 4: CUDA out of memory; fewer with" in caplog.text
    assert "val/loss" in rows_of(trainer)[-1]


def test_a_fault_of_the_program_is_no_lack_of_memory(sounds, tmp_path, card, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr("audiogen.training.scores.evaluate", fail)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        train(sounds, tmp_path, scores=Scores(every=4, count=2, protocol=card), root=tmp_path)


def test_weights_of_another_network_stop_it_before_it_starts(sounds, tmp_path):
    (tmp_path / "vggish-10086976.pth").write_bytes(b"<html>404</html>")
    scores = Scores(every=1, count=2, metrics=["fad_vggish"], weights=str(tmp_path))
    with pytest.raises(ValueError, match=r"scores: .*vggish-10086976\.pth"):
        train(sounds, tmp_path / "run", scores=scores)
    assert not (tmp_path / "scores").exists()


def test_a_device_that_is_not_here_stops_it_before_it_starts(sounds, tmp_path, card):
    scores = Scores(every=1, count=2, protocol=card, device="cuda:77")
    with pytest.raises(ValueError, match="no device 'cuda:77' here"):
        train(sounds, tmp_path / "run", scores=scores)


def test_a_resumed_training_scores_what_is_still_due(sounds, tmp_path, card):
    """Killed after update 2 of 4: the scores of the rest are those of an undisturbed run."""
    whole = train(
        sounds,
        tmp_path / "whole",
        scores=Scores(every=2, count=2, protocol=card),
        root=tmp_path / "a",
    )
    states = Scores(every=2, count=2, protocol=card)
    states.load_state_dict({"done": 1})
    rest = train(sounds, tmp_path / "rest", scores=states, root=tmp_path / "b")
    scored = [
        [i for i, row in enumerate(rows_of(t)) if STAND_INS & row.keys()] for t in (whole, rest)
    ]
    assert scored == [[1, 3], [3]]
    last = [{k: rows_of(t)[3][k] for k in STAND_INS} for t in (whole, rest)]
    assert last[0] == last[1]


def test_networks_have_short_names_and_stand_ins_their_own():
    class Score:
        value = 1.5
        details = {"stand_in": False}  # noqa: RUF012

    class Report:
        scores = dict.fromkeys(
            ("fad_vggish", "kld_passt", "clap_score", "frechet_logmel_standin"), Score
        )

    assert named(Report) == dict.fromkeys(
        ("val/fad", "val/kld", "val/clap", "val/frechet_logmel_standin"), 1.5
    )
    Score.details = {"stand_in": True}
    assert set(named(Report)) == {
        "val/standin_fad",
        "val/standin_kld",
        "val/standin_clap",
        "val/standin_frechet_logmel_standin",
    }


def test_computable_is_what_evaluate_will_compute(tmp_path):
    keys, missing = computable("audiocraft", weights=tmp_path)
    assert keys == ["level_difference_db"]
    assert set(missing) == {"fad_vggish", "kld_passt", "clap_score"}
    assert computable("demo", ["level_difference_db"])[0] == ["level_difference_db"]
    with pytest.raises(ValueError, match="unknown metric 'fid'"):
        computable("demo", ["fid"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"every": 0}, {"count": 1}, {"batch_size": 0},
        {"every": 1.5}, {"count": 2.5}, {"batch_size": True}, {"count": "8"},
    ],
)  # fmt: skip
def test_impossible_numbers_are_refused(wrong):
    with pytest.raises(
        ValueError, match=f"{next(iter(wrong))} must be a whole number and at least"
    ):
        Scores(**{"every": 5} | wrong)
