import math

from evaluation.score import Score
from evaluation.tables import as_text, class_rows, score_rows, worst_pairs

SCORES = {
    "si_sdr": Score.of("si_sdr", 8.25, n=3, interval=(7.0, 9.5)),
    "mel_distance": Score.of("mel_distance", math.nan, n=0, reason="no pair has a value"),
}


def pair(name, *values, **extra):
    return {"name": name, "values": dict(zip(SCORES, values, strict=False))} | extra


def test_scores():
    rows = score_rows(SCORES, interval_title="95% interval")
    assert rows[0] == ("metric", "value", "95% interval", "N", "better")
    assert rows[1] == ("SI-SDR", "8.25 dB", "[7, 9.5]", "3", "higher")
    assert rows[2][1] == "n/a"


def test_classes_without_a_score_come_first_then_the_worst():
    classes = {
        name: {"si_sdr": Score.of("si_sdr", value, n=count, reason="x")}
        for name, value, count in (("a", 3.0, 2), ("b", math.nan, 0), ("c", -1.0, 4), ("d", 9.0, 1))
    }
    rows = class_rows(SCORES, classes)
    assert rows[0] == ("class", "SI-SDR, dB", "N")
    assert [row[0] for row in rows[1:]] == ["b", "c", "a", "d"]
    assert rows[1][1:] == ("n/a", "0")
    assert class_rows(SCORES, {}) == []


def test_worst_pairs_by_the_first_score_that_pairs_have():
    items = [
        pair("fine", 20.0, 0.1),
        pair("dead", -math.inf, 3.0),
        pair("perfect", math.inf, 0.0),
        pair("undefined", math.nan, 2.0),
        pair("null", None, 2.0),
        pair("bad", -3.0, None),
    ]
    rows, order = worst_pairs(items, SCORES, limit=3)
    assert order == "SI-SDR"
    assert [row[0] for row in rows] == ["Name", "dead", "bad", "fine"]
    assert rows[1] == ("dead", "-inf dB", "3")
    assert rows[2] == ("bad", "-3 dB", "n/a")
    low = {"mel_distance": SCORES["mel_distance"]}
    assert worst_pairs(items, low, limit=1)[0][1][0] == "dead"


def test_captions_and_classes_have_columns_where_there_are_any():
    items = [pair("a", 1.0, captions=["rain", "wind"], **{"class": "storm"}), pair("b", 2.0)]
    rows, _ = worst_pairs(items, SCORES, limit=9)
    assert rows[0][-2:] == ("Class", "Captions")
    assert rows[1][-2:] == ("storm", "rain / wind")
    assert rows[2][-2:] == ("", "")
    assert worst_pairs([pair("a")], SCORES, limit=9) == ([], "")


def test_level_is_worst_far_from_zero_either_way():
    scores = {"level_difference_db": Score.of("level_difference_db", 0.0, n=3)}
    items = [
        {"name": str(value), "values": {"level_difference_db": value}} for value in (1.0, -9.0, 4.0)
    ]
    rows, _ = worst_pairs(items, scores, limit=2)
    assert [row[0] for row in rows[1:]] == ["-9.0", "4.0"]


def test_columns_line_up():
    assert as_text([("a", "bb"), ("ccc", "d")]) == ["a    bb", "-------", "ccc  d"]
