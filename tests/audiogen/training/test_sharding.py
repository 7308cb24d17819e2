"""A language model in shares: it trains as one process would, and its files do not show it."""

import os
import signal
from pathlib import Path

import pytest
import torch
from lightning.pytorch.strategies import FSDPStrategy

from audiogen.checkpoint import load_model, save_codec
from audiogen.codec.model import Codec
from audiogen.training.export import export_run
from audiogen.training.sharding import ShardedStrategy, check_strategy

from .conftest import LM, Starter, history, run_folder

STEPS = 6
COMMON = [
    *LM,
    "trainer=cpu",
    "lm.dim=18",
    "lm.num_heads=3",
    "lm.num_layers=2",
    "lm.dropout=0",
    "text_dim=7",  # rows that two processes cannot have half of each
    "text.num_buckets=64",
    "codec.codebook_size=16",
    "data.train.num_frames=12",
    "++data.train.shortest=4",  # so that processes have different numbers of targets
    "++data.valid.shortest=4",
    "data.valid.num_items=5",
    "data.valid_batch_size=2",  # of two processes the first has one batch more
    f"trainer.max_steps={STEPS}",
    "trainer.val_check_interval=3",
    "trainer.log_every_n_steps=1",
    "trainer.enable_progress_bar=false",
    "checkpoint_every=2",
    "average.every=2",
    "average.decay=0.5",
    "optim.lr=0.01",
    "++optim.eps=1e-4",  # a smaller one amplifies rounding where there is hardly a gradient
    "module.schedule.warmup=2",
    "module.gradient_clip=0.3",  # below the norm of every update
    "module.condition_dropout=0",  # else drawn by each process for its own items
]
ONE = ["data.batch_size=4"]
DDP = ["trainer=ddp_cpu", "data.batch_size=2"]
SHARES = ["trainer=fsdp_cpu", "data.batch_size=2", "module.accumulate=2"]
TWICE = "module.checkpoint_blocks=true"


class Runs:
    """Runs of one configuration, each in its own folder."""

    def __init__(self, scripts: Starter, folder: Path) -> None:
        self.scripts = scripts
        self.folder = folder

    def start(self, name: str, *words: str):
        ranks = 2 if "data.batch_size=2" in words else 1
        words = [*COMMON, *words, f"paths.runs={self.folder / name}"]
        return self.scripts.start("train_lm.py", *words, ranks=ranks)

    def run(self, name: str, *words: str) -> list[dict[str, str]]:
        assert self.start(name, *words).wait(seconds=120) == 0, self.scripts.log.read_text()
        return self.rows(name)

    def rows(self, name: str) -> list[dict[str, str]]:
        rows = history(self.folder / name)
        return [{name: value for name, value in row.items() if value} for row in rows]

    def checkpoint(self, name: str, step: int) -> Path:
        return run_folder(self.folder / name) / "checkpoints" / f"step-{step:09d}.ckpt"


@pytest.fixture(scope="module")
def runs(scripts: Starter, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """One process, and two with a share each, of the same global batch."""
    runs = Runs(scripts, tmp_path_factory.mktemp("shares"))
    runs.run("one", *ONE)
    runs.run("shares", *SHARES, TWICE, *sounds(runs.folder))
    return runs


def sounds(folder: Path) -> list[str]:
    """Words that make the run generate sounds while it trains, with a codec of its codes."""
    torch.manual_seed(0)
    codec = Codec(num_filters=2, dimension=4, num_codebooks=4, codebook_size=16, lstm_layers=0)
    if not (folder / "codec").exists():
        save_codec(codec, folder / "codec")
    prompts = (
        "{_target_: audiogen.training.samples.Prompts, every: 3, prompts: [rain], duration: 1}"
    )
    words = [f"codec_folder={folder}/codec", f"samples={prompts}"]
    return [*words, f"+data.train.codec_hash={codec.fingerprint()}"]


def assert_equal_rows(one: list[dict[str, str]], two: list[dict[str, str]]) -> None:
    assert len(one) == len(two)
    for first, second in zip(one, two, strict=True):
        assert first.keys() == second.keys()
        for name in first.keys() - {n for n in first if "shuffled" in n}:  # within a batch
            expected = pytest.approx(float(first[name]), rel=1e-5, abs=1e-5)
            assert float(second[name]) == expected, (first["step"], name)


def numbers(path: Path) -> dict[str, torch.Tensor]:
    """Return weights, moving average and moments of a checkpoint, by name."""
    state = torch.load(path, weights_only=True)
    (moments,) = state["optimizer_states"]
    average = state["callbacks"]["WeightAverage"]
    assert average["updates"] == state["recording"]["updates"] == state["global_step"]
    return {
        **state["state_dict"],
        **{f"average.{name}": value for name, value in average["average"].items()},
        "average.count": torch.tensor(average["count"]),
        **{f"{i}.{k}": v for i, s in moments["state"].items() for k, v in s.items()},
    }


def assert_equal_numbers(one: Path, two: Path) -> None:
    first, second = numbers(one), numbers(two)
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert second[name].shape == value.shape, name
        size = value.double().abs().max().item()
        torch.testing.assert_close(second[name], value, rtol=1e-5, atol=2e-5 * size, msg=name)


def test_two_processes_train_as_one(runs: Runs):
    """Losses, gradient norms and perplexities of every update; weights, averages and moments."""
    rows = runs.rows("one")
    assert min(float(row["train/gradient_norm"]) for row in rows) > 0.3
    assert float(rows[-1]["train/loss"]) < float(rows[0]["train/loss"]) - 0.02
    assert_equal_rows(rows, runs.rows("shares"))
    for step in (4, 6):
        assert_equal_numbers(runs.checkpoint("one", step), runs.checkpoint("shares", step))
    states = [torch.load(runs.checkpoint(n, 4), weights_only=True) for n in ("one", "shares")]
    groups = [state["optimizer_states"][0]["param_groups"] for state in states]
    assert groups[0] == groups[1]


@pytest.mark.parametrize(("saved", "goes_on"), [("one", SHARES), ("shares", DDP), ("shares", ONE)])
def test_what_one_strategy_saved_another_continues(runs: Runs, saved: str, goes_on: list[str]):
    """From update 4 on, with the items, moments and averages of the run that did all six."""
    name = f"{saved}-{len(goes_on)}"
    words = [*goes_on, f"resume_from={runs.checkpoint(saved, 4)}"]
    if saved == "shares":
        words += [word for word in sounds(runs.folder) if "codec_hash" in word]
    rows = runs.run(name, *words)
    assert_equal_rows(runs.rows("one")[4:], rows)
    assert_equal_numbers(runs.checkpoint("one", STEPS), runs.checkpoint(name, STEPS))


def test_a_killed_run_goes_on_with_identical_losses(runs: Runs):
    """One of two processes is; in bfloat16, with dropouts of each process's own."""
    words = [*SHARES, "trainer.precision=bf16-mixed", "lm.dropout=0.1"]
    words += ["module.condition_dropout=0.3"]
    expected = runs.run("bf16", *words)
    started = runs.start("killed", *words)
    started.reach(3, runs.folder / "killed")
    (second,) = Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()
    os.kill(int(second), signal.SIGKILL)
    assert started.wait(seconds=60) == 1  # the first does not wait for ever
    assert runs.run("killed", *words) == expected
    whole = numbers(runs.checkpoint("bf16", STEPS))
    assert {value.dtype for value in whole.values() if value.ndim} == {torch.float32}


def test_samples_and_export_need_no_more_than_of_one_process(runs: Runs):
    """The sounds are there; the exported weights are the averaged ones of the last checkpoint."""
    found = run_folder(runs.folder / "shares")
    assert len(list(found.glob("samples/step-*/rain.wav"))) == 2
    export_run(found, runs.folder / "model")
    model = load_model(runs.folder / "model")
    state = torch.load(runs.checkpoint("shares", STEPS), weights_only=True)
    average = state["callbacks"]["WeightAverage"]["average"]
    for name, value in model.lm.state_dict().items():
        assert torch.equal(value, average[f"lm.{name}"]), name


def test_strategies_that_do_not_train_as_one_process_are_refused():
    check_strategy(ShardedStrategy(), shardable=True)
    with pytest.raises(ValueError, match="only language models are trained in shares"):
        check_strategy(ShardedStrategy(), shardable=False)
    with pytest.raises(ValueError, match=r"FSDPStrategy is none of .* trainer=fsdp"):
        check_strategy(FSDPStrategy(), shardable=True)
