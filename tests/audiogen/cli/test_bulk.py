"""Long runs: killed, shared by several processes, out of memory, out of disk, interrupted."""

import errno
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from audiogen.audio import audio_info, read_audio, write_audio
from audiogen.cli import main
from audiogen.cli.records import Writer
from audiogen.lm.model import TokenLM

ROWS = 14
COMMAND = [sys.executable, "-m", "audiogen", "generate"]


@pytest.fixture
def rows(tmp_path) -> Path:
    file = tmp_path / "rows.csv"
    lines = [f"clip-{n},a dog barks {n} times,{0.02 if n % 3 else 0.04}" for n in range(ROWS)]
    file.write_text("id,prompt,duration\n" + "\n".join(lines) + "\n")
    return file


def argv(saved, rows, out, *more):
    options = ["--prompts", rows, "--model", saved, "--out", out, "--batch-size", 2, *more]
    return [str(part) for part in options]


def whole(out):
    """Names of the sounds, after a look at each and at what lies beside it."""
    names = sorted(path.stem for path in out.glob("*.wav"))
    for name in names:
        record = json.loads((out / f"{name}.json").read_text())
        assert audio_info(out / f"{name}.wav").frames == record["samples"]
    assert sorted(path.stem for path in out.glob("*.json")) == names
    assert not list(out.glob(".*"))
    return names


def test_killed_at_any_moment_the_same_command_goes_on(saved, rows, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    written = []
    for lines in (1, 4):
        process = subprocess.Popen(
            [*COMMAND, *argv(saved, rows, out)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        made = [process.stdout.readline() for _ in range(len(written) + lines)]
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert all(line.startswith(str(out)) for line in made)
        written = sorted(out.glob("*.json"))
        assert lines <= len(written) < ROWS
    (out / f".writing-{_host()}-999999999-aa.wav").write_bytes(b"half")  # as a kill may leave
    times = {path: path.stat().st_mtime_ns for path in written}

    write, again = Writer.__call__, []
    monkeypatch.setattr(
        Writer, "__call__", lambda self, job, *a: again.append(job) or write(self, job, *a)
    )
    assert main(["generate", *argv(saved, rows, out)]) == 0
    assert len(again) == ROWS - len(written)
    assert len(set(capsys.readouterr().out.splitlines())) == ROWS
    assert {path: path.stat().st_mtime_ns for path in written} == times
    assert whole(out) == sorted(f"clip-{n}" for n in range(ROWS))

    assert main(["generate", *argv(saved, rows, tmp_path / "undisturbed")]) == 0
    for path in out.glob("*.wav"):
        other = read_audio(tmp_path / "undisturbed" / path.name)[0]
        assert (read_audio(path)[0] - other).abs().max() <= 2**-14


def _host():
    return "".join(c for c in socket.gethostname() if c.isalnum())[:32]


def test_two_processes_share_a_folder(saved, rows, tmp_path):
    out = tmp_path / "out"
    parts = [
        subprocess.Popen(
            [*COMMAND, *argv(saved, rows, out, "--shard", f"{part}/2")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for part in (1, 2)
    ]
    printed = [process.communicate() for process in parts]
    assert [process.returncode for process in parts] == [0, 0], printed
    lines = [set(stdout.splitlines()) for stdout, _ in printed]
    assert not lines[0] & lines[1]
    assert [len(found) for found in lines] == [ROWS // 2, ROWS // 2]
    assert whole(out) == sorted(f"clip-{n}" for n in range(ROWS))
    assert all(f'"clip-{n}.wav"' in (out / "index.html").read_text() for n in (0, ROWS - 1))


def test_what_another_process_made_meanwhile_is_not_made_again(
    saved, rows, tmp_path, monkeypatch, capsys
):
    """Both began when the folder was empty: the second comes to rows that the first has made."""
    write, written = Writer.__call__, []

    def with_company(self, job, *rest):
        if len(written) == 1:
            monkeypatch.setattr(Writer, "__call__", write)
            assert main(["generate", *argv(saved, rows, tmp_path / "out")]) == 0
            monkeypatch.setattr(Writer, "__call__", with_company)
        written.append(job.path)
        write(self, job, *rest)

    monkeypatch.setattr(Writer, "__call__", with_company)
    assert main(["generate", *argv(saved, rows, tmp_path / "out")]) == 0
    assert len(written) == 2  # those of the batch that had begun
    printed = Counter(Path(line).stem for line in capsys.readouterr().out.splitlines())
    assert printed == {f"clip-{n}": 2 for n in range(ROWS)}  # once by each
    assert len(whole(tmp_path / "out")) == ROWS


@contextmanager
def largest_file(size):
    """A limit on the size of files stands for a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg"])
def test_a_full_disk_leaves_nothing_half_written(saved, rows, tmp_path, capsys, kind):
    """There is room for the short sounds only, then for none."""
    options = argv(saved, rows, tmp_path / "out", "--format", kind)
    out, roomy = tmp_path / "out", tmp_path / "roomy"
    assert main(["generate", *options, "--no-page", "--out", str(roomy)]) == 0
    sizes = {path.name: path.stat().st_size for path in roomy.glob(f"*.{kind}")}
    capsys.readouterr()
    for limit in (max(sizes.values()) - 1, 100):
        with largest_file(limit):
            assert main(["generate", *options, "--no-page"]) == 1
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.startswith("error: OSError: ")
        assert "is the disk full?" in last
        assert {path.name for path in out.iterdir()} <= {path.name for path in roomy.iterdir()}
        for path in out.glob(f"*.{kind}"):
            assert path.stat().st_size == sizes[path.name]
    assert main(["generate", *options]) == 0
    assert len(list(out.glob("clip-*"))) == 2 * ROWS


@pytest.mark.parametrize("suffix", [".json", ".html"])
@pytest.mark.parametrize("when", ["open", "write"])
def test_a_disk_that_fills_up_beside_the_sound(saved, tmp_path, monkeypatch, capsys, suffix, when):
    """Of bytes when a record or the page is written, or of files before it is there."""
    write = Path.write_text

    def full(self, text, **options):
        if self.suffix != suffix:
            return write(self, text, **options)
        if when == "write":
            self.touch()
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_text", full)
    options = ["--model", str(saved), "--out", str(tmp_path / "out"), "--duration", "0.02"]
    assert main(["generate", "rain", *options]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: OSError: ")
    assert f"{suffix}'; is the disk full?" in last
    assert not list((tmp_path / "out").glob(".*"))


def test_a_folder_that_takes_no_files(saved, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    options = ["--model", str(saved), "--out", str(tmp_path / "out"), "--duration", "0.02"]
    assert main(["generate", "rain", *options]) == 2
    assert "takes no files: change its permissions" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_model_that_vanishes(saved, tmp_path, capsys):
    (saved / "lm.safetensors").unlink()
    options = ["--model", str(saved), "--out", str(tmp_path / "out"), "--duration", "0.02"]
    assert main(["generate", "rain", *options]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "lm.safetensors is missing" in error
    assert not (tmp_path / "out").exists()


def test_ctrl_c_keeps_what_is_finished(saved, rows, tmp_path, monkeypatch, capsys):
    write, count = Writer.__call__, []

    def impatient(self, *rest):
        if len(count) == 5:
            raise KeyboardInterrupt
        count.append(1)
        write(self, *rest)

    monkeypatch.setattr(Writer, "__call__", impatient)
    assert main(["generate", *argv(saved, rows, tmp_path / "out")]) == 1
    assert "the same command goes on" in capsys.readouterr().err.splitlines()[-1]
    assert len(whole(tmp_path / "out")) == 5
    assert (tmp_path / "out" / "index.html").is_file()


@pytest.mark.parametrize("more", [[], ["--continue"]])
def test_memory_that_runs_out_halves_the_batch(
    saved, tmp_path, monkeypatch, capsys, caplog, more, start
):
    """More than two rows with guidance, four in all, do not fit: the sounds are the same."""
    forward = TokenLM.project_text

    def small(self, states, *rest, **keywords):
        if len(states) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return forward(self, states, *rest, **keywords)

    more = [*more, str(start)] if more else []
    prompts = ["rain", "a dog", "wind", "a bell rings", "steps"]
    options = ["--model", str(saved), "--duration", "0.06", "--batch-size", "5", "--no-page", *more]
    assert main(["generate", *prompts, *options, "--out", str(tmp_path / "roomy")]) == 0
    capsys.readouterr()
    monkeypatch.setattr(TokenLM, "project_text", small)
    assert main(["generate", *prompts, *options, "--out", str(tmp_path / "tight")]) == 0
    assert "ran out" in capsys.readouterr().err + caplog.text
    assert whole(tmp_path / "tight") == whole(tmp_path / "roomy")
    for path in (tmp_path / "tight").glob("*.wav"):
        other = read_audio(tmp_path / "roomy" / path.name)[0]
        assert (read_audio(path)[0] - other).abs().max() <= 2**-14


@pytest.mark.parametrize("more", [[], ["--continue"]])
def test_memory_for_not_even_one(saved, tmp_path, monkeypatch, capsys, more, start):
    def none(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    more = [*more, str(start)] if more else []
    monkeypatch.setattr("audiogen.generation.windows.generate_frames", none)
    options = ["--model", str(saved), "--duration", "0.06", "--out", str(tmp_path / "out"), *more]
    assert main(["generate", "rain", "wind", *options]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: not enough memory: ")
    assert "--two-step" in last
    assert not list((tmp_path / "out").glob("*.wav"))


@pytest.fixture
def start(saved, tmp_path) -> Path:
    """A short stereo sound of another rate."""
    path = tmp_path / "start.flac"
    noise = torch.rand(2, 800, generator=torch.Generator().manual_seed(2)) - 0.5
    write_audio(path, noise, 44100)
    return path
