from functools import partial

import pytest
import torch
from lightning.pytorch import Trainer
from torch import nn

from audiogen.checkpoint import load_model, save_codec
from audiogen.codec.model import Codec
from audiogen.data.tokens import TokenError, collate_tokens
from audiogen.lm.model import TokenLM
from audiogen.text.hashed import HashedEncoder
from audiogen.training.checkpoints import Checkpointer
from audiogen.training.data import DataModule
from audiogen.training.history import HistoryLogger
from audiogen.training.lm_module import LMModule
from audiogen.training.random_data import RandomTokens

SIZES = {"num_codebooks": 2, "codebook_size": 16}


class FrozenText:
    """An encoder that does not learn and is not a module, as an outside network may be."""

    dim, trainable = 8, False
    config = {"_type": "frozen"}  # noqa: RUF012

    def encode(self, captions):
        mask = torch.tensor([[bool(caption)] for caption in captions])
        lengths = torch.tensor([len(caption or "") for caption in captions], dtype=torch.float32)
        return lengths[:, None, None].expand(-1, 1, 8) / 10, mask


def make_module(text=None, **changes):
    torch.manual_seed(0)
    lm = TokenLM(**SIZES, text_dim=8, dim=16, num_layers=1, num_heads=2, delays=[0, 1])
    keywords = {
        "optimizer": partial(torch.optim.AdamW, lr=0.01),
        "condition_dropout": 0.0,
        "seed": 1,
    }
    text = text or HashedEncoder(dim=8, num_buckets=32, max_words=6)
    return LMModule(lm, text=text, **(keywords | changes))


def make_data(codec_hash="0" * 64, batch_size=8):
    tokens = partial(RandomTokens, **SIZES, num_frames=6, codec_hash=codec_hash)
    return DataModule(
        train=partial(tokens, num_items=64, seed=1),
        valid=partial(tokens, num_items=8, seed=2),
        batch_size=batch_size,
        collate=collate_tokens,
    )


def fit(module, folder, *, steps=3, data=None, path=None, validate=None, **options):
    trainer = Trainer(
        accelerator="cpu",
        max_steps=steps,
        max_epochs=-1,
        logger=[HistoryLogger(folder)],
        enable_checkpointing=any(isinstance(c, Checkpointer) for c in options.get("callbacks", ())),
        log_every_n_steps=1,
        val_check_interval=validate or steps,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    trainer.fit(module, datamodule=data or make_data(), ckpt_path=path, weights_only=True)
    return trainer


def test_a_model_that_reads_its_text_is_worse_off_without_it(tmp_path):
    """The codes of a caption fill a quarter of the codebook: 4 of 16, log 4 nats."""
    module = make_module(condition_dropout=0.1)
    fit(module, tmp_path, steps=120)
    values = HistoryLogger(tmp_path).latest()
    assert values["val/loss"] < 1.6  # log 4 = 1.386, log 16 = 2.773
    assert values["val/loss_shuffled_captions"] > values["val/loss"] + 0.5
    assert values["val/loss_no_captions"] > values["val/loss"] + 0.1
    assert values["val/perplexity_codebook_1"] == pytest.approx(4, rel=0.3)


def test_loss_is_the_mean_over_codebooks_and_perplexity_its_exponential(tmp_path):
    module = make_module()
    fit(module, tmp_path, steps=1)
    values = HistoryLogger(tmp_path).latest()
    losses = [values[f"train/loss_codebook_{k}"] for k in range(2)]
    assert values["train/loss"] == pytest.approx(sum(losses) / 2)
    assert values["train/perplexity_codebook_0"] == pytest.approx(torch.tensor(losses[0]).exp())


@pytest.mark.parametrize("accumulate", [1, 2])
def test_updates_are_optimizer_steps(tmp_path, accumulate):
    module = make_module(accumulate=accumulate)
    trainer = fit(module, tmp_path, steps=3)
    assert module.updates == trainer.global_step == 3
    assert trainer.fit_loop.total_batch_idx + 1 == 3


def test_batches_are_cut_by_the_module_alone(tmp_path):
    with pytest.raises(ValueError, match=r"set module\.accumulate"):
        fit(make_module(), tmp_path, accumulate_grad_batches=2)


def test_dropped_captions_are_a_function_of_seed_and_batch(tmp_path, monkeypatch):
    def dropped(seed, folder):
        seen = []
        module = make_module(condition_dropout=0.5, seed=seed)
        original = module._losses
        monkeypatch.setattr(
            module,
            "_losses",
            lambda batch, states, mask, weights=None: (
                seen.append(mask.any(dim=1).tolist()) if module.training else None,
                original(batch, states, mask, weights),
            )[1],
        )
        fit(module, tmp_path / folder, steps=4)
        return seen

    first = dropped(1, "a")
    assert dropped(1, "b") == first != dropped(2, "c")
    assert len({tuple(row) for row in first}) > 1  # another choice for each batch
    assert 0 < sum(map(sum, first)) < 32  # of each item by itself


def test_frozen_text_is_neither_trained_nor_saved(tmp_path):
    module = make_module(text=FrozenText())
    fit(module, tmp_path)
    assert all(name.startswith("parts.lm.") for name in module.state_dict())
    learned = make_module()
    assert any(name.startswith("parts.text.") for name in learned.state_dict())
    optimizer = learned.configure_optimizers()
    count = sum(len(group["params"]) for group in optimizer.param_groups)
    assert count == len(list(learned.parts.parameters()))


def test_gradients_are_clipped_and_the_norm_before_is_recorded(tmp_path):
    norms = []

    class Watch(torch.optim.SGD):
        def step(self, closure=None):
            loss = closure()
            gradients = [p.grad for g in self.param_groups for p in g["params"]]
            norms.append(torch.cat([g.flatten() for g in gradients]).norm().item())
            return loss

    module = make_module(gradient_clip=1e-3, optimizer=partial(Watch, lr=0.1))
    fit(module, tmp_path, steps=1)
    assert norms == pytest.approx([1e-3], rel=1e-3)
    assert HistoryLogger(tmp_path).latest()["train/gradient_norm"] > 1e-2


def test_learning_rate_follows_the_schedule(tmp_path):
    module = make_module(schedule=lambda step: 1 / (step + 1))
    fit(module, tmp_path, steps=4)
    assert HistoryLogger(tmp_path).latest()["train/learning_rate"] == pytest.approx(0.01 / 4)


@pytest.fixture
def codec_folder(tmp_path):
    codec = Codec(
        num_filters=2, dimension=4, ratios=(4, 2), lstm_layers=0, num_codebooks=2, codebook_size=16,
        kmeans_init=False,
    )  # fmt: skip
    save_codec(codec, tmp_path / "codec")
    return tmp_path / "codec", codec.fingerprint()


def test_codes_of_another_codec_are_refused(tmp_path, codec_folder):
    folder, fingerprint = codec_folder
    module = make_module(codec_folder=str(folder))
    with pytest.raises(TokenError, match=f"000000000000, .* of codec {fingerprint[:12]}: encode"):
        fit(module, tmp_path / "run")


def test_codes_of_larger_codebooks_are_refused(tmp_path):
    data = make_data()
    data.setup("fit")
    data.train.header["codebook_size"] = 1024
    with pytest.raises(TokenError, match="codebooks of 1024, the language model is built for 16"):
        fit(make_module(), tmp_path / "run", data=data)


def test_a_run_does_not_go_on_with_codes_of_another_codec(tmp_path):
    module = make_module()
    fit(module, tmp_path / "run", steps=1)
    checkpoint = {}
    module.on_save_checkpoint(checkpoint)
    again = make_module()
    again.on_load_checkpoint(checkpoint)
    with pytest.raises(TokenError, match="this run so far"):
        fit(again, tmp_path / "other", data=make_data(codec_hash="1" * 64))


def test_export_writes_a_whole_model_that_knows_its_codec(tmp_path, codec_folder):
    folder, fingerprint = codec_folder
    module = make_module(codec_folder=str(folder))
    fit(module, tmp_path / "run", data=make_data(codec_hash=fingerprint))
    module.export(tmp_path / "model", card={"licence": "CC0-1.0"})
    model = load_model(tmp_path / "model")
    assert model.config["codec_hash"] == fingerprint
    assert model.max_duration == pytest.approx(6 / 50)
    for name, value in module.lm.state_dict().items():
        assert torch.equal(value, model.lm.state_dict()[name])
    assert isinstance(model.text, nn.Module)


def test_export_without_a_codec_says_what_is_missing(tmp_path):
    module = make_module()
    fit(module, tmp_path / "run", steps=1)
    with pytest.raises(ValueError, match="give codec_folder="):
        module.export(tmp_path / "model", card={})
