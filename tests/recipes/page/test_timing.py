import pytest

from recipes.page.inputs import Run
from recipes.page.timing import machine, stage_times, time_table, totals

TITLES = {"data": "sounds", "codec": "train the codec", "lm": "train the model", "report": "page"}
REQUIRED = ("data", "codec", "lm")


def row(stage, seconds, exit_code=0, size=10**9):
    return {"stage": stage, "seconds": seconds, "bytes": size, "exit": exit_code}


def all_stages(seconds=1.0):
    return [row(name, seconds) for name in TITLES]


def test_stopped_starts_count_and_skipping_ones_do_not():
    rows = [row("codec", 100, 130, 3e9), row("codec", 50), row("codec", 2), row("codec", 2)]
    (time,) = stage_times(rows, TITLES)
    assert time.seconds == 150
    assert (time.starts, time.stopped, time.finished) == (4, 1, True)
    assert time.peak_bytes == 3e9


def test_order_is_that_of_the_titles_and_unknown_stages_come_last():
    times = stage_times([row("new", 1), row("lm", 1), row("data", 1)], TITLES)
    assert [time.stage for time in times] == ["data", "lm", "new"]


def test_totals():
    seconds, memory = totals(
        stage_times([*all_stages(10.0), row("lm", 5, 1, 2e9)], TITLES), REQUIRED
    )
    assert seconds == pytest.approx(10.0 * len(TITLES) + 5)
    assert memory == 2e9


@pytest.mark.parametrize("name", REQUIRED)
def test_no_total_before_every_stage_is_done(name):
    rows = [r for r in all_stages() if r["stage"] != name]
    assert totals(stage_times(rows, TITLES), REQUIRED) == (None, None)
    assert totals(stage_times([*rows, row(name, 5, 1)], TITLES), REQUIRED) == (None, None)


def test_total_without_what_is_not_required():
    rows = [r for r in all_stages() if r["stage"] in REQUIRED]
    assert totals(stage_times(rows, TITLES), REQUIRED)[0] == len(rows)


def test_damaged_rows_are_no_zero():
    assert stage_times([{"stage": "data", "exit": 0}], TITLES) == []
    (time,) = stage_times([{"stage": "data", "seconds": 1.0, "exit": 0}], TITLES)
    assert time.peak_bytes is None


def test_machine_is_described():
    facts = machine()
    assert {"processor", "cores in use", "memory", "Python", "torch"} <= facts.keys()
    assert all(facts.values())


def test_table_of_a_run_that_is_not_done(tmp_path):
    (tmp_path / "stages.jsonl").write_text('{"stage": "data", "seconds": 4, "bytes": 5, "exit": 0}')
    table = time_table(Run(folder=tmp_path), TITLES, REQUIRED)
    assert (table["so_far"], table["peak"], table["seconds"]) == (4, 5, None)
    assert table["undone"] == ["train the codec", "train the model"]
