"""The `audiogen` command as a whole: exit codes, one line per mistake, quick answers."""

import os
import subprocess
import sys
import time

import pytest

import audiogen
from audiogen.cli import main


@pytest.fixture
def fails(capsys):
    """Run a command that is the caller's mistake; return the one line it says."""

    def run(*argv: object) -> str:
        assert main([str(part) for part in argv]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        lines = printed.err.splitlines()
        assert len(lines) == 1
        assert lines[0].startswith("error: ")
        return lines[0]

    return run


def test_help_is_quick_and_loads_no_torch():
    code = (
        "import sys\n"
        "from audiogen.cli import main\n"
        "lines = (['--help'], ['generate', '--help'], ['encode', 'a.wav', '--out', 'b'])\n"
        "codes = [main(line) for line in lines]\n"
        "heavy = {'torch', 'numpy', 'transformers', 'lightning', 'torchaudio'} & set(sys.modules)\n"
        "print(codes, sorted(heavy))\n"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[0, 0, 2] []"
    assert done.stdout.startswith("usage: audiogen ")
    assert time.perf_counter() - start < 10  # 0.2 s alone; the machine may be busy


def test_the_module_is_the_command():
    command = [sys.executable, "-m", "audiogen", "generate", "rain", "--top-k", "-1"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"audiogen {audiogen.__version__}\n"


def test_no_model(fails):
    line = fails("encode", "in.wav", "--out", "out.safetensors")
    assert "no model given" in line
    assert "`make demo` and pass --model runs/demo/model" in line


def test_wrong_arguments(fails):
    assert "COMMAND; see audiogen --help" in fails()
    assert "--frob; see audiogen generate --help" in fails("generate", "rain", "--frob")
    assert "--duraton 2: did you mean --duration?" in fails("generate", "a", "--duraton", "2")
    assert "did you mean --seed?" in fails("generate", "rain", "--sed=3")
    assert "did you mean" not in fails("generate", "rain", "--stream")
    line = fails("generate", "rain", "--duration", "long")
    assert "--duration: must be more than 0 seconds, got 'long'" in line
    assert "invalid choice: 'play'" in fails("play")


def test_a_model_that_is_not_there(fails, tmp_path):
    line = fails("generate", "rain", "--model", tmp_path / "none")
    assert f"no model at {tmp_path}/none" in line
    assert "hub cannot be reached" in fails("info", "nobody/no-model")


def test_a_device_that_is_not_there(fails, saved):
    for device in ("quantum", "cuda:99"):
        line = fails("generate", "rain", "--model", saved, "--device", device)
        assert f"--device {device} cannot be used" in line


def test_what_is_not_the_callers_mistake(monkeypatch, capsys):
    import audiogen.cli.doctor

    def fail(_: object) -> int:
        raise RuntimeError("the disk\nis on fire")

    monkeypatch.setattr(audiogen.cli.doctor, "run", fail)
    assert main(["doctor"]) == 1
    line = "error: RuntimeError: the disk is on fire; --debug says more\n"
    assert capsys.readouterr().err == line
    assert main(["doctor", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (FileNotFoundError("no such thing"), 2),
        (PermissionError(13, "Permission denied"), 2),
        (OSError(36, "File name too long"), 2),
        (OSError(28, "No space left on device"), 1),
        (KeyboardInterrupt(), 1),
    ],
)
def test_exit_codes_of_the_system(monkeypatch, capsys, error, code):
    import audiogen.cli.doctor

    def fail(_: object) -> int:
        raise error

    monkeypatch.setattr(audiogen.cli.doctor, "run", fail)
    assert main(["doctor"]) == code
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_reader_that_has_seen_enough(monkeypatch, capsys):
    """As of `audiogen doctor | head -1`: no error line, and nothing left to fail at the exit."""
    reads, writes = os.pipe()
    os.close(reads)
    monkeypatch.setattr("audiogen.cli.doctor.run", lambda _: print("a" * 100_000) or 0)
    with os.fdopen(writes, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert main(["doctor"]) == 1
    assert capsys.readouterr().err == ""


def test_doctor_names_what_is_here_and_what_is_not(capsys, monkeypatch, tmp_path):
    import audiogen.cli.doctor as doctor

    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line[:5] in ("ok   ", "-    ") for line in lines)
    assert "nothing is fetched" in next(line for line in lines if " hub " in line)
    assert any("t5-large" in line for line in lines)

    present = doctor._installed
    monkeypatch.setattr(doctor, "_installed", lambda name: name != "lightning" and present(name))
    assert main(["doctor"]) == 0
    train = next(line for line in capsys.readouterr().out.splitlines() if "[train]" in line)
    assert train.startswith("-")
    assert "lacks lightning" in train
    assert train.endswith("in the source folder: pip install '.[train]'")

    monkeypatch.setattr(doctor, "_installed", lambda name: name != "soundfile" and present(name))
    assert main(["doctor"]) == 1
    assert "FAIL audiogen" in capsys.readouterr().out
