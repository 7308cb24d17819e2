import csv

import pytest
import torch

from audiogen.training.history import HistoryLogger


def read(path):
    rows = list(csv.DictReader(path.open(newline="")))
    return [{key: value for key, value in row.items() if value} for row in rows]


def test_values_of_a_step_share_a_row_and_new_columns_join(tmp_path):
    log = HistoryLogger(tmp_path)
    log.log_metrics({"epoch": 0, "train/loss": 1.5}, step=1)
    log.log_metrics({"epoch": 0, "train/loss": 1.25}, step=2)
    log.log_metrics({"val/loss": torch.tensor(3.0)}, step=2)
    log.log_metrics({"train/loss": 0.5}, step=3)
    assert read(tmp_path / "metrics.csv") == [
        {"step": "1", "epoch": "0", "train/loss": "1.5"},
        {"step": "2", "epoch": "0", "train/loss": "1.25", "val/loss": "3.0"},
        {"step": "3", "train/loss": "0.5"},
    ]
    assert (tmp_path / "metrics.csv").read_text().startswith("step,epoch,train/loss,val/loss\n")
    assert log.latest() == {"step": 3.0, "epoch": 0.0, "train/loss": 0.5, "val/loss": 3.0}


def test_numbers_are_read_back_exactly(tmp_path):
    value = torch.rand((), dtype=torch.float64).item() / 3
    HistoryLogger(tmp_path).log_metrics({"x": value}, step=1)
    assert float(read(tmp_path / "metrics.csv")[0]["x"]) == value


@pytest.mark.parametrize("cut", [0, 1, 7])
def test_restart_keeps_the_rows_up_to_the_checkpoint(tmp_path, cut):
    log = HistoryLogger(tmp_path)
    for step in range(1, 8):
        log.log_metrics({"loss": float(step)}, step=step)
    path = tmp_path / "metrics.csv"
    path.write_bytes(path.read_bytes()[: -cut or None])  # a kill in the middle of the last row
    again = HistoryLogger(tmp_path)
    again.truncate(5)
    again.log_metrics({"loss": 60.0, "new": 1.0}, step=6)
    rows = read(path)
    assert [row["loss"] for row in rows] == ["1.0", "2.0", "3.0", "4.0", "5.0", "60.0"]
    assert rows[-1]["new"] == "1.0"


def test_truncate_to_zero_forgets_columns_too(tmp_path):
    log = HistoryLogger(tmp_path)
    log.log_metrics({"old": 1.0}, step=1)
    log.truncate(0)
    log.log_metrics({"new": 1.0}, step=1)
    assert read(tmp_path / "metrics.csv") == [{"step": "1", "new": "1.0"}]
    assert "old" not in (tmp_path / "metrics.csv").read_text()


def test_a_value_without_a_step_is_refused(tmp_path):
    with pytest.raises(ValueError, match="need the step"):
        HistoryLogger(tmp_path).log_metrics({"loss": 1.0})


@pytest.mark.parametrize("content", [b"\xff\xfe\x00\n", b"garbage,\n1,2\n"])
def test_a_damaged_history_is_named(tmp_path, content):
    (tmp_path / "metrics.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"metrics\.csv is damaged: it has no column step"):
        HistoryLogger(tmp_path)
