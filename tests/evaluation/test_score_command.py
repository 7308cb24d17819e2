"""What the command prints and where, and what it will not write over."""

import json
import subprocess
import sys

import pytest

import evaluation.reports.report
import evaluation.suite
from evaluation.__main__ import main

QUICK = ["--protocol", "demo", "--no-cache", "--no-sanity", "--metrics", "level_difference_db"]


def test_on_a_terminal_the_table_is_all(folders, capsys, monkeypatch):
    arguments = [*map(str, folders), *QUICK]
    assert main(arguments) == 0
    assert capsys.readouterr().out.startswith("{")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(arguments) == 0
    out, said = capsys.readouterr()
    assert out == ""
    assert said.splitlines()[:2] == [f"reference: {folders[0]}", f"generated: {folders[1]}"]


def test_the_sounds_are_not_written_over(folders, capsys):
    sound = folders[1] / "clip01.wav"
    before = sound.read_bytes()
    for path in (sound, folders[0] / "r.json"):
        assert main([*map(str, folders), *QUICK, "--json", str(path)]) == 2
        assert f"cannot write {path}" in capsys.readouterr().err
    assert sound.read_bytes() == before
    assert len(list(folders[0].iterdir())) == 12


def test_a_command_misspelled(folders, capsys):
    assert main(["explian", *map(str, folders)]) == 2
    said = capsys.readouterr().err
    assert said == "error: no command and no folder 'explian'. Did you mean explain?\n"


def test_memory_that_is_not_there_is_one_line(folders, capsys, monkeypatch):
    def fail(*args, **kwargs):
        raise MemoryError("Unable to allocate 7 TiB")

    monkeypatch.setattr(evaluation.suite, "evaluate", fail)
    assert main([*map(str, folders)]) == 1
    assert capsys.readouterr().err == "error: out of memory: Unable to allocate 7 TiB\n"


def test_more_resamples_than_memory_are_refused():
    from evaluation.protocols.card import load_protocol

    with pytest.raises(ValueError, match=r"bootstrap\.resamples must be at most 100000"):
        load_protocol("demo").changed("bootstrap.resamples", 10**8)


def test_a_stream_that_the_caller_closed(folders):
    """As by `>&-`: its number is not taken by the first file that is opened."""
    words = " ".join([*map(str, folders), *QUICK])
    for closed in ("1>&-", "2>&-", "0<&- 1>&- 2>&-"):
        command = f"exec {sys.executable} -m evaluation {words} {closed}"
        result = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        assert result.stdout.startswith("{") == (closed == "2>&-")
        assert ("N = 12 pairs" in result.stderr) == (closed == "1>&-")


def test_a_full_disk_costs_the_file_alone(folders, tmp_path, capsys, monkeypatch):
    write = evaluation.reports.report.write_text

    def fill(path, text):
        if path.suffix == ".csv":
            raise OSError(28, "No space left on device")
        write(path, text)

    monkeypatch.setattr(evaluation.reports.report, "write_text", fill)
    full, whole = tmp_path / "r.csv", tmp_path / "r.json"
    assert main([*map(str, folders), *QUICK, "--csv", str(full), "--json", str(whole)]) == 1
    said = capsys.readouterr().err
    assert "N = 12 pairs" in said
    assert said.endswith(f"\nerror: cannot write {full}: No space left on device\n")
    assert whole.is_file()


def test_a_system_is_called_by_its_name(folders, tmp_path, capsys):
    files = [tmp_path / "r.json", tmp_path / "r.md"]
    words = [*map(str, folders), *QUICK, "--json", str(files[0]), "--markdown", str(files[1])]
    assert main([*words, "--name", "ours_2"]) == 0
    assert json.loads(files[0].read_text())["data"]["name"] == "ours_2"
    assert files[1].read_text().splitlines()[2].startswith("| ours\\_2 | ")
    assert main([*words, "--name", " "]) == 2
    assert "name must be text on one line, got ' '" in capsys.readouterr().err
    assert main(words) == 0
    assert files[1].read_text().splitlines()[2].startswith("| generated | ")
