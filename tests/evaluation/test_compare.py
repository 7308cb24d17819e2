import copy
import json

import pytest

from evaluation.compare import CompareError, compare_reports, comparison_text
from evaluation.report import ReportError


def make(**changes):
    content = {
        "format": "evaluation-report",
        "format_version": 1,
        "scores": {
            "frechet_logmel_standin": score("frechet_logmel_standin", 3.0, embedder_version="1"),
            "level_difference_db": score("level_difference_db", -6.0),
        },
        "not_computed": {},
        "protocol": {
            "name": "demo",
            "version": 1,
            "description": "words",
            "source": "words",
            "mono": "mean",
            "bootstrap": {"resamples": 200, "confidence": 0.95, "seed": 1},
            "metrics": {"frechet_logmel_standin": {"patch": 1.0}, "level_difference_db": {}},
        },
        "data": {
            "pairs": 20,
            "reference": {"folder": "r", "sha256": "aa"},
            "generated": {"folder": "g", "sha256": "bb"},
            "captions": None,
            "extra_generated": [],
            "excluded": [],
        },
        "provenance": {"instrument": "0.1.0", "date": None, "libraries": {}},
        "warnings": [],
        "items": [
            {"name": str(i), "captions": [], "values": {"level_difference_db": -6.0 + 0.1 * i}}
            for i in range(20)
        ],
    }
    content = copy.deepcopy(content)
    for path, value in changes.items():
        *parents, last = path.split("__")
        target = content
        for parent in parents:
            target = target[parent]
        target[last] = value
    return content


def score(name, value, **details):
    return {
        "name": name,
        "label": f"label of {name}",
        "unit": "dB",
        "best": "low",
        "value": value,
        "reason": None,
        "n": 20,
        "interval": [value - 1, value + 1],
        "details": details,
    }


def write(tmp_path, a, b):
    paths = tmp_path / "a.json", tmp_path / "b.json"
    for path, content in zip(paths, (a, b), strict=True):
        path.write_text(json.dumps(content))
    return paths


def test_side_by_side_with_a_paired_interval(tmp_path):
    items = [
        {"name": str(i), "captions": [], "values": {"level_difference_db": -4.0 + 0.1 * i}}
        for i in range(20)
    ]
    b = make(
        items=items,
        scores__level_difference_db=score("level_difference_db", -4.0),
        data__generated__sha256="cc",
        protocol__description="other words",
        provenance__libraries={"torch": "other"},
    )
    comparison = compare_reports(*write(tmp_path, make(), b))
    row = comparison["scores"]["level_difference_db"]
    assert row["difference"] == 2.0
    assert row["difference_interval"] == pytest.approx([2.0, 2.0])  # every pair moved by 2 dB
    assert comparison["scores"]["frechet_logmel_standin"]["difference_interval"] is None
    text = comparison_text(comparison)
    assert "N = 20 pairs" in text
    assert "a -6, b -4, b - a 2 [2, 2] dB" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"protocol__mono": "first"}, r"protocol\.mono is 'mean' in .*a\.json and 'first'"),
        (
            {"protocol__metrics__frechet_logmel_standin__patch": 2.0},
            r"protocol\.metrics\.frechet_logmel_standin\.patch is 1\.0 in .* and 2\.0",
        ),
        ({"data__reference__sha256": "zz"}, r"reference\.sha256 is 'aa' in .* and 'zz'"),
        ({"data__pairs": 19}, "pairs is 20 in .* and 19"),
        ({"provenance__instrument": "9"}, r"instrument is '0\.1\.0' in .* and '9'"),
        (
            {"scores__frechet_logmel_standin__details__embedder_version": "2"},
            r"frechet_logmel_standin\.embedder_version is '1' in .* and '2'",
        ),
    ],
)
def test_refusal_names_the_differing_field(tmp_path, change, message):
    with pytest.raises(CompareError, match=f"not comparable: {message}"):
        compare_reports(*write(tmp_path, make(), make(**change)))


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
    "half an interval": {"scores__frechet_logmel_standin__interval": [1]},
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_report_changed_by_hand_is_named(tmp_path, kind):
    with pytest.raises(ReportError, match=r"b\.json: a damaged evaluation report"):
        compare_reports(*write(tmp_path, make(), make(**DAMAGE[kind])))


def test_a_metric_only_one_report_has_is_listed(tmp_path):
    b = make()
    del b["scores"]["frechet_logmel_standin"]
    comparison = compare_reports(*write(tmp_path, make(), b))
    assert comparison["only_in_a"] == ["frechet_logmel_standin"]
    assert list(comparison["scores"]) == ["level_difference_db"]


def test_a_value_that_does_not_exist_has_no_difference(tmp_path):
    b = make(scores__frechet_logmel_standin__value=None)
    comparison = compare_reports(*write(tmp_path, make(), b))
    assert comparison["scores"]["frechet_logmel_standin"]["difference"] is None
    assert "b n/a, b - a n/a" in comparison_text(comparison)


def test_no_metric_in_common_or_no_report(tmp_path):
    with pytest.raises(CompareError, match="no metric in common"):
        compare_reports(*write(tmp_path, make(), make(scores={})))
    with pytest.raises(ReportError, match="there is no report"):
        compare_reports(tmp_path / "a.json", tmp_path / "nowhere.json")
