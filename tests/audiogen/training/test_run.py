"""The life of a run: its folder, its identity, its end, its export."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from audiogen.codec.model import Codec

from .conftest import CODEC, LM, ROOT, Starter, history, run_folder


@pytest.fixture(scope="module")
def finished(scripts: Starter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A codec run of four updates with its export, below ``runs``."""
    runs = tmp_path_factory.mktemp("finished")
    assert start(scripts, runs, f"export_to={runs}/codec") == 0, scripts.log.read_text()
    return runs


def start(scripts: Starter, runs: Path, *overrides: str) -> int:
    words = ["trainer.max_steps=4", "trainer.val_check_interval=2", f"paths.runs={runs}"]
    return scripts.run("train_codec.py", *CODEC, *words, *overrides)


def last_line(scripts: Starter) -> str:
    return scripts.log.read_text().splitlines()[-1]


def test_folder_holds_config_identity_history_and_result(finished: Path):
    folder = run_folder(finished)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["trainer"]["max_steps"] == 4
    assert config["module"]["codec"]["num_filters"] == 2  # resolved: no interpolation is left
    assert "${" not in (folder / "config.yaml").read_text()
    facts = json.loads((folder / "run.json").read_text())
    assert folder.name == f"smoke_codec-{facts['config_hash'][:8]}"
    done = json.loads((folder / "done.json").read_text())
    assert done["metrics"]["step"] == 4
    assert float(history(finished)[-1]["val/loss"]) == done["metrics"]["val/loss"]
    assert [row["step"] for row in history(finished) if "val/loss" in row] == list("1234")


def test_finished_run_is_skipped_before_the_training_stack_loads(finished: Path):
    words = [*CODEC, "trainer.max_steps=4", "trainer.val_check_interval=2"]
    words += [f"paths.runs={finished}", f"export_to={finished}/codec"]
    code = (
        "import runpy, sys, atexit\n"
        "atexit.register(lambda: print('LOADED', *{m.split('.')[0] for m in sys.modules}))\n"
        f"sys.argv = ['scripts/train_codec.py', *{words!r}]\n"
        "runpy.run_path('scripts/train_codec.py', run_name='__main__')"
    )
    before = {path: path.stat().st_mtime_ns for path in run_folder(finished).rglob("*")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "is finished; nothing to do" in done.stderr
    assert not {"torch", "lightning"} & set(done.stdout.split("LOADED")[1].split())
    assert before == {path: path.stat().st_mtime_ns for path in run_folder(finished).rglob("*")}


def test_the_end_says_where_the_result_is_and_how_to_export_it(scripts: Starter, tmp_path: Path):
    runs = tmp_path / "my runs"
    assert start(scripts, runs) == 0, scripts.log.read_text()
    line, last = last_line(scripts), run_folder(runs) / "checkpoints" / "step-000000004.ckpt"
    assert last.is_file()
    assert f"{run_folder(runs)} is finished, its last checkpoint is {last}; to export" in line
    words = shlex.split(line.partition("to export it: ")[2])
    assert words[:2] == ["python", "scripts/export.py"]
    arguments = [word.replace("MODEL_FOLDER", f"{tmp_path}/codec") for word in words[2:]]
    assert scripts.run("export.py", *arguments) == 0, scripts.log.read_text()
    assert Codec.from_pretrained(tmp_path / "codec").sample_rate > 0
    assert start(scripts, runs, f"export_to={tmp_path}/codec") == 0
    assert last_line(scripts).endswith(f"{last}; exported to {tmp_path}/codec")


def test_exported_codec_holds_the_averaged_weights(finished: Path):
    codec = Codec.from_pretrained(finished / "codec")
    path = sorted(run_folder(finished).glob("checkpoints/*.ckpt"))[-1]
    state = torch.load(path, weights_only=True)
    average = state["callbacks"]["WeightAverage"]["average"]
    differs = 0
    for name, value in codec.state_dict().items():
        if name in average:
            assert torch.equal(value, average[name])
            differs += not torch.equal(value, state["state_dict"][f"codec.{name}"])
    assert differs > 10  # the average is not the live weights
    card = json.loads((finished / "codec" / "config.json").read_text())["card"]
    assert card["weights"] == "moving average, decay 0.9"
    assert card["run"] == run_folder(finished).name
    assert card["updates"] == 4


def test_checkpoint_is_plain_and_holds_all_that_a_run_is(finished: Path):
    paths = sorted(run_folder(finished).glob("checkpoints/*"))
    assert [path.name for path in paths] == ["step-000000003.ckpt", "step-000000004.ckpt"]
    state = torch.load(paths[-1], weights_only=True)
    assert len(state["optimizer_states"]) == 2
    assert {"WeightAverage", "RandomStreams"} <= set(state["callbacks"])
    assert set(state["callbacks"]["RandomStreams"]) == {"python", "numpy", "torch", "cuda"}
    assert state["recording"]["updates"] == state["global_step"] == 4
    (position,) = state["loops"]["fit_loop"]["state_dict"]["combined_loader"]
    assert position["_num_yielded"] == 4
    names = set(state["state_dict"])
    assert "balancer.norm_mel" in names
    assert "codec.quantizer._extra_state" in names  # the generator of k-means and restarts


def test_export_script_gives_the_same_model(finished: Path, scripts: Starter, tmp_path: Path):
    words = [f"run={run_folder(finished)}", f"out={tmp_path}/codec"]
    assert scripts.run("export.py", *words) == 0, scripts.log.read_text()
    assert f"{tmp_path}/codec is written, from {run_folder(finished)}" in last_line(scripts)
    first = Codec.from_pretrained(finished / "codec").fingerprint()
    assert Codec.from_pretrained(tmp_path / "codec").fingerprint() == first
    assert scripts.run("export.py", f"run={tmp_path}", f"out={tmp_path}/codec") == 2
    assert "name the folder of a training run" in last_line(scripts)


def test_export_script_writes_the_published_layout(
    finished: Path, scripts: Starter, tmp_path: Path
):
    """The same codec, with keywords and averaged weights, as others read it."""
    words = [f"run={run_folder(finished)}", "format=released"]
    assert scripts.run("export.py", *words, f"out={tmp_path}/x.bin") == 0, scripts.log.read_text()
    expected = Codec.from_pretrained(finished / "codec").fingerprint()
    assert Codec.from_pretrained(tmp_path / "x.bin").fingerprint() == expected
    words[-1] = "format=parchment"
    assert scripts.run("export.py", *words, f"out={tmp_path}/y.bin") == 2
    assert "format must be one of folder, released, transformers; got 'parchment'" in last_line(
        scripts
    )


def test_lost_or_overwritten_export_is_made_again(scripts: Starter, tmp_path: Path):
    export = f"export_to={tmp_path}/codec"
    assert start(scripts, tmp_path, export) == 0
    first = (tmp_path / "codec" / "config.json").read_bytes()
    rows = history(tmp_path)
    assert start(scripts, tmp_path / "other", "seed=7", export) == 0  # another run's codec
    assert (tmp_path / "codec" / "config.json").read_bytes() != first
    assert start(scripts, tmp_path, export) == 0
    assert (tmp_path / "codec" / "config.json").read_bytes() == first
    assert history(tmp_path / "train_codec" / "..") == rows  # nothing was trained again


def test_folder_of_another_configuration_is_refused(finished: Path, scripts: Starter):
    assert start(scripts, finished, f"folder={run_folder(finished)}", "optim.lr=0.5") == 2
    assert "belongs to another configuration" in last_line(scripts)
    assert last_line(scripts).startswith("error: ")


def test_two_processes_do_not_share_a_run(scripts: Starter, tmp_path: Path):
    words = [*LM, "trainer.max_steps=100000", f"paths.runs={tmp_path}"]
    first = scripts.start("train_lm.py", *words)
    try:
        while not list(tmp_path.glob("*/*/metrics.csv")):
            assert Path(f"/proc/{first.pid}").exists()
        assert scripts.run("train_lm.py", *words) == 2
        assert "another process is training in" in last_line(scripts)
    finally:
        os.kill(first.pid, signal.SIGKILL)
        first.wait()


def test_resume_from_null_does_not_mix_two_beginnings(scripts: Starter, tmp_path: Path):
    assert start(scripts, tmp_path, "resume_from=null") == 0
    (run_folder(tmp_path) / "done.json").unlink()
    assert start(scripts, tmp_path, "resume_from=null") == 2
    assert "holds checkpoints and resume_from is null" in last_line(scripts)


def test_resume_from_a_path_goes_on_there(finished: Path, scripts: Starter, tmp_path: Path):
    checkpoint = run_folder(finished) / "checkpoints" / "step-000000003.ckpt"
    words = [f"resume_from={checkpoint}", "module.gradient_clip=1e9"]  # another run, same losses
    assert start(scripts, tmp_path, *words) == 0, scripts.log.read_text()
    assert history(tmp_path)[-1]["val/loss"] == history(finished)[-1]["val/loss"]
    assert start(scripts, tmp_path, "seed=3", f"resume_from={ROOT / 'README.md'}") == 2
    assert "is not a whole checkpoint" in last_line(scripts)


def test_mistakes_while_training_starts_are_one_line(scripts: Starter, tmp_path: Path):
    assert start(scripts, tmp_path, "codec.decay=2") == 2
    assert last_line(scripts) == "error: module.codec: decay must be in [0, 1), got 2"
    assert start(scripts, tmp_path, "data=sounds_16khz", f"paths.data={tmp_path}") == 2
    assert "manifest.jsonl" in last_line(scripts)


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("trainer.max_steps=0", "trainer.max_steps must be a whole number, 1 or more, got 0"),
        ("trainer.max_steps=-1", "trainer.max_steps must be a whole number, 1 or more, got -1"),
        ("trainer.max_steps=2.5", "trainer.max_steps must be a whole number, 1 or more, got 2.5"),
        ("trainer.val_check_interval=0", "trainer.val_check_interval must be a whole number"),
        ("seed=-1", "seed must be a whole number, 0 to 4294967295, got -1"),
        ("seed=many", "seed must be a whole number"),
        ("optim.lr=fast", "optim.lr must be a number, got fast"),
        ("optim.lr=-1", "Invalid learning rate: -1"),
        ("module.gradient_clip=-1", "gradient_clip must be above 0, or null for no limit, got -1"),
        ("codec.decay=2", "module.codec: decay must be in [0, 1), got 2"),
        ("data=sounds_16khz", "manifest.jsonl: cannot be read"),
        ("trainer.precision=16-mixed", "trainer.precision=32-true or bf16-mixed, got 16-mixed"),
    ],
)
def test_a_mistake_leaves_nothing_behind(scripts: Starter, tmp_path: Path, word: str, line: str):
    assert start(scripts, tmp_path, word, f"paths.data={tmp_path}") == 2
    assert last_line(scripts).startswith("error: ")
    assert line in last_line(scripts)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_the_target_of_the_export_is_looked_at_first(scripts: Starter, tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    assert start(scripts, tmp_path, f"export_to={tmp_path}/mine") == 2
    assert "will not write a model over" in last_line(scripts)
    assert not list(tmp_path.glob("train_codec/*"))
    assert start(scripts, tmp_path, f"folder={tmp_path}/mine/thesis.txt") == 2
    assert "File exists" in last_line(scripts)


@pytest.mark.parametrize("name", ["run.json", "done.json"])
@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_damaged_record_is_named(
    finished: Path, scripts: Starter, tmp_path: Path, name: str, text: str
):
    copy = shutil.copytree(run_folder(finished), tmp_path / "copy")
    (copy / name).write_text(text)
    assert start(scripts, tmp_path, f"folder={copy}") == 2
    assert f"{name} is " in last_line(scripts)
    assert "remove the run folder" in last_line(scripts)


def test_a_run_that_diverges_says_so_in_one_line(scripts: Starter, tmp_path: Path):
    words = [*LM, "trainer.max_steps=20", "optim.lr=1e30", f"paths.runs={tmp_path}"]
    before = len(scripts.log.read_text()) if scripts.log.exists() else 0  # one log for all tests
    assert scripts.run("train_lm.py", *words) == 1
    assert "the run has diverged" in last_line(scripts)
    assert "Traceback" not in scripts.log.read_text()[before:]


def test_a_checkpoint_of_another_stage_is_refused(finished: Path, scripts: Starter, tmp_path: Path):
    checkpoint = run_folder(finished) / "checkpoints" / "step-000000003.ckpt"
    words = [*LM, f"resume_from={checkpoint}", f"paths.runs={tmp_path}"]
    assert scripts.run("train_lm.py", *words) == 2
    assert "the checkpoint is not of a language model" in last_line(scripts)


def test_a_trainer_this_machine_cannot_be_is_one_line(scripts: Starter, tmp_path: Path):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert start(scripts, tmp_path, "trainer.accelerator=gpu") == 2
    assert last_line(scripts).startswith("error: trainer: ")
    assert start(scripts, tmp_path, "+trainer.max_stepz=3") == 2
    assert "max_stepz" in last_line(scripts)


def test_a_sweep_makes_one_run_per_point_and_skips_what_is_done(scripts: Starter, tmp_path: Path):
    words = ["-m", *LM, "seed=1,2", f"paths.runs={tmp_path}"]
    assert scripts.run("train_lm.py", *words) == 0, scripts.log.read_text()
    done = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*/done.json")}
    assert len(done) == 2
    assert scripts.run("train_lm.py", *words) == 0, scripts.log.read_text()
    assert done == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*/done.json")}
