"""The published codecs and how they were trained, number by number."""

from inspect import signature

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from audiogen.training.pretrained import pretrained_codec
from audiogen.training.schedules import constant

from .test_compose import CONF, trained

# AudioGen's codec, as its training code and configuration have it; see conf/experiment/codec_16khz.
PUBLISHED = {
    "seed": 2036,
    "codec.sample_rate": 16000,
    "codec.channels": 1,
    "codec.dimension": 128,
    "codec.num_filters": 64,
    "codec.ratios": [8, 5, 4, 2],
    "codec.num_residual_layers": 1,
    "codec.lstm_layers": 2,
    "codec.causal": False,
    "codec.renormalize": False,
    "codec.num_codebooks": 4,
    "codec.codebook_size": 2048,
    "codec.decay": 0.99,
    "codec.kmeans_iters": 50,
    "module.balancer.weights": {"l1": 0.1, "mel": 2.0, "adversarial": 4.0, "feature": 4.0},
    "module.balancer.total_norm": 1.0,
    "module.balancer.decay": 0.999,
    "module.balancer.per_item": True,
    "module.commitment_weight": 1.0,
    "module.gradient_clip": None,
    "module.warmup_steps": 0,
    "module.adversarial.start": 0,
    "module.adversarial.every": 1,
    "module.adversarial.optimizer.lr": 3e-4,
    "module.adversarial.discriminator.num_filters": 32,
    "module.adversarial.discriminator.n_ffts": [1024, 2048, 512, 256, 128],
    "module.adversarial.discriminator.hop_lengths": [256, 512, 128, 64, 32],
    "module.adversarial.discriminator.win_lengths": [1024, 2048, 512, 256, 128],
    "optim._target_": "torch.optim.Adam",
    "optim.lr": 3e-4,
    "optim.betas": [0.5, 0.9],
    "optim.eps": 1e-8,
    "optim.weight_decay": 0.0,
    "average.decay": 0.99,
    "average.every": 1,
    "data.train.segment_duration": 1.0,
    "data.train.num_samples": 500_000,
    "data.train.sample_by": "duration",
    "data.train.min_segment_ratio": 0.5,
    "data.valid.segment_duration": 1.0,
    "data.valid.num_samples": 10_000,
    "data.valid.min_segment_ratio": 0.5,
    "trainer.max_steps": 200 * 2000,
    "trainer.val_check_interval": 2000,
    "trainer.precision": "32-true",
    "samples.every": 25 * 2000,
    "samples.count": 50,
}
# rate (Hz), channels, frames/s, kbit/s, parameters. The counts of the three EnCodecs are those of
# transformers' EncodecModel with the configurations that were published with the weights.
CODECS = {
    "encodec_16khz": (16000, 1, 50, 2.2, 56_819_138),
    "encodec_16khz_causal": (16000, 1, 50, 2.2, 56_819_138),
    "encodec_24khz": (24000, 1, 75, 24.0, 14_851_810),
    "encodec_32khz": (32000, 1, 50, 2.2, 56_884_674),
    "encodec_48khz": (48000, 2, 150, 24.0, 14_856_294),
}
EXPERIMENTS = ["codec_16khz", "codec_16khz_causal", "codec_24khz", "codec_32khz", "codec_48khz"]


def test_codec_16khz_is_what_was_published():
    cfg = trained("train_codec", "experiment=codec_16khz")
    found = {key: OmegaConf.select(cfg, key) for key in PUBLISHED}
    plain = {
        key: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
        for key, value in found.items()
    }
    assert plain == PUBLISHED
    assert cfg.data.batch_size * cfg.trainer.devices == 64  # 8 on each of 8
    assert cfg.module.balanced_items == 64 / 8


def test_what_codec_16khz_is_built_of():
    """The losses' own numbers are defaults of their classes, so the objects are asked."""
    cfg = trained("train_codec", "experiment=codec_16khz")
    losses = instantiate(cfg.module.losses, _convert_="all")
    with torch.device("meta"):
        adversarial = instantiate(cfg.adversarial, _convert_="all")
    assert isinstance(losses["l1"], torch.nn.L1Loss)
    mel = losses["mel"]
    assert [s.n_fft for s in mel.spectrograms] == [2**i for i in range(6, 11)]
    assert [s.hop_length for s in mel.spectrograms] == [2**i // 4 for i in range(6, 11)]
    assert all(s.bands.shape[0] == 64 and s.power == 2 for s in mel.spectrograms)
    assert (mel.eps, mel.linear_l1, mel.log_l1) == (1e-5, 1.0, 0.0)
    assert list(mel.log_l2) == [1.0] * 5
    assert sum(p.numel() for p in adversarial.parameters()) == 472_330
    assert set(cfg.module.metrics) == {"si_sdr", "mel_distance", "si_snr"}
    schedule = instantiate(cfg.module.schedule)
    assert [schedule(step) for step in (0, 10, 399_999)] == [constant(0)] * 3 == [1.0] * 3


@pytest.mark.parametrize("name", CODECS)
def test_codecs_are_those_published(name):
    rate, channels, frames, kilobits, parameters = CODECS[name]
    with torch.device("meta"):
        codec = instantiate(trained("train_codec", f"codec={name}").codec, _convert_="all")
    assert (codec.sample_rate, codec.channels, codec.frame_rate) == (rate, channels, frames)
    assert codec.quantizer.bits() * codec.frame_rate / 1000 == pytest.approx(kilobits)
    assert sum(p.numel() for p in codec.parameters()) == parameters
    causal = codec.config["causal"]
    assert causal == (name in ("encodec_16khz_causal", "encodec_24khz"))
    assert codec.renormalize == (name == "encodec_48khz")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_siblings_are_small_differences_that_can_be_built(name):
    cfg = trained("train_codec", f"experiment={name}")
    assert cfg.name == name
    assert f"sounds_{cfg.codec.sample_rate // 1000}khz" in cfg.data.train.manifest
    assert cfg.data.valid.manifest == cfg.data.train.manifest
    small = [f"experiment={name}", "codec.num_filters=2", "codec.lstm_layers=0"]
    module = instantiate(trained("train_codec", *small).module, _convert_="all")
    rate = module.codec.sample_rate
    assert module.losses["mel"].spectrograms[0].bands.shape[0] == 64
    assert cfg.module.metrics.mel_distance.sample_rate == rate
    first = module.adversarial.discriminator.discriminators[0].convs[0]
    assert first.in_channels == 2 * module.codec.channels
    shortest = cfg.data.train.segment_duration * rate
    assert all(d.n_fft <= shortest for d in module.adversarial.discriminator.discriminators)
    assert len((CONF / "experiment" / f"{name}.yaml").read_text().splitlines()) <= 25


@pytest.mark.parametrize("name", [*EXPERIMENTS, "codec_16khz_cpu", "demo_codec", "smoke_codec"])
def test_any_experiment_goes_on_from_a_codec_there_is(name):
    """What decides a codec's shape stands in conf/codec, so that another choice replaces it."""
    cfg = trained("train_codec", f"experiment={name}", "codec=pretrained", "codec.source=there")
    assert cfg.codec.keys() - {"_target_"} == signature(pretrained_codec).parameters.keys()


def test_paper_exact_is_one_word():
    small = ["codec.num_filters=2", "codec.lstm_layers=0", "codec.paper_exact=true"]
    cfg = trained("train_codec", "experiment=codec_16khz", *small)
    module = instantiate(cfg.module, _convert_="all")
    assert module.codec.quantizer.paper_exact
