"""Options that contradict each other or make no sense: one line, and before torch is loaded."""

import os
import subprocess
import sys

import pytest

from audiogen.cli import main

MISTAKES = [
    (["--duration", "0"], "--duration: must be more than 0 seconds, got '0'"),
    (["--duration", "-1"], "--duration: must be more than 0 seconds, got '-1'"),
    (["--duration", "nan"], "--duration: must be more than 0 seconds, got 'nan'"),
    (["--duration", "inf"], "--duration: must be more than 0 seconds, got 'inf'"),
    (["--guidance-scale", "inf"], "--guidance-scale: must be a finite number"),
    (["--temperature", "-1"], "--temperature: must be a number of at least 0"),
    (["--temperature", "nan"], "--temperature: must be a number of at least 0"),
    (["--top-k", "-1"], "--top-k: must be a whole number of at least 0, got '-1'"),
    (["--top-k", "2.5"], "--top-k: must be a whole number of at least 0"),
    (["--top-p", "2"], "--top-p: must be a share of 0 to 1"),
    (["--batch-size", "0"], "--batch-size: must be a whole number of 1 to 100000, got '0'"),
    (["--batch-size", "9" * 25], "--batch-size: must be a whole number of 1 to 100000, got '999"),
    (["--guidance-scale", "-1e999"], "--guidance-scale: must be a finite number, got '-1e999'"),
    (["--temperature", "-3e0"], "--temperature: must be a number of at least 0, got '-3e0'"),
    (["--continue", ""], "--continue: is empty: name one"),
    (["--prompts", " "], "--prompts: is empty"),
    (["--model", ""], "--model: is empty"),
    (["--shard", "\u0661/\u0662"], "--shard: must be like 1/8"),
    (["--scorer\x1b[31m", "x"], r"unrecognized arguments: --scorer\x1b[31m"),
    (["--variations", "0"], "--variations: must be a whole number of at least 1"),
    (["--best-of", "-3"], "--best-of: must be a whole number of at least 1"),
    (["--shard", "0/4"], "--shard: must be like 1/8 up to 8/8, got '0/4'"),
    (["--shard", "5/4"], "--shard: must be like 1/8"),
    (["--shard", "1"], "--shard: must be like 1/8"),
    (["--guidance-window", "2:1"], "--guidance-window: must be two seconds like 0:2"),
    (["--guidance-window", "1"], "--guidance-window: must be two seconds"),
    (["--guidance-window", "a:b"], "--guidance-window: must be two seconds"),
    (["--loudness", "3"], "--loudness: must be -70 to 0 LUFS"),
    (["--loudness", "-14", "--level", "peak"], "--loudness and --level peak are two levels"),
    (["--bits", "24", "--format", "mp3"], "--bits 24 does not fit --format mp3: use wav or flac"),
    (["--bits", "float", "--format", "flac"], "does not fit --format flac: use wav"),
    (["--format", "au"], "--format: invalid choice: 'au'"),
    (["--greedy", "--variations", "2"], "--variations makes several sounds of a prompt"),
    (["--temperature", "0", "--best-of", "2"], "--best-of makes several sounds of a prompt"),
    (["--scorer", "likelihood"], "say of how many with --best-of 4"),
    (["--continue", "none.wav"], "--continue none.wav: there is no such sound file"),
    (["--prompts", "none.csv"], "prompts file none.csv is not there"),
]


@pytest.mark.parametrize(("options", "message"), MISTAKES)
def test_mistakes(capsys, options, message):
    assert main(["generate", "rain", "--model", "none", *options]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert printed.err.count("\n") == 1


def test_no_mistake_needs_torch_to_be_seen():
    code = (
        "import sys\n"
        "from audiogen.cli import main\n"
        f"for options in {[options for options, _ in MISTAKES]!r}:\n"
        "    assert main(['generate', 'rain', '--model', 'none', *options]) == 2\n"
        "heavy = {'torch', 'numpy', 'soundfile', 'tqdm', 'transformers'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_model_that_reads_words_by_their_hash_needs_no_transformers(saved, tmp_path):
    code = (
        "import sys\n"
        "from audiogen.cli import main\n"
        f"assert main(['generate', 'rain', '--model', {str(saved)!r}, '--duration', '0.02',"
        f" '--loudness', '-20', '--format', 'flac', '--out', {str(tmp_path / 'out')!r}]) == 0\n"
        "heavy = ('transformers', 'scipy', 'lightning', 'hydra', 'matplotlib', 'pandas')\n"
        "assert not set(heavy) & set(sys.modules), set(heavy) & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_waiting_threads_leave_their_core_to_other_programs():
    # libgomp says so itself, and did so only for a setting made before torch was loaded.
    command = [sys.executable, "-m", "audiogen", "info", "none/such"]
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    done = subprocess.run(
        command, env={**environment, "OMP_DISPLAY_ENV": "true"}, capture_output=True, text=True
    )
    if "OMP_NUM_THREADS" not in done.stderr:
        pytest.skip("this torch is not built with a libgomp that displays its settings")
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in done.stderr
