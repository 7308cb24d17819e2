import csv
import json
import math

import pytest

from evaluation.reports.report import Report, ReportError, Score, write_text


def make_score(**changes):
    fields = {
        "name": "level_difference_db",
        "label": "Level, generated over reference (median)",
        "unit": "dB",
        "best": "zero",
        "value": -6.0206,
        "reason": None,
        "n": 12,
        "interval": (-6.5, -5.5),
        "details": {"silent_pairs": 0},
    }
    return Score(**fields | changes)


def make_report(**changes):
    fields = {
        "scores": {"level_difference_db": make_score()},
        "not_computed": {"fad_vggish": "weights missing: put a file somewhere"},
        "protocol": {
            "name": "demo",
            "version": 1,
            "bootstrap": {"resamples": 50, "confidence": 0.95, "seed": 1},
        },
        "data": {
            "pairs": 12,
            "reference": {"folder": "r", "sha256": "ab" * 32},
            "generated": {"folder": "g", "sha256": "cd" * 32},
            "captions": None,
            "extra_generated": [],
            "excluded": [],
        },
        "provenance": {"instrument": "0.1.0", "date": None, "libraries": {"torch": "2"}},
        "warnings": ["something odd"],
        "items": [
            {
                "name": f"<clip{i:02d}>",
                "captions": ["rain & wind"],
                "reference_sha256": "a",
                "generated_sha256": "b",
                "values": {"level_difference_db": float(i)},
            }
            for i in range(12)
        ],
    }
    return Report(**fields | changes)


def test_json_round_trip(tmp_path):
    report = make_report()
    report.to_json(tmp_path / "report.json")
    assert Report.from_json(tmp_path / "report.json") == report
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_a_value_that_does_not_exist_is_null_with_a_reason_and_nan_again(tmp_path):
    score = make_score(value=math.nan, reason="no pair", interval=None)
    make_report(scores={score.name: score}).to_json(tmp_path / "r.json")
    raw = json.loads((tmp_path / "r.json").read_text())["scores"][score.name]
    assert raw["value"] is None
    assert raw["reason"] == "no pair"
    again = Report.from_json(tmp_path / "r.json").scores[score.name]
    assert math.isnan(again.value)
    assert again.to_text() == "n/a (no pair)"


def test_text_states_n_interval_protocol_and_what_is_missing():
    text = make_report().to_text()
    assert "-6.021 dB" in text
    assert "[-6.5, -5.5]" in text
    assert "N = 12 pairs" in text
    assert "protocol demo v1, not the shipped v2; N = 12" in text
    assert "not computed: FAD (VGGish): weights missing" in text
    assert "warning: something odd" in text


def test_the_new_fields_survive_a_round_trip(tmp_path):
    report = make_report(
        features={"vggish": {"version": "1", "windows": {"reference": 3}}},
        sanity={"silence": {"level_difference_db": None}},
        flags=["level_difference_db likes silence"],
        breakdown={"order": {"then": {"level_difference_db": make_score(n=3)}}},
    )
    report.to_json(tmp_path / "r.json")
    raw = json.loads((tmp_path / "r.json").read_text())
    assert raw["format_version"] == 2
    assert raw["seed"] == 1  # that of the card's intervals
    assert Report.from_json(tmp_path / "r.json") == report
    assert "flag: level_difference_db likes silence" in report.to_text()


def test_the_seed_of_the_origin_comes_first():
    assert make_report(provenance={"instrument": "1", "seed": 0}).seed == 0


def test_a_report_of_format_1_is_read_and_says_so(tmp_path):
    content = make_report().to_dict() | {"format_version": 1}
    for name in ("seed", "features", "sanity", "flags", "breakdown"):
        del content[name]
    (tmp_path / "r.json").write_text(json.dumps(content))
    report = Report.from_json(tmp_path / "r.json")
    assert report.scores == make_report().scores
    assert report.sanity == {}
    assert "format 1" in report.warnings[-1]
    assert "Score again" in report.to_text()


def test_csv_has_every_clip_in_full_precision(tmp_path):
    items = [
        {"name": 'a "b",\n', "captions": ["x", "y"], "values": {"level_difference_db": 1 / 3}},
        {"name": "c", "captions": [], "class": "dog", "values": {"level_difference_db": None}},
    ]
    make_report(items=items).to_csv(tmp_path / "clips.csv")
    with (tmp_path / "clips.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ['a "b",\n', "c"]
    assert float(rows[0]["level_difference_db"]) == 1 / 3
    assert rows[1]["level_difference_db"] == ""
    assert (rows[0]["captions"], rows[1]["class"]) == ("x / y", "dog")


def test_csv_marks_the_columns_of_random_weights(tmp_path):
    scores = {"level_difference_db": make_score(details={"stand_in": True})}
    make_report(scores=scores).to_csv(tmp_path / "clips.csv")
    heads = (tmp_path / "clips.csv").read_text().splitlines()[0].split(",")
    assert heads[-1] == "standin_level_difference_db"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "cannot be read as JSON"),
        ("[" * 100000, "cannot be read as JSON"),
        ("[]", "not an evaluation report"),
        ('{"format": "evaluation-report", "format_version": 99}', "report format 99, expected 2"),
        ('{"format": "evaluation-report", "format_version": 2.0}', r"format 2\.0, expected 2"),
        ('{"format": "evaluation-report", "format_version": true}', "format True, expected 2"),
        ('{"format": "evaluation-report", "format_version": "2"}', "format '2', expected 2"),
        ('{"format": "evaluation-report", "seed": NaN}', "cannot be read as JSON"),
        ('{"format": "evaluation-report", "seed": 1e999}', "cannot be read as JSON"),
        ('{"format": "evaluation-report", "format_version": 2}', "damaged evaluation report"),
    ],
)
def test_what_is_not_a_report_is_refused(tmp_path, text, message):
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(ReportError, match=rf"r\.json: .*{message}"):
        Report.from_json(path)


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path):
    path = tmp_path / "r.json"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "\ud800")
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1
