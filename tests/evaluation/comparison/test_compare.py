import copy
import json
import re
import statistics

import pytest

from evaluation.comparison.compare import CompareError, compare_reports
from evaluation.comparison.latex import comparison_latex
from evaluation.comparison.show import (
    comparison_markdown,
    comparison_text,
    round_up,
    verdict,
)
from evaluation.reports.report import ReportError


def make(**changes):
    content = {
        "format": "evaluation-report",
        "format_version": 1,
        "scores": {
            "frechet_logmel_standin": score("frechet_logmel_standin", 3.0, embedder_version="1"),
            "level_difference_db": score("level_difference_db", -5.05, statistic="median"),
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


def moved(by, **changes):
    """Return a report whose every clip has another level, by a number or a number per clip."""
    shift = by if callable(by) else lambda i: by
    items = [
        {"name": str(i), "captions": [], "values": {"level_difference_db": -6 + 0.1 * i + shift(i)}}
        for i in range(20)
    ]
    value = statistics.median(item["values"]["level_difference_db"] for item in items)
    own = score("level_difference_db", value, statistic="median")
    return make(items=items, scores__level_difference_db=own, **changes)


def only_difference(comparison, key="level_difference_db"):
    (found,) = comparison["scores"][key]["differences"]
    return found


def test_side_by_side_with_a_paired_interval(tmp_path):
    b = moved(
        2.0,
        data__generated__sha256="cc",
        protocol__description="other words",
        provenance__libraries={"torch": "other"},
    )
    comparison = compare_reports(*write(tmp_path, moved(0.0), b))
    found = only_difference(comparison)
    assert found["value"] == pytest.approx(2.0)
    assert found["interval"] == pytest.approx([2.0, 2.0])  # every pair moved by 2 dB
    assert found["resolved"]
    assert found["clips_needed"] == 8  # the fewest that have an interval
    assert only_difference(comparison, "frechet_logmel_standin")["interval"] is None
    text = comparison_text(comparison)
    assert "N = 20 pairs" in text
    assert "b - a 2 [2, 2] a is better 20 8" in " ".join(text.split())
    assert "no interval: its score is of whole sets" in text
    assert "made with different versions of torch: None in a, other in b" in text


def test_a_score_without_an_interval_has_none_of_its_difference(tmp_path):
    """Resampling says too little of it in one report, and no more in two."""
    reports = [moved(0.0), moved(2.0)]
    for report in reports:
        details = report["scores"]["level_difference_db"]["details"]
        details["no_interval"] = "clips are not all of it"
    comparison = compare_reports(*write(tmp_path, *reports))
    found = only_difference(comparison)
    assert found["value"] == pytest.approx(2.0)
    assert found["interval"] is None
    assert "no interval: clips are not all of it" in comparison_text(comparison)


def test_a_difference_within_chance_is_not_resolved(tmp_path):
    b = moved(lambda i: 3.0 * (-1) ** i)
    found = only_difference(compare_reports(*write(tmp_path, moved(0.0), b)))
    assert found["resolved"] is False
    assert found["interval"][0] < 0 < found["interval"][1]
    assert "not resolved" in comparison_text(compare_reports(*write(tmp_path, moved(0.0), b)))


def test_three_reports_have_three_differences(tmp_path):
    paths = [tmp_path / f"{name}.json" for name in "abc"]
    for path, content in zip(paths, (moved(0.0), moved(2.0), moved(3.0)), strict=True):
        path.write_text(json.dumps(content))
    differences = compare_reports(*paths)["scores"]["level_difference_db"]["differences"]
    assert [(d["a"], d["b"]) for d in differences] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert [d["value"] for d in differences] == pytest.approx([2.0, 3.0, 1.0])


def test_what_is_not_comparable_is_shown_anyway_under_what_differs(tmp_path):
    paths = write(tmp_path, moved(0.0), moved(1.0, protocol__mono="first", data__pairs=19))
    comparison = compare_reports(*paths, anyway=True)
    assert comparison["differing"] == [
        {"field": "protocol.mono", "values": {"a": "mean", "b": "first"}},
        {"field": "pairs", "values": {"a": 20, "b": 19}},
    ]
    for text in (comparison_text(comparison), comparison_markdown(comparison)):
        lines = text.splitlines()
        assert lines[0].startswith("NOT COMPARABLE")
        assert "protocol.mono: 'mean' in a, 'first' in b" in text.replace("\\", "")
        table = next(i for i, line in enumerate(lines) if "label of level" in line)
        assert table > next(i for i, line in enumerate(lines) if "protocol.mono" in line)
    assert "NOT COMPARABLE" in comparison_latex(comparison)
    assert "is better" not in comparison_text(comparison)  # whose merit it is cannot be said


@pytest.mark.parametrize("anyway", [True, False])
def test_random_weights_are_never_held_against_trained_ones(tmp_path, anyway):
    key = "level_difference_db"
    paths = write(tmp_path, moved(0.0), moved(1.0))
    content = json.loads(paths[1].read_text())
    content["scores"][key]["details"]["stand_in"] = True
    paths[1].write_text(json.dumps(content))
    if not anyway:
        with pytest.raises(CompareError, match=rf"{key}\.stand_in is 'absent' in .* and True in"):
            compare_reports(*paths)
        return
    comparison = compare_reports(*paths, anyway=True)
    found = only_difference(comparison)
    assert (found["value"], found["interval"]) == (None, None)
    assert "random weights against trained ones: never compared" in comparison_text(comparison)
    assert comparison["scores"][key]["label"].startswith("stand-in (random weights): ")


def test_other_captions_are_other_scores_only_where_captions_count(tmp_path):
    def with_caption(text, key):
        items = [{"name": "0", "captions": [text], "values": {key: 0.5}}]
        return make(items=items, scores={key: score(key, 0.5)})

    fields = {}
    for key in ("clap_score", "si_sdr"):
        paths = write(tmp_path, with_caption("rain", key), with_caption("wind", key))
        comparison = compare_reports(*paths, anyway=True)
        fields[key] = [entry["field"] for entry in comparison["differing"]]
    assert fields == {"clap_score": ["captions.sha256"], "si_sdr": []}


def test_other_weights_of_a_network_are_named(tmp_path):
    features = {"logmel": {"weights_sha256": "aa", "version": "1", "windows": {"reference": 5}}}
    used = {"protocol__metrics__frechet_logmel_standin": {"features": "logmel"}}
    other = {"logmel": features["logmel"] | {"weights_sha256": "bb", "windows": {"reference": 6}}}
    a, b = make(features=features, **used), make(features=other, **used)
    with pytest.raises(CompareError, match=r"comparable: features\.logmel\.weights_sha256 is 'aa'"):
        compare_reports(*write(tmp_path, a, b))


def test_a_part_that_one_card_lacks_is_named_once(tmp_path):
    features = {"clap": {"weights": "x.pt", "dtype": "float32", "input": ["clip"]}}
    a = make(protocol__features={})
    b = make(protocol__features=features, protocol__metrics__clap_score={"features": "clap"})
    fields = compare_reports(*write(tmp_path, a, b), anyway=True)["differing"]
    assert sorted(entry["field"] for entry in fields) == [
        "protocol.features.clap",
        "protocol.metrics.clap_score",
    ]
    assert all(entry["values"] == {"a": "absent", "b": "there"} for entry in fields)


def test_files_of_one_name_are_told_apart_and_one_file_is_not_two(tmp_path):
    paths = []
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        paths.append(tmp_path / folder / "report.json")
        paths[-1].write_text(json.dumps(moved(0.0)))
    names = [report["name"] for report in compare_reports(*paths)["reports"]]
    assert names == [str(path.with_suffix("")) for path in paths]
    with pytest.raises(CompareError, match="given twice"):
        compare_reports(paths[0], paths[0])
    with pytest.raises(CompareError, match="two reports or more"):
        compare_reports(paths[0])


@pytest.mark.parametrize(
    ("a", "b", "names"),
    [
        (("g", None), ("g", None), ["a", "b"]),
        (("gen_a", None), ("gen_b", None), ["gen_a", "gen_b"]),
        (("g", "ours"), ("g", None), ["ours", "g"]),
        (("g", "ours"), ("g", "ours"), ["ours (a)", "ours (b)"]),
        (("x", "b"), ("b", None), ["b (a)", "b"]),
    ],
)
def test_systems_are_called_by_their_names(tmp_path, a, b, names):
    paths = write(
        tmp_path,
        *(make(data__generated={"folder": f, "sha256": "c"}, data__name=n) for f, n in (a, b)),
    )
    comparison = compare_reports(*paths)
    assert [report["name"] for report in comparison["reports"]] == names
    assert f"{names[1]} - {names[0]}" in comparison_text(comparison)
    assert f"{names[1]} = {paths[1]}: " in comparison_text(comparison)


def test_random_weights_and_what_differs_are_in_the_table_of_a_paper(tmp_path):
    stand_in = {"scores__frechet_logmel_standin__details": {"stand_in": True}}
    paths = write(tmp_path, make(**stand_in), make(protocol__mono="first", **stand_in))
    latex = comparison_latex(compare_reports(*paths, anyway=True))
    seen = "\n".join(line for line in latex.splitlines() if not line.startswith("%"))
    assert seen.count(r"3$^\dagger$") == 2
    assert r"0$^\dagger$" in seen
    assert r"$^\dagger$ Random weights" in seen
    assert "stand-in" not in seen.split(r"\end{tabular}")[0]
    assert "NOT COMPARABLE" in seen
    assert "protocol.mono" in seen


def test_a_page_and_tables_for_papers(tmp_path):
    pytest.importorskip("jinja2")
    from evaluation.comparison.page import comparison_page

    paths = [tmp_path / f"{name}.json" for name in ("a", "b_1", "c")]
    for path, shift in zip(paths, (0.0, 2.0, 3.0), strict=True):
        path.write_text(json.dumps(moved(shift, protocol__name="<d>" if shift else "demo")))
    comparison = compare_reports(*paths, anyway=True)
    page = comparison_page(comparison)
    assert page.index("Not comparable") < page.index("<h2>Scores</h2>")
    assert "&#39;&lt;d&gt;" in page or "&lt;d&gt;" in page
    assert "<d>" not in page
    assert "[2, 2]" in page
    assert not re.search(r"https?:|src=|href=(?!\"#)", page)
    latex = comparison_latex(comparison)
    assert r"b\_1 - a & 0 & \shortstack[r]{2\\ {\scriptsize [2, 2]}} \\" in latex
    assert latex.count(r"\midrule") == 2


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


def test_a_metric_only_one_report_has_is_listed(tmp_path):
    b = make()
    del b["scores"]["frechet_logmel_standin"]
    comparison = compare_reports(*write(tmp_path, make(), b))
    assert comparison["only_in"] == {"a": ["frechet_logmel_standin"], "b": []}
    assert "left out: frechet_logmel_standin of a" in comparison_text(comparison)
    assert list(comparison["scores"]) == ["level_difference_db"]


def test_a_value_that_does_not_exist_has_no_difference(tmp_path):
    b = make(scores__frechet_logmel_standin__value=None)
    comparison = compare_reports(*write(tmp_path, make(), b))
    found = only_difference(comparison, "frechet_logmel_standin")
    assert found["value"] is None
    assert "b - a n/a no value" in " ".join(comparison_text(comparison).split())


def test_no_metric_in_common_or_no_report(tmp_path):
    with pytest.raises(CompareError, match="no metric in common"):
        compare_reports(*write(tmp_path, make(), make(scores={})))
    with pytest.raises(ReportError, match="there is no report"):
        compare_reports(tmp_path / "a.json", tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((-6.0, -2.0), "b is nearer 0"),
        ((1.0, 5.0), "a is nearer 0"),
        ((-1.0, 3.0), "they differ in sign, a less far off"),
    ],
)
def test_where_zero_is_best_the_nearer_one_is_named(values, text):
    by_name = {n: {"value": v} for n, v in zip("ab", values, strict=True)}
    score = {"best": "zero", "stand_in": False, "values": by_name}
    found = {"a": "a", "b": "b", "value": values[1] - values[0], "resolved": True}
    assert verdict(score, found) == text
    assert verdict(score, found | {"resolved": False}) == "not resolved"


def test_clips_to_see_a_difference_are_shown_to_two_digits():
    assert [round_up(n) for n in (8, 99, 100, 401, 1219614)] == [8, 99, 100, 410, 1300000]
