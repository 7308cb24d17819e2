import json
import math

import pytest

from recipes.demo.page.judged import Share, codebooks_section, losses_section, scores_section
from recipes.page.inputs import MissingInputError, Run


def run_with(tmp_path, scores):
    (tmp_path / "scores.json").write_text(json.dumps(scores))
    return Run(folder=tmp_path)


def test_reads_what_score_writes(synthetic_run):
    section = scores_section(synthetic_run)
    assert next(iter(section["labels"])) == section["main"] == "family"
    names = [row["name"] for row in section["sets"]]
    assert names == ["real", "roundtrip", "generated", "unguided", "shuffled"]
    for row in section["sets"]:
        share = row["shares"][0]
        assert share.n == 12
        assert share.low <= share.value <= share.high
    assert len(section["families"]) == 12
    assert section["families"][0]["rms"]["roundtrip"] == pytest.approx(0.5, abs=0.01)
    assert section["guidance"]["family"].n == 12


def test_what_was_not_measured_is_none_and_never_zero(tmp_path):
    scores = {
        "n": 3,
        "probe": {"main": "family", "labels": {"family": ["a", "b"]}},
        "sets": {"real": {"labels": {"family": {"accuracy": math.nan, "n": 0}}}},
        "classes": [{"name": "a", "n": 1, "accuracy": {"real": 1.0}, "rms_ratio": {}}],
    }
    section = scores_section(run_with(tmp_path, scores))
    assert all(row["shares"] == [Share.read({}, "accuracy")] for row in section["sets"])
    assert all(row["silent"] is None for row in section["sets"])
    assert section["families"][0]["accuracy"] == {
        "real": 1.0, "roundtrip": None, "generated": None, "unguided": None,
    }  # fmt: skip
    assert section["guidance"]["family"].value is None


def test_without_labels_only_levels_are_compared(tmp_path):
    scores = {"n": 3, "probe": None, "rms": {"real": 0.1, "generated": math.nan}}
    section = scores_section(run_with(tmp_path, scores))
    assert section["probe"] is None
    assert section["levels"] == [("Real clips", 0.1), ("Generated", None)]


def test_losses_of_a_run(synthetic_run):
    """One clip of each family in the fixture: too few to say anything."""
    section = losses_section(synthetic_run)
    assert section["summary"] == "cannot say 12"
    verdict = section["verdicts"][0]
    assert verdict.measured.level[0] == pytest.approx(0.5, abs=0.01)
    assert verdict.measured.spectrum.codec > 0


def test_losses_by_class_and_without_labels(tmp_path):
    row = {
        "name": "bell",
        "n": 30,
        "accuracy": {"real": 1.0, "roundtrip": 1.0, "generated": 0.5},
        "rms_ratio": {"roundtrip": 0.3, "generated": 0.3},
    }
    scores = {"n": 30, "probe": {"main": "family", "labels": {}}, "classes": [row]}
    (verdict,) = losses_section(run_with(tmp_path, scores))["verdicts"]
    assert verdict.who == "both"
    assert verdict.measured.spectrum is None  # of a run that was scored before there was one
    rms = {"real": 0.1, "roundtrip": 0.09, "generated": 0.02}
    section = losses_section(run_with(tmp_path, {"n": 30, "probe": None, "rms": rms}))
    (verdict,) = section["verdicts"]
    assert (section["label"], verdict.measured.name, verdict.who) == (
        "sounds", "all clips", "the language model",
    )  # fmt: skip
    section = losses_section(run_with(tmp_path, {"n": 3, "probe": None, "rms": {"real": 0.0}}))
    assert section["verdicts"][0].measured.level == (None, None)


def test_codebooks(synthetic_run, tmp_path):
    section = codebooks_section(synthetic_run)
    assert (section["size"], section["bound"]) == (128, 0.25)
    assert [row["perplexity"] for row in section["rows"]] == [90.0, 40.0]
    with pytest.raises(MissingInputError):
        codebooks_section(Run(folder=tmp_path))
