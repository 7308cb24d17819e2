from functools import partial

import pytest
import torch
from lightning.pytorch import Trainer
from torch import nn

from audiogen.codec.balancer import Balancer
from audiogen.codec.discriminator import MultiScaleSTFTDiscriminator
from audiogen.codec.model import Codec
from audiogen.training.adversarial import Adversarial
from audiogen.training.callbacks import WeightAverage
from audiogen.training.checkpoints import AtomicCheckpointIO, Checkpointer
from audiogen.training.codec_module import CodecModule
from audiogen.training.data import DataModule
from audiogen.training.history import HistoryLogger
from audiogen.training.random_data import RandomSounds

SGD = partial(torch.optim.SGD, lr=0.01)
WEIGHTS = {"l1": 1.0, "adversarial": 1.0, "feature": 1.0}


def make_codec(**changes):
    sizes = {"num_filters": 2, "dimension": 4, "ratios": (4, 2), "lstm_layers": 0}
    books = {"num_codebooks": 2, "codebook_size": 8, "kmeans_iters": 2, "init": "scaled"}
    return Codec(**(sizes | books | changes))


def make_adversarial(**changes):
    discriminator = MultiScaleSTFTDiscriminator(
        num_filters=2, n_ffts=[64], hop_lengths=[16], win_lengths=[64]
    )
    return Adversarial(discriminator=discriminator, optimizer=SGD, **changes)


def make_module(**changes):
    torch.manual_seed(0)
    keywords = {
        "codec": make_codec(),
        "optimizer": SGD,
        "losses": {"l1": nn.L1Loss()},
        "balancer": Balancer(WEIGHTS),
    }
    return CodecModule(**(keywords | changes))


def make_data(batch_size=2):
    sounds = partial(RandomSounds, sample_rate=1000, segment_duration=0.25, seed=1)
    return DataModule(
        train=partial(sounds, num_items=16),
        valid=partial(sounds, num_items=2),
        batch_size=batch_size,
    )


def fit(module, folder, *, steps=4, callbacks=(), data=None, path=None, **options):
    trainer = Trainer(
        accelerator="cpu",
        max_steps=steps,
        max_epochs=-1,
        logger=[HistoryLogger(folder)],
        callbacks=[*callbacks, Checkpointer(folder / "checkpoints", every=10**6)],
        log_every_n_steps=1,
        val_check_interval=steps,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    trainer.fit(module, datamodule=data or make_data(), ckpt_path=path, weights_only=True)
    return trainer


def count_steps(optimizer, counts, name):
    def factory(parameters):
        made = optimizer(parameters)
        made.register_step_post_hook(lambda *_: counts.__setitem__(name, counts.get(name, 0) + 1))
        return made

    return factory


@pytest.mark.parametrize("every", [None, 1, 3])
def test_steps_are_updates_of_the_generator(tmp_path, every):
    """Lightning alone would count both optimizers and stop after half of the updates."""
    counts = {}
    adversarial = None
    if every is not None:
        adversarial = make_adversarial(every=every, start=1)
        adversarial.make_optimizer = count_steps(SGD, counts, "discriminator")
    module = make_module(optimizer=count_steps(SGD, counts, "generator"), adversarial=adversarial)
    trainer = fit(module, tmp_path, steps=7)
    assert module.updates == trainer.global_step == counts["generator"] == 7
    assert counts.get("discriminator", 0) == {None: 0, 1: 6, 3: 2}[every]
    assert (tmp_path / "checkpoints" / "step-000000007.ckpt").is_file()
    steps = [line.split(",")[0] for line in (tmp_path / "metrics.csv").read_text().split()[1:]]
    assert steps == [str(step) for step in range(1, 8)]


def test_warm_up_passes_latents_through_and_then_starts_the_codebooks(tmp_path):
    seen = []

    class Watch(CodecModule):
        def training_step(self, batch, batch_idx):
            super().training_step(batch, batch_idx)
            quantizer = self.codec.quantizer
            seen.append((quantizer.bypass, quantizer.codebooks[0].is_inited))

    module = make_module(warmup_steps=2)
    module.__class__ = Watch
    average = WeightAverage(decay=0.9)
    fit(module, tmp_path, steps=4, callbacks=[average])
    assert seen == [(True, False), (True, False), (False, True), (False, True)]
    assert average.count == pytest.approx(1.9)  # the averages begin with the codebooks
    assert float(average.average["quantizer.codebooks.0.inited"]) == 1.0


def test_codebooks_that_have_started_need_no_warm_up(tmp_path):
    """It would carry the latents of a pretrained codec away from its entries."""
    codec = make_codec()
    codec.quantizer.start(torch.randn(1, 4, 200))
    module = make_module(codec=codec, warmup_steps=2)
    bypassed = []
    codec.register_forward_hook(lambda codec, *_: bypassed.append(codec.quantizer.bypass))
    fit(module, tmp_path, steps=3)
    assert bypassed
    assert not any(bypassed)


def test_a_run_that_ends_in_its_warm_up_is_refused(tmp_path):
    module = make_module(warmup_steps=4)
    with pytest.raises(ValueError, match=r"max_steps \(4\) must be greater than .* \(4\)"):
        fit(module, tmp_path, steps=4)


def test_one_backward_pass_gives_the_gradients_of_two(tmp_path):
    """The published order is commitment first, then the balancer; gradients add up the same."""
    target = torch.randn(3, 1, 64)
    codec = make_codec().train()
    codec.quantizer.start(codec.encode_latents(target)[0].detach())
    module = make_module(codec=codec, commitment_weight=0.5)
    state = {name: value.clone() for name, value in codec.state_dict().items()}

    class Record(torch.optim.SGD):
        def step(self, closure=None):
            self.seen = [p.grad.clone() for g in self.param_groups for p in g["params"]]

    module.make_optimizer = lambda parameters: Record(parameters, lr=0.1)
    trainer = Trainer(
        accelerator="cpu", max_steps=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, limit_val_batches=0,
        num_sanity_val_steps=0,
    )  # fmt: skip
    batches = torch.utils.data.DataLoader([{"waveform": row} for row in target], batch_size=3)
    trainer.fit(module, batches)
    actual = trainer.optimizers[0].seen

    codec.load_state_dict(state)
    balancer = Balancer(WEIGHTS)
    codec.zero_grad()
    output = codec(target)
    (output.commitment_loss * 0.5).backward(retain_graph=True)
    balancer.backward({"l1": nn.L1Loss()(output.waveform, target)}, output.waveform)
    for parameter, gradient in zip(codec.parameters(), actual, strict=True):
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-5, atol=1e-7)


def test_generator_losses_leave_the_discriminator_alone():
    adversarial = make_adversarial()
    fake = torch.randn(2, 1, 100, requires_grad=True)
    losses = adversarial.generator_losses(torch.randn(2, 1, 100), fake)
    sum(losses.values()).backward()
    assert fake.grad.abs().sum() > 0
    assert all(p.grad is None and p.requires_grad for p in adversarial.parameters())


def test_discriminator_learns_to_tell_and_the_codec_gets_nothing_of_it():
    torch.manual_seed(0)
    adversarial = make_adversarial()
    optimizer = torch.optim.Adam(adversarial.parameters(), lr=0.01)
    real, fake = torch.randn(4, 1, 200), torch.randn(4, 1, 200, requires_grad=True) * 0.1
    parts = [real], [fake]
    losses = [adversarial.train_discriminator(*parts, optimizer).item() for _ in range(30)]
    assert losses[-1] < 0.5 * losses[0]
    assert fake.grad_fn is not None


def test_validation_writes_losses_and_perplexities_of_averaged_weights(tmp_path):
    average = WeightAverage(decay=0.5)
    module = make_module()
    fit(module, tmp_path, callbacks=[average])
    values = HistoryLogger(tmp_path).latest()
    batch = {"waveform": torch.stack([make_data_items()[i]["waveform"] for i in range(2)])}
    module.eval()
    with torch.no_grad(), average.applied(module.codec):
        expected = nn.functional.l1_loss(
            module.codec(batch["waveform"]).waveform, batch["waveform"]
        )
    assert values["val/l1"] == pytest.approx(expected.item(), rel=1e-5)
    assert 1 <= values["val/perplexity_0"] <= 8
    assert {"codebooks/usage_1", "codebooks/restarts_0", "speed/updates_per_second"} <= set(values)


def make_data_items():
    return RandomSounds(sample_rate=1000, segment_duration=0.25, seed=1, num_items=2)


def test_a_checkpoint_comes_after_the_validation_of_its_update(tmp_path):
    """Or a run that is killed in that validation would go on without its row."""
    rows = []

    class Watch(AtomicCheckpointIO):
        def save_checkpoint(self, checkpoint, path, storage_options=None):
            rows.append(HistoryLogger(tmp_path).latest())
            super().save_checkpoint(checkpoint, path)

    fit(make_module(), tmp_path, steps=3, plugins=[Watch()])
    assert [row["step"] for row in rows] == [3]
    assert "val/loss" in rows[0]


def test_validation_perplexity_is_of_all_codes_whatever_the_batch(tmp_path):
    values = []
    for size in (1, 2):
        module = make_module()
        data = make_data(batch_size=2)
        data.valid_batch_size = size
        fit(module, tmp_path / str(size), data=data)
        values.append(HistoryLogger(tmp_path / str(size)).latest()["val/perplexity_0"])
    assert values[0] == pytest.approx(values[1], rel=1e-6)


def test_quiet_items_count_like_loud_ones_at_equal_level():
    module = make_module(level_floor=1e-6)
    target = torch.randn(1, 1, 50)
    loud = module._reconstruction(target + 0.1, target)["l1"]
    quiet = module._reconstruction(0.01 * (target + 0.1), 0.01 * target)["l1"]
    torch.testing.assert_close(loud, quiet)


def test_a_diverged_run_says_so_and_saves_nothing(tmp_path):
    module = make_module(schedule=lambda step: float("nan"))
    with pytest.raises(FloatingPointError, match="the run has diverged"):
        fit(module, tmp_path)
    assert not list(tmp_path.glob("checkpoints/*"))


@pytest.mark.parametrize("adversarial", [True, False])
def test_a_damaged_batch_reaches_no_weight(tmp_path, adversarial):
    """Neither player, no codebook and no average of the balancer."""
    module = make_module(adversarial=make_adversarial() if adversarial else None)
    module.codec.quantizer.start(torch.randn(1, 4, 100))
    data = make_data()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    collate = data.collate

    def damage(items):
        batch = collate(items)
        batch["waveform"][1, 0, 7] = torch.nan
        return batch

    data.collate = damage
    with pytest.raises(FloatingPointError, match=r"not finite|is NaN"):
        fit(module, tmp_path, data=data)
    for name, value in module.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0, msg=name)


def test_exported_codec_is_the_trained_one(tmp_path):
    module = make_module()
    module.codec.quantizer.start(torch.randn(1, 4, 100))
    sound = torch.randn(1, 1, 64)
    module.export(tmp_path / "codec", card={"licence": "CC0-1.0", "run": "x-1"})
    again = Codec.from_pretrained(tmp_path / "codec")
    torch.testing.assert_close(again(sound).waveform, module.codec(sound).waveform, rtol=0, atol=0)
