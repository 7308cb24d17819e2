"""Fine-tuning begins with a model, trains what it says, and exports an ordinary model."""

import signal
from functools import partial
from pathlib import Path

import pytest
import torch

from audiogen.checkpoint import load_model, save_model
from audiogen.lm.model import TokenLM
from audiogen.model_folder.layout import read_config
from audiogen.text.hashed import HashedEncoder
from audiogen.training.callbacks import WeightAverage
from audiogen.training.checkpoints import AtomicCheckpointIO, Checkpointer, newest_checkpoint
from audiogen.training.export import export_module, export_run
from audiogen.training.finetune import FineTuneModule
from audiogen.training.lora import load_adapters, merged
from audiogen.training.pretrained import pretrained_model

from .conftest import Starter, history, run_folder
from .test_lm_batches import build_codec, data_of, sounds
from .test_lm_module import fit, make_data

__all__ = ["sounds"]  # a fixture
LORA = {"rank": 2, "alpha": 4, "targets": ["in_proj", "out_proj", "mlp_in", "mlp_out"]}
WHAT = {"licence": "CC0-1.0", "training_data": "noise"}


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """A whole model of the codec of ``sounds``."""
    torch.manual_seed(5)
    lm = TokenLM(
        num_codebooks=3, codebook_size=16, text_dim=8, dim=16, num_layers=2, num_heads=2,
        delays=[0, 1, 2], dropout=0.1,
    )  # fmt: skip
    text = HashedEncoder(dim=8, num_buckets=32, max_words=6)
    folder = tmp_path_factory.mktemp("base") / "model"
    card = {"name": "noise maker", **WHAT}
    return save_model(folder, text=text, lm=lm, codec=build_codec(), max_duration=0.25, card=card)


def module_of(base: Path, *, lora=LORA, **changes) -> FineTuneModule:
    torch.manual_seed(0)
    keywords = {"condition_dropout": 0.2, "seed": 1}
    optimizer = partial(torch.optim.AdamW, lr=0.02)
    model = pretrained_model(str(base))
    return FineTuneModule(model, lora=lora, optimizer=optimizer, **keywords | changes)


def test_only_adapters_are_trained_averaged_and_saved(base, sounds, tmp_path):
    module = module_of(base)
    before = {name: value.clone() for name, value in module.parts.named_parameters()}
    average = WeightAverage(decay=0.5)
    saving = Checkpointer(tmp_path / "checkpoints", every=2)
    fit(module, tmp_path, steps=4, data=data_of(sounds, "codes"), callbacks=[average, saving],
        plugins=[AtomicCheckpointIO()])  # fmt: skip
    changed = {
        name for name, value in module.parts.named_parameters()
        if not torch.equal(value, before[name])
    }  # fmt: skip
    learned = {name for name in before if ".lora_" in name}
    assert changed == learned == set(average.average)
    state = torch.load(newest_checkpoint(tmp_path / "checkpoints"), weights_only=True)
    assert set(state["state_dict"]) == {f"parts.{name}" for name in learned}
    moments = state["optimizer_states"][0]["state"]
    assert len(moments) == len(learned)


def losses_of(trainer) -> list[float]:
    return [float(row["train/loss"]) for row in trainer.loggers[0]._rows if row.get("train/loss")]


def test_the_loss_goes_down(base, sounds, tmp_path):
    for name, lora in (("lora", LORA), ("full", None)):
        trainer = fit(
            module_of(base, lora=lora), tmp_path / name, steps=30, data=data_of(sounds, "codes")
        )
        losses = losses_of(trainer)
        assert sum(losses[-5:]) < sum(losses[:5]) - 1, name


def test_export_is_an_ordinary_model_and_an_adapter(base, sounds, tmp_path):
    module = module_of(base)
    average = WeightAverage(decay=0.5)
    fit(module, tmp_path, steps=3, data=data_of(sounds, "codes"), callbacks=[average])
    codes = torch.randint(16, (1, 3, 7), generator=torch.Generator().manual_seed(2))
    with average.applied(module.averaged):
        states, mask = module.text.encode(["rain on a roof"])
        lm = module.lm.eval()
        expected = lm.predict(codes, lm.project_text(states, mask), mask, complete=True)[0]
    export_module(module, tmp_path / "out", average=average, card={"name": "mine"})

    model = load_model(tmp_path / "out")
    states, mask = model.text.encode(["rain on a roof"])
    for lm in (model.lm, with_adapter(base, tmp_path / "out" / "adapter")):
        found = lm.predict(codes, lm.project_text(states, mask), mask, complete=True)[0]
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    card = read_config(tmp_path / "out")["card"]
    assert card["name"] == "mine"
    assert card["licence"] == "base: CC0-1.0; fine-tuning: not stated"
    assert card["fine_tuned_from"].startswith("noise maker, ")


def with_adapter(base: Path, folder: Path) -> TokenLM:
    lm = load_model(base).lm
    load_adapters(lm, folder)
    return merged(lm)


def test_recomputed_blocks_give_the_same_losses(base, sounds, tmp_path):
    rows = []
    for again in (False, True):
        module = module_of(base, checkpoint_blocks=again)
        trainer = fit(module, tmp_path / str(again), steps=3, data=data_of(sounds, "codes"))
        rows.append(losses_of(trainer))
    assert rows[0] == pytest.approx(rows[1], abs=1e-6)
    assert len(rows[0]) == 3


def test_samples_are_made_with_merged_weights(base):
    module = module_of(base)
    with torch.no_grad():
        for parameter in module._learning():
            parameter.add_(0.1)
    assert not hasattr(module.plain_lm.blocks[0].mlp_in, "lora_A")
    assert module_of(base, lora=None).plain_lm.blocks[0].mlp_in.weight.requires_grad


def test_codes_of_another_codec_are_refused(base, tmp_path):
    with pytest.raises(ValueError, match="are of codec 000000000000, the model's is"):
        fit(module_of(base), tmp_path, data=make_data())


def test_checkpoints_of_others_are_refused(base, sounds, tmp_path):
    saving = Checkpointer(tmp_path / "checkpoints", every=1)
    module = module_of(base)
    fit(module, tmp_path / "a", steps=1, data=data_of(sounds, "codes"), callbacks=[saving])
    path = str(newest_checkpoint(tmp_path / "checkpoints"))
    state = torch.load(path, weights_only=True)
    with pytest.raises(ValueError, match="is not of these adapters"):
        module_of(base, lora=LORA | {"targets": ["mlp_in"]}).load_state_dict(state["state_dict"])
    other = module_of(base)
    other.base = "f" * 64
    with pytest.raises(ValueError, match=r"lm.source is ffffffffffff: give the one it began with"):
        other.on_load_checkpoint(state)


def test_what_is_no_whole_model_is_refused(base, sounds):
    with pytest.raises(ValueError, match="holds a codec only"):
        pretrained_model(str(sounds / "codec"))
    with pytest.raises(FileNotFoundError, match="no model at"):
        pretrained_model(str(base / "nothing"))
    with pytest.raises(ValueError, match=r"lm.text_cache=null"):
        pretrained_model(str(base), text_cache="states")
    with pytest.raises(ValueError, match="set lm=pretrained text=pretrained"):
        FineTuneModule(load_model(base).lm, lora=None)


def words(base: Path, sounds: Path, runs: Path, steps: int) -> list[str]:
    """A run of the script on a folder of codes."""
    return [
        "experiment=finetune_lora", "trainer=smoke", "logger=none", f"lm.source={base}",
        f"tokens={sounds}/tokens", "data.batch_size=3", "data.num_workers=0", "samples=null",
        "module.lora.rank=2", "module.lora.dropout=0.2", "module.schedule.warmup=2",
        f"updates={steps}", f"trainer.max_steps={steps}", "checkpoint_every=2",
        "trainer.val_check_interval=3", "trainer.log_every_n_steps=1",
        "trainer.enable_progress_bar=true", f"paths.runs={runs}",
    ]  # fmt: skip


def test_killed_run_equals_undisturbed_run(base, sounds, scripts: Starter, tmp_path):
    """And its folder is exported once more, from another place, to the same weights."""
    scripts.prepare("peft")
    steps = 8
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    line = words(base, sounds, whole, steps)
    assert scripts.run("train_lm.py", *line, f"export_to={tmp_path}/model") == 0, (
        scripts.log.read_text()
    )
    line = words(base, sounds, killed, steps)
    started = scripts.start("train_lm.py", *line)
    assert started.signal_at(signal.SIGKILL, 5, killed) in (-signal.SIGKILL, 0)
    assert scripts.run("train_lm.py", *line) == 0, scripts.log.read_text()
    assert history(killed) == history(whole)
    assert len(history(whole)) == steps
    export_run(run_folder(killed), tmp_path / "again")
    files = [read_config(tmp_path / name)["files"] for name in ("model", "again")]
    assert files[0] == files[1]
    largest = max(path.stat().st_size for path in run_folder(whole).glob("checkpoints/*"))
    assert largest < (base / "lm.safetensors").stat().st_size * 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("module.lora.targets=[q_proj]", "'q_proj' is no layer of the language model"),
        ("lm.source=nowhere", "no model at nowhere"),
    ],
)
def test_mistakes_are_one_line(base, sounds, scripts: Starter, tmp_path, change, message):
    scripts.prepare("peft")
    scripts.log.write_text("")
    line = [*words(base, sounds, tmp_path, 2), change]
    assert scripts.run("train_lm.py", *line) == 2
    said = scripts.log.read_text()
    assert message in said
    assert "Traceback" not in said
    assert not list(tmp_path.glob("*/*/run.json"))
