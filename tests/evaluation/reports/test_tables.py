import math
from dataclasses import replace

from evaluation.reports.notes import beside_notes, interval_notes, limit_notes, sign_notes
from evaluation.reports.tables import (
    as_text,
    class_rows,
    class_title,
    group_rows,
    item_title,
    label_of,
    rank_items,
    sanity_rows,
    score_rows,
    value_keys,
)
from evaluation.scorers.score import Score

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
    assert class_title(SCORES, classes) == "Per class, worst first by SI-SDR"


def test_what_a_score_is_held_to_stands_beside_it():
    details = {"bias": {"estimate": 0.25, "method": "m"}, "reference_halves": 0.5}
    scores = {
        "si_sdr": Score.of("si_sdr", 8.25, n=3, details=details),
        "mel_distance": Score.of("mel_distance", 1.0, n=3, details={"reference_halves": None}),
    }
    rows = score_rows(scores, interval_title="95% interval")
    assert rows[0][5:] == ("bias", "halves")
    assert [row[5:] for row in rows[1:]] == [("0.25", "0.5"), ("-", "-")]


def test_a_bias_has_its_ends_or_the_reason_why_there_is_none():
    def fad(**bias):
        return {"fad_vggish": Score.of("fad_vggish", 3.0, n=9, details={"bias": bias})}

    told = fad(estimate=0.2134, low=0.171, high=0.264)
    none = fad(estimate=None, reason="fewer than 100 clips")
    by_construction = fad(estimate=0.0)
    cells = [score_rows(s, interval_title="i")[1][-1] for s in (told, none, by_construction)]
    assert cells == ["about 0.21 (0.17 to 0.26)", "n/a", "0"]
    assert [limit_notes(s, interval_title="i")[1:] for s in (told, none, by_construction)] == [
        ["FAD (VGGish): what N adds to the distance, about 0.21 (0.17 to 0.26)"],
        ["FAD (VGGish): what N adds to the distance, of which there is no estimate: "
         "fewer than 100 clips"],
        [],
    ]  # fmt: skip
    assert len(beside_notes(told)) == 1


def test_what_self_is_and_where_there_is_none_is_said():
    details = {"reference_self": 0.13, "self_as_generated": True}
    fad = Score.of("fad_vggish", 1.0, n=9, details={"reference_self": None})
    scores = {"kld_passt": Score.of("kld_passt", 0.16, n=9, details=details), "fad_vggish": fad}
    rows = score_rows(scores, interval_title="i")
    assert [row[-1] for row in rows] == ["self", "0.13", "-"]
    [note] = sign_notes([rows, rows], scores)
    assert note.startswith("-: there is no such number; self of a distance, where both sides are")
    assert "self of kld_passt: here the references went" in "\n".join(beside_notes(scores))
    details["self_as_generated"] = False
    assert "self of" not in "\n".join(beside_notes(scores))
    fad.details["self_as_generated"] = True  # then 0 is not why
    assert sign_notes([rows], scores) == ["-: there is no such number"]
    assert (
        sign_notes([[*rows, ("a", "n/a")]], scores)[0]
        == "n/a: it could not be computed or estimated"
    )
    assert sign_notes([rows[:2]], scores) == []


def test_a_divergence_below_zero_is_explained():
    score = Score.of("kld_passt", 1.0, n=9, details={"reference_self": -5e-4})
    assert any("below zero, from the card's epsilon" in n for n in beside_notes({"k": score}))
    assert not any("below" in n for n in beside_notes({"k": replace(score, details={})}))


def test_intervals_say_what_they_are_for_and_why_there_is_none():
    of, none = {"interval_of": "the mean"}, {"no_interval": "too narrow"}
    scores = {
        "a": Score.of("si_sdr", 1.0, n=9, interval=(0.0, 2.0), details=of),
        "b": Score.of("density_passt", 1.0, n=9, details=none),
        "c": Score.of("fad_vggish", 1.0, n=9, interval=(0, 2), details=of | {"interval_cut": 0.0}),
    }
    assert interval_notes(scores) == [
        "interval of si_sdr: the mean",
        "interval of fad_vggish: the mean; cut at 0, below which no value can be",
        "no interval of density_passt: too narrow",
    ]


def test_what_intervals_leave_out_and_how_far_they_hold_is_said_with_them():
    few = {"bias": {"estimate": None, "reason": "fewer than 100 clips"}}
    scores = {
        "a": Score.of("fad_vggish", 1.0, n=9, interval=(0.5, 2.0), details=few),
        "b": Score.of("fd_panns", 1.0, n=9, interval=(0.5, 2.0), details=few),
        "c": Score.of("kld_passt", 1.0, n=5, details={"no_interval": "fewer than 8 clips"}),
        "d": Score.of("si_sdr", math.nan, n=0, reason="{no} pair"),
    }
    notes = limit_notes(scores, interval_title="95% interval")
    assert notes == [
        "95% interval: nominal; near the floor of a distance it is wider than need be, with heavy "
        "tails at small N narrower",
        "FAD (VGGish), Frechet distance (PANNs): the interval leaves out what N adds to the "
        "distance, of which there is no estimate: fewer than 100 clips",
        "no interval of KL divergence of PaSST classes: fewer than 8 clips",
        "SI-SDR: n/a ({no} pair)",
    ]
    del scores["a"], scores["b"]
    assert "nominal" not in "".join(limit_notes(scores, interval_title="95% interval"))


def test_headings_of_many_columns_are_short_and_distances_of_clips_no_quality():
    score = Score.of("fad_vggish", 1.0, n=1, details={"stand_in": True})
    rows = sanity_rows({"fad_vggish": score}, {"silence": {"fad_vggish": 1.0}})
    assert rows[1][0] == "stand-in (random weights): FAD (VGGish)"
    rows = group_rows({"fad_vggish": score}, {"a": {"fad_vggish": score}}, kind="class")
    assert rows[0][1] == "stand-in: FAD (VGGish)"
    assert item_title(score).endswith("(typicality, not quality)")


def test_random_weights_are_said_once():
    plain = Score.of("si_sdr", 1.0, n=1, details={"stand_in": True})
    assert label_of(plain) == "stand-in (random weights): SI-SDR"
    assert label_of(replace(plain, label=label_of(plain))) == label_of(plain)
    assert label_of(SCORES["si_sdr"]) == "SI-SDR"


def test_pairs_are_ranked_the_worst_first_and_those_without_a_value_not_at_all():
    items = [
        pair("fine", 20.0, 0.1),
        pair("dead", -math.inf, 3.0),
        pair("perfect", math.inf, 0.0),
        pair("undefined", math.nan, 2.0),
        pair("null", None, 2.0),
        pair("bad", -3.0, None),
    ]
    names = [item["name"] for item in rank_items(items, SCORES["si_sdr"])]
    assert names == ["dead", "bad", "fine", "perfect"]
    names = [item["name"] for item in rank_items(items, SCORES["mel_distance"])]
    assert names == ["dead", "undefined", "null", "fine", "perfect"]
    assert value_keys(items, SCORES) == ["si_sdr", "mel_distance"]
    assert value_keys([pair("a", None, math.nan)], SCORES) == []


def test_level_is_worst_far_from_zero_either_way():
    score = Score.of("level_difference_db", 0.0, n=3)
    items = [
        {"name": str(value), "values": {"level_difference_db": value}} for value in (1.0, -9.0, 4.0)
    ]
    assert [item["name"] for item in rank_items(items, score)] == ["-9.0", "4.0", "1.0"]


def test_groups_keep_their_order():
    groups = {
        "long": {"si_sdr": Score.of("si_sdr", 1.0, n=2)},
        "none": {},
        "short": {"si_sdr": Score.of("si_sdr", 3.0, n=5)},
    }
    rows = group_rows(SCORES, groups, kind="caption length")
    assert rows == [
        ("caption length", "SI-SDR, dB", "N"),
        ("long", "1", "2"),
        ("none", "n/a", "0"),
        ("short", "3", "5"),
    ]


def test_the_sanity_battery_is_a_table():
    sanity = {"silence": {"si_sdr": -30.0}, "white noise": {"si_sdr": None}, "halves": {}}
    rows = sanity_rows(SCORES, sanity)
    assert rows == [
        ("metric", "silence", "white noise", "halves"),
        ("SI-SDR, dB", "-30", "n/a", "-"),  # "halves" is nothing it was asked about
    ]
    assert sanity_rows(SCORES, {}) == []


def test_columns_line_up():
    assert as_text([("a", "bb"), ("ccc", "d")]) == ["a    bb", "-------", "ccc  d"]


def test_a_class_with_control_characters_is_one_line_of_harmless_letters():
    label = "dog\nN = 9 pairs\x1b[2J\r\u202e"
    classes = {label: {"si_sdr": SCORES["si_sdr"]}, "cat": {"si_sdr": SCORES["si_sdr"]}}
    lines = as_text(class_rows(SCORES, classes))
    assert len(lines) == 4
    assert all(line.isprintable() for line in lines)
    assert sum(r"dog\nN = 9 pairs\x1b[2J\r\u202e" in line for line in lines) == 1
    assert len({line.index("8.25 [7, 9.5]") for line in lines[2:]}) == 1
