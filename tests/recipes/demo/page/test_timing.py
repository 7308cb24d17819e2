import pytest

from recipes.demo.page.inputs import STAGES
from recipes.demo.page.timing import machine, stage_times, totals


def row(stage, seconds, exit_code=0, size=10**9):
    return {"stage": stage, "seconds": seconds, "bytes": size, "exit": exit_code}


def all_stages(seconds=1.0):
    return [row(name, seconds) for name in STAGES]


def test_stopped_starts_count_and_skipping_ones_do_not():
    rows = [row("codec", 100, 130, 3e9), row("codec", 50), row("codec", 2), row("codec", 2)]
    (time,) = stage_times(rows)
    assert time.seconds == 150
    assert (time.starts, time.stopped, time.finished) == (4, 1, True)
    assert time.peak_bytes == 3e9


def test_order_is_that_of_the_demo_and_unknown_stages_come_last():
    times = stage_times([row("new", 1), row("lm", 1), row("data", 1)])
    assert [time.stage for time in times] == ["data", "lm", "new"]


def test_totals():
    seconds, memory = totals(stage_times([*all_stages(10.0), row("lm", 5, 1, 2e9)]))
    assert seconds == pytest.approx(10.0 * len(STAGES) + 5)
    assert memory == 2e9


@pytest.mark.parametrize(
    "name", ["data", "codec", "tokens", "lm", "samples", "probe", "evaluation"]
)
def test_no_total_before_every_stage_is_done(name):
    rows = [r for r in all_stages() if r["stage"] != name]
    assert totals(stage_times(rows)) == (None, None)
    assert totals(stage_times([*rows, row(name, 5, 1)])) == (None, None)


def test_total_without_what_recordings_do_not_need():
    rows = [r for r in all_stages() if r["stage"] not in ("probe_data", "report")]
    assert totals(stage_times(rows))[0] == len(rows)


def test_damaged_rows_are_no_zero():
    assert stage_times([{"stage": "data", "exit": 0}]) == []
    (time,) = stage_times([{"stage": "data", "seconds": 1.0, "exit": 0}])
    assert time.peak_bytes is None


def test_machine_is_described():
    facts = machine()
    assert {"processor", "cores in use", "memory", "Python", "torch"} <= facts.keys()
    assert all(facts.values())
