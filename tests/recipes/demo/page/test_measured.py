import pytest

from evaluation.catalog import METRICS
from recipes.demo.page.measured import metrics_section
from recipes.page.inputs import MissingInputError, Run


def test_every_metric_is_there_or_said_to_be_absent(synthetic_run):
    section = metrics_section(synthetic_run)
    (score,) = section["scores"]
    assert score["stand_in"]
    assert (score["value"], score["interval"], score["n"]) == ("12.5", "[10, 15]", 12)
    absent = section["absent"]
    assert set(absent) == {
        i.label for k, i in METRICS.items() if k != "frechet_logmel_standin" and not i.round_trip
    }
    assert "this version has no VGGish embedder" in absent["FAD (VGGish)"]
    assert "does not ask for it" in absent[METRICS["level_difference_db"].label]


def test_missing(tmp_path):
    with pytest.raises(MissingInputError, match="evaluation"):
        metrics_section(Run(folder=tmp_path))
