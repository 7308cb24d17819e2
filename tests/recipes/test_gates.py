import math

import pytest

from recipes.gates import FAILS, HOLDS, NOT_MEASURED, all_hold, check, read_gates, show, verdict

RANGE = {
    "name": "x",
    "title": "a value",
    "unit": "dB",
    "at_least": 1,
    "at_most": 3,
    "sounds": ["a"],
}


@pytest.mark.parametrize(
    ("value", "state"),
    [(1, HOLDS), (3, HOLDS), (0.999, FAILS), (3.001, FAILS), (None, NOT_MEASURED)],
)
def test_a_range_has_two_ends(value, state):
    (outcome,) = check({"x": value}, [RANGE], sounds="a")
    assert (outcome.state, outcome.expected) == (state, "1.00 to 3.00 dB")
    assert all_hold([outcome]) == (state == HOLDS)


def test_rounding_does_not_hide_which_end_failed():
    (outcome,) = check({"x": 3.0004}, [RANGE], sounds="a")
    assert outcome.reached == "3.0004 dB"


def test_gates_for_other_sounds_are_shown_and_do_not_bind():
    (outcome,) = check({"x": 9.0}, [RANGE], sounds="b")
    assert not outcome.binding
    assert check({"x": math.nan}, [RANGE], sounds="b") == []


def test_words(capsys):
    outcomes = check({"x": 2.0}, [RANGE, RANGE | {"name": "y"}], sounds="a")
    assert verdict(outcomes) == "1 of 2 hold, 1 not measured"
    assert verdict([]) == "0 of 0 hold"
    show(outcomes)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "checks of this run  expected      reached"
    assert lines[1] == "a value             1.00 to 3.00 dB  2.00 dB       holds"


def test_reads_a_file(tmp_path):
    (tmp_path / "expected.json").write_text('{"gates": [{"name": "x"}]}')
    assert read_gates(tmp_path / "expected.json") == [{"name": "x"}]
