import os

import pytest

from recipes.page.inputs import History, MissingInputError, Run, is_number


@pytest.mark.parametrize(
    ("exits", "words"),
    [
        ([], "has not run to an end"),
        ([0, 2], "stopped with exit code 2"),
        ([-9], "was killed by signal 9"),
        ([1, 0], "ended well, so the file was removed"),
    ],
)
def test_says_why_a_file_is_missing(tmp_path, exits, words):
    rows = "".join(f'{{"stage": "probe", "exit": {code}}}\n' for code in exits)
    (tmp_path / "stages.jsonl").write_text(rows)
    with pytest.raises(MissingInputError, match=words) as error:
        Run(folder=tmp_path).json("scores.json", stage="probe")
    assert "scores.json is not in the run folder" in str(error.value)


def test_a_line_cut_by_a_kill_is_left_out(tmp_path):
    (tmp_path / "stages.jsonl").write_text('{"stage": "data", "exit": 0}\n{"stage": "cod')
    assert Run(folder=tmp_path).stages == [{"stage": "data", "exit": 0}]


def test_history_keeps_numbers_and_drops_the_rest(tmp_path):
    path = tmp_path / "run-1" / "metrics.csv"
    path.parent.mkdir()
    path.write_text("step,val/loss,val/x\n1,2.5,\n2,nan,7\n3,,x\n,1.0,1.0\n")
    history = History.read(path)
    assert history.series("val/loss") == ([1.0], [2.5])
    assert history.series("val/x") == ([2.0], [7.0])
    assert history.series("absent") == ([], [])
    assert history.last_with("val/loss", "val/x") is None
    assert (history.run, history.finished) == ("run-1", False)


def test_reads_what_training_writes(tmp_path):
    from audiogen.training.history import HistoryLogger

    logger = HistoryLogger(tmp_path / "train_lm" / "demo_lm-1")
    logger.log_metrics({"train/loss": 3.0}, 10)
    logger.log_metrics({"val/loss": 2.5, "val/loss_shuffled_captions": 2.75}, 10)
    history = Run(folder=tmp_path).history("train_lm", stage="lm")
    assert history.rows == [
        {"step": 10, "train/loss": 3.0, "val/loss": 2.5, "val/loss_shuffled_captions": 2.75}
    ]


def test_the_finished_run_is_shown_and_others_are_counted(tmp_path):
    for age, name in enumerate(("finished", "newer")):
        path = tmp_path / "train_lm" / name / "metrics.csv"
        path.parent.mkdir(parents=True)
        path.write_text("step\n1\n")
        os.utime(path, (age, age))
    run = Run(folder=tmp_path)
    assert run.history("train_lm", stage="lm").run == "newer"
    (tmp_path / "train_lm" / "finished" / "done.json").write_text("{}")
    history = run.history("train_lm", stage="lm")
    assert (history.run, history.finished, history.others) == ("finished", True, 1)


def test_numbers():
    assert [is_number(v) for v in (0, 1.5, True, None, "1", float("nan"), float("inf"))] == [
        True, True, False, False, False, False, False,
    ]  # fmt: skip
