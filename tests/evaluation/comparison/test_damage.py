"""Reports that were changed by hand, or that cannot be: refused with the file and the field."""

import pytest

from evaluation.comparison.compare import compare_reports
from evaluation.reports.report import ReportError
from tests.evaluation.comparison.test_compare import make, score, write

DAMAGE = {
    "no data": {"data": None},
    "no references": {"data": {"pairs": 20}},
    "no protocol": {"protocol": None},
    "no instrument": {"provenance": {}},
    "no items": {"items": None},
    "no values": {"items": [{"name": "a"}]},
    "text for a value": {"items": [{"name": "a", "values": {"level_difference_db": "x"}}]},
    "no details": {"scores__frechet_logmel_standin__details": None},
    "text for a count": {"scores__frechet_logmel_standin__n": "x"},
    "text for a score": {"scores__frechet_logmel_standin__value": "x"},
    "no seed": {"protocol__bootstrap": {"resamples": 2, "confidence": 0.9}},
    "a number for a caption": {"items": [{"name": "a", "captions": [1], "values": {}}]},
    "a number for a name": {"items": [{"name": 1, "values": {}}]},
    "text for facts": {"features": {"vggish": "x"}},
    "text for a battery": {"sanity": {"silence": {"fad_vggish": "x"}}},
    "a number for a flag": {"flags": [1]},
    "no hash": {"data__reference": {"folder": "r"}},
    "half a breakdown": {"breakdown": {"order": []}},
    "a list for facts": {"features": {"logmel": []}},
    "no libraries": {"provenance__libraries": None},
    "a number for libraries": {"provenance__libraries": -1},
    "a list for a version": {"provenance__libraries": {"torch": []}},
    "a number for metrics": {"protocol__metrics": -1},
    "true for metrics": {"protocol__metrics": True},
    "no label": {"scores__frechet_logmel_standin__label": None},
    "a list for a label": {"scores__frechet_logmel_standin__label": []},
    "a mapping for a value": {"items": [{"name": "a", "values": {"level_difference_db": {}}}]},
    "a direction of its own": {"scores__frechet_logmel_standin__best": "up"},
    "half an interval": {"scores__frechet_logmel_standin__interval": [1]},
    "a value outside of its interval": {"scores__frechet_logmel_standin__value": 1.0},
    "a median of other clips": {"scores__level_difference_db__value": -5.0},
    "another value of a clip": {"items": [{"name": "0", "values": {"level_difference_db": -5.5}}]},
    "a class outside of its interval": {
        "classes": {"dog": {"frechet_logmel_standin": score("x", 3.0) | {"value": 5.0}}}
    },
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_report_changed_by_hand_is_named(tmp_path, kind):
    with pytest.raises(ReportError, match=r"b\.json: a damaged evaluation report"):
        compare_reports(*write(tmp_path, make(), make(**DAMAGE[kind])))


def test_numbers_that_do_not_belong_together_are_named_with_their_field(tmp_path):
    for path, value, message in (
        ("scores__frechet_logmel_standin__value", 9.0, r"interval is \[2\.0, 4\.0\]"),
        ("scores__level_difference_db__value", -5.5, r"median of the values of its 20 clips is -5"),
    ):
        field = path.replace("__", r"\.")
        with pytest.raises(
            ReportError, match=rf"b\.json: a damaged .*{field} is {value},.*{message}"
        ):
            compare_reports(*write(tmp_path, make(), make(**{path: value})))


def test_a_mean_to_which_some_clips_add_more_lies_among_them(tmp_path):
    def captioned(value):
        own = score("clap_score", value, statistic="mean", items=30)
        items = [{"name": str(i), "values": {"clap_score": float(i)}} for i in range(20)]
        return make(items=items, scores={"clap_score": own})

    assert compare_reports(*write(tmp_path, captioned(8.0), captioned(12.5)))["scores"]
    with pytest.raises(ReportError, match=r"clap_score\.value is 20\.0, .* between 0\.0 and 19\.0"):
        compare_reports(*write(tmp_path, captioned(8.0), captioned(20.0)))


@pytest.mark.parametrize("card", ["demo", "codec"])
def test_what_was_really_scored_holds_together(folders, tmp_path, card):
    from evaluation.suite import evaluate

    labels = tmp_path / "labels.csv"
    labels.write_text(
        "file,class\n" + "".join(f"clip{i:02d}.wav,{'ab'[i // 9]}\n" for i in range(12))
    )
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    metrics = ["si_sdr", "log_spectral_distance"] if card == "codec" else None
    for path in paths:
        evaluate(*folders, protocol=card, metrics=metrics, labels=labels, sanity=False).to_json(
            path
        )
    assert compare_reports(*paths)["scores"]
