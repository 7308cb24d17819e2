import errno
import logging
import multiprocessing
import os
import sqlite3
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from audiogen.text.state_file import StateFile

NOBODY = 65534  # a user without any rights


def key(number):
    return number.to_bytes(32, "little")


def states(number, length=5, width=16):
    return torch.randn(length, width, generator=torch.Generator().manual_seed(number))


@pytest.fixture
def file(tmp_path):
    return StateFile(tmp_path / "deep" / "states.sqlite", dtype="float32")


def change(file, statement, *values):
    with sqlite3.connect(file.path) as database:
        database.execute(statement, values)
    database.close()


@settings(max_examples=15, deadline=None)
@given(
    length=st.integers(0, 9),
    width=st.integers(1, 9),
    values=st.lists(st.floats(width=32), min_size=1, max_size=8),
)
def test_every_bit_comes_back(tmp_path_factory, length, width, values):
    file = StateFile(tmp_path_factory.mktemp("states") / "f.sqlite", dtype="float32")
    array = torch.tensor(values).repeat(81)[: length * width].view(length, width)
    file.write({key(1): array})
    found = file.read([key(1)])[key(1)]
    assert found.shape == (length, width)
    assert found.numpy().tobytes() == array.numpy().tobytes()  # NaN and signed zero included


def test_only_what_is_there_is_found(file):
    assert file.read([key(1)]) == {}  # not even a file
    file.write({})
    assert not file.path.exists()
    file.write({key(1): states(1), key(2): states(2, length=3)})
    found = file.read([key(2), key(3), key(1)])
    assert found.keys() == {key(1), key(2)}
    assert torch.equal(found[key(2)], states(2, length=3))
    assert file.count() == 2


def test_more_keys_than_one_question_takes(file):
    numbers = range(1300)
    file.write({key(n): states(n, length=1, width=2) for n in numbers})
    found = file.read([key(n) for n in numbers])
    assert all(torch.equal(found[key(n)], states(n, length=1, width=2)) for n in numbers)


def test_the_last_of_two_writers_wins(file):
    file.write({key(1): states(1)})
    StateFile(file.path, dtype="float32").write({key(1): states(2)})
    assert torch.equal(file.read([key(1)])[key(1)], states(2))


def test_half_the_bits_have_a_known_error(tmp_path):
    half = StateFile(tmp_path / "half.sqlite", dtype="float16")
    whole = StateFile(tmp_path / "whole.sqlite", dtype="float32")
    value = torch.cat([states(1, length=500), states(2, length=500) * 1e-5])
    for file in (half, whole):
        file.write({key(1): value})
    found = half.read([key(1)])[key(1)]
    assert found.dtype == torch.float32
    error = (found - value).abs()
    assert (error <= torch.maximum(value.abs() * 2**-11, torch.tensor(2.0**-25))).all()
    assert error.max() > 0
    assert torch.equal(found, half.rounded(value))
    assert torch.equal(found, torch.from_numpy(value.numpy().astype(np.float16)).float())
    assert half.path.stat().st_size < 0.6 * whole.path.stat().st_size


@pytest.mark.parametrize("value", [1e5, float("inf"), float("nan")])
def test_what_half_the_bits_cannot_hold_is_kept_whole(tmp_path, value):
    file = StateFile(tmp_path / "half.sqlite", dtype="float16")
    array = states(1)
    array[2, 3] = value
    file.write({key(1): array})
    assert file.read([key(1)])[key(1)].numpy().tobytes() == array.numpy().tobytes()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("data", b"\x00" * 320),
        ("data", b"short"),
        ("data", "text"),
        ("width", 8),
        ("width", 0),
        ("width", "wide"),
        ("dtype", "float16"),
        ("dtype", "float64"),
        ("checksum", 7),
    ],
)
def test_a_damaged_state_is_missing_and_warned_of(file, caplog, column, value):
    file.write({key(1): states(1), key(2): states(2)})
    change(file, f"UPDATE states SET {column} = ? WHERE key = ?", value, key(1))
    with caplog.at_level(logging.WARNING):
        found = file.read([key(1), key(2)])
    assert found.keys() == {key(2)}
    assert "1 text state(s) damaged: computed again" in caplog.text
    file.write({key(1): states(1)})  # which repairs it
    assert torch.equal(file.read([key(1)])[key(1)], states(1))


def test_states_do_not_answer_to_another_key(file, caplog):
    file.write({key(1): states(1)})
    change(file, "UPDATE states SET key = ?", key(2))
    assert file.read([key(2)]) == {}
    assert "damaged" in caplog.text


def test_any_flipped_byte_gives_the_true_states_or_none(file):
    """Whatever byte of the file is wrong: nothing false is read, and nothing is raised."""
    numbers = range(40)
    file.write({key(n): states(n) for n in numbers})
    sound = file.path.read_bytes()
    positions = np.random.default_rng(0).integers(0, len(sound), 30).tolist()
    for position in [*range(0, 100, 9), *positions]:
        broken = bytearray(sound)
        broken[position] ^= 0xFF
        file.path.write_bytes(broken)
        again = StateFile(file.path, dtype="float32")
        for n, found in again.read([key(n) for n in numbers]).items():
            assert torch.equal(found, states(int.from_bytes(n, "little")))
        again.write({key(0): states(0)})


@pytest.mark.parametrize("size", [0, 1, 100, 5000])
def test_a_file_that_was_cut_is_put_aside(file, caplog, size):
    file.write({key(n): states(n) for n in range(40)})
    file.path.write_bytes(file.path.read_bytes()[:size])
    file.read([key(n) for n in range(40)])
    file.write({key(1): states(1)})
    assert torch.equal(file.read([key(1)])[key(1)], states(1))
    assert ("is damaged" in caplog.text) == (size > 1)  # SQLite takes it for an empty file


def test_a_file_of_something_else_is_put_aside_not_deleted(file, caplog):
    file.path.parent.mkdir()
    file.path.write_text("a letter, not a database, of more than a hundred characters. " * 20)
    assert file.read([key(1)]) == {}
    assert "its text states are computed again" in caplog.text
    assert "a letter" in file.path.with_suffix(".damaged").read_text()
    file.write({key(1): states(1)})
    assert file.read([key(1)]).keys() == {key(1)}


def test_a_folder_that_may_not_be_entered_costs_time_only(file, caplog, monkeypatch):
    """Simulated, as the superuser may enter any."""
    file.write({key(1): states(1)})

    def refuse(path, **_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "stat", refuse)
    for _ in range(3):
        assert file.read([key(1)]) == {}
    assert caplog.text.count("text states cannot be read") == 1


def test_what_cannot_be_written_is_warned_of_once(tmp_path, caplog):
    (tmp_path / "in the way").write_text("")
    file = StateFile(tmp_path / "in the way" / "states.sqlite", dtype="float32")
    for _ in range(3):
        file.write({key(1): states(1)})
        assert file.read([key(1)]) == {}
    assert [record.getMessage()[:35] for record in caplog.records] == [
        "text states cannot be written to " + str(file.path)[:2]
    ]


def only_read(file):
    """Run as someone who may not write; the exit code says whether all was as it should be."""
    if os.geteuid() == 0:
        os.setuid(NOBODY)
    assert file.read([key(1)]).keys() == {key(1)}
    file.write({key(2): states(2)})
    assert not file._writable
    assert file.read([key(1), key(2)]).keys() == {key(1)}


def test_a_folder_that_may_only_be_read_is_read():
    with tempfile.TemporaryDirectory() as folder:  # not below one that is closed to others
        path = Path(folder)
        file = StateFile(path / "states.sqlite", dtype="float32")
        file.write({key(1): states(1)})
        file.path.chmod(0o444)
        path.chmod(0o555)
        process = multiprocessing.get_context("fork").Process(target=only_read, args=(file,))
        process.start()
        process.join(60)
        path.chmod(0o755)
        assert process.exitcode == 0


def test_waits_for_another_process_and_gives_up(file, caplog, monkeypatch):
    file.write({key(1): states(1)})
    monkeypatch.setattr("audiogen.text.state_file.PATIENCE", 0.05)
    other = sqlite3.connect(file.path)
    other.execute("BEGIN EXCLUSIVE")
    assert file.read([key(1)]) == {}
    file.write({key(2): states(2)})
    other.rollback()
    other.close()
    assert "locked" in caplog.text
    assert len(caplog.records) == 2
    assert file.path.is_file()  # which is no damage
    assert file.read([key(1)]) == {}  # a minute in every step would be worse than no file
    assert StateFile(file.path, dtype="float32").read([key(1)]).keys() == {key(1)}


def test_refuses_an_unknown_dtype(tmp_path):
    with pytest.raises(ValueError, match="one of float32, float16, got 'bfloat16'"):
        StateFile(tmp_path, dtype="bfloat16")
