import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from scipy import stats

from recipes.page.inputs import History
from recipes.page.on_track import (
    LEAST,
    Band,
    Reference,
    charts,
    differences,
    judge,
    make_bands,
    read_reference,
    verdict_line,
    write_reference,
)

STEPS = [10.0, 20.0, 30.0]
BAND = Band(steps=STEPS, median=[3.0, 2.0, 1.0], low=[2.5, 1.5, 0.5], high=[3.5, 2.5, 1.5])
REFERENCE = Reference(
    about="Sounds of a test.",
    runs=["a", "b"],
    settings={"name": "demo_lm", "lm.dim": 8},
    bands={"train/loss": BAND, "val/loss": BAND},
)


def history(values, name="val/loss", steps=STEPS):
    rows = [{"step": step, name: value} for step, value in zip(steps, values, strict=True)]
    return History(run="r", finished=True, others=0, rows=rows)


def test_bands_are_prediction_intervals_of_students_t():
    values = np.random.default_rng(0).normal(3, 0.5, size=(4, 5))
    steps = [float(i) for i in range(5)]
    bands = make_bands([history(row, steps=steps) for row in values])
    middle = bands["val/loss"]
    pooled = np.sqrt(values.var(axis=0, ddof=1).mean())  # of all five, neighbors of the third
    reach = stats.t.ppf(0.975, df=3) * pooled * np.sqrt(1 + 1 / 4)
    mean = values[:, 2].mean()
    assert middle.low[2] == pytest.approx(mean - reach, abs=1e-4)
    assert middle.high[2] == pytest.approx(mean + reach, abs=1e-4)
    assert middle.median[2] == pytest.approx(np.median(values[:, 2]), abs=1e-4)


def test_one_more_run_lies_inside_as_often_as_promised():
    rng = np.random.default_rng(1)
    inside = total = 0
    for _ in range(300):
        runs = rng.normal(3, 0.2, size=(4, 1))  # one point: nothing is pooled
        band = make_bands([history(row, steps=[1.0]) for row in runs[:3]])["val/loss"]
        inside += band.low[0] <= runs[3, 0] <= band.high[0]
        total += 1
    assert stats.binomtest(inside, total, 0.95).pvalue > 1e-3


def test_bands_hold_what_all_runs_share():
    one = history([3.0, 2.0, 1.0])
    two = History(
        run="s", finished=True, others=0,
        rows=[{"step": 20.0, "val/loss": 2.0, "train/learning_rate": 1.0}, {"step": 40.0}],
    )  # fmt: skip
    bands = make_bands([one, two])
    assert list(bands) == ["val/loss"]
    assert bands["val/loss"].steps == [20.0]
    assert bands["val/loss"].high[0] - 2.0 == pytest.approx(LEAST)  # two equal runs
    with pytest.raises(ValueError, match="takes 2 runs, got 1"):
        make_bands([one])
    with pytest.raises(ValueError, match="no loss in common"):
        make_bands([one, history([1.0], steps=[99.0])])


def test_a_file_gives_back_what_was_written(tmp_path):
    write_reference(tmp_path / "curve.json", REFERENCE)
    assert read_reference(tmp_path / "curve.json") == REFERENCE
    assert '"low": [ 2.5, 1.5, 0.5 ]' in (tmp_path / "curve.json").read_text()


def test_what_is_no_reference_says_so(tmp_path):
    with pytest.raises(ValueError, match="nobody trained this recipe"):
        read_reference(tmp_path / "curve.json")
    for text in ("{", "[]", json.dumps({"format": 0}), json.dumps({"format": 1})):
        (tmp_path / "curve.json").write_text(text)
        with pytest.raises(ValueError, match="is no reference curve"):
            read_reference(tmp_path / "curve.json")


@pytest.mark.parametrize(
    ("values", "said", "good"),
    [
        ([3.0, 2.0, 1.0], "inside the band at update 30: 1.000, expected 1.000 (0.500 to", True),
        ([4.0, 2.0, 1.0], "back inside the band at update 30", True),
        ([3.0, 2.0, 1.75], "above the band by 0.250 nats at update 30", False),
        ([3.0, 2.0, 0.25], "below the band by 0.250 nats at update 30", False),
    ],
)
def test_verdicts_are_in_words(values, said, good):
    (verdict,) = judge(history(values), REFERENCE)
    assert verdict.text.startswith(said)
    assert verdict.good is good
    assert verdict_line([verdict]).startswith(f"val/loss is {said}")


def test_points_between_those_of_the_reference_are_judged_and_those_beyond_are_not():
    (verdict,) = judge(history([2.9, 3.1, 9.0], steps=[15.0, 25.0, 31.0]), REFERENCE)
    assert (verdict.inside, verdict.points) == (1, 2)
    assert "at update 25: 3.100, expected 1.500 (1.000 to 2.000)" in verdict.text
    assert judge(history([1.0], steps=[99.0]), REFERENCE) == []
    assert "No point of this run" in verdict_line([])


def test_the_line_names_what_else_is_outside():
    rows = [{"step": 30.0, "val/loss": 1.0, "train/loss": 5.0}]
    verdicts = judge(History(run="r", finished=False, others=0, rows=rows), REFERENCE)
    assert [v.name for v in verdicts] == ["val/loss", "train/loss"]
    assert verdict_line(verdicts).endswith("Outside their bands now: train/loss.")


def test_other_settings_are_named():
    assert differences({"name": "demo_lm", "lm.dim": 16}, REFERENCE) == [
        "lm.dim is 16 here, 8 there"
    ]
    assert differences(dict(REFERENCE.settings), REFERENCE) == []


def test_charts_show_the_band_and_the_run():
    drawn = charts(history([3.0, 2.0, 1.75]), REFERENCE)
    assert [chart.title for chart in drawn] == ["val/loss", "train/loss"]
    assert "above the band" in drawn[0].note
    assert "no point of this run" in drawn[1].note
    ET.fromstring(drawn[0].svg.replace("xlink:href", "href"))
    assert drawn[0].svg.count("fill-opacity") + drawn[0].svg.count("opacity: 0.25") >= 1
