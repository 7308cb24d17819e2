"""What each metric must say of damages whose order is known."""

import math
from itertools import pairwise

import pytest
import torch

from evaluation.metrics.level import level_difference
from evaluation.metrics.log_spectral import log_spectral_distance
from evaluation.metrics.mel_distance import mel_distance, multi_scale_mel
from evaluation.metrics.si_sdr import si_sdr

RATE = 16000


def make_sound():
    """Two seconds of a decaying chord over quiet noise: tonal, broadband and not constant."""
    times = torch.arange(2 * RATE, dtype=torch.float64) / RATE
    chord = sum(torch.sin(2 * math.pi * f * times) for f in (220.0, 331.0, 1234.5, 4100.0))
    hiss = torch.randn(2 * RATE, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return (0.1 * chord * (-2 * (times % 0.5)).exp() + 0.01 * hiss)[None]


SOUND = make_sound()
NOISE = torch.randn(SOUND.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
RMS = SOUND.square().mean().sqrt()
DAMAGES = {
    "identity": SOUND,
    "gain": 0.5 * SOUND,
    "polarity": -SOUND,
    "faint noise": SOUND + 0.01 * RMS * NOISE,
    "shift": SOUND.roll(1, dims=-1),
    "one bit": RMS * SOUND.sign(),
    "white noise": RMS * NOISE,
    "silence": 0 * SOUND,
}
METRICS = {
    "si_sdr": lambda damaged: -float(si_sdr(SOUND, damaged)),  # so that low is good everywhere
    "mel": lambda damaged: float(mel_distance(SOUND, damaged, sample_rate=RATE)),
    "multi_scale_mel": lambda damaged: float(multi_scale_mel(SOUND, damaged, sample_rate=RATE)),
    "log_spectral": lambda damaged: float(log_spectral_distance(SOUND, damaged)),
}
# Worse from tier to tier; the damages of the first are none to the metric.
SPECTRAL_ORDER = [
    ["identity", "polarity"],
    ["shift", "faint noise"],
    ["gain"],
    ["one bit"],
    ["white noise"],
    ["silence"],
]
SI_SDR_ORDER = [
    ["identity", "gain", "polarity"],
    ["faint noise"],
    ["shift", "one bit"],
    ["white noise"],
    ["silence"],
]


@pytest.mark.parametrize("name", METRICS)
def test_order_of_damages(name):
    values = {damage: METRICS[name](sound) for damage, sound in DAMAGES.items()}
    order = SI_SDR_ORDER if name == "si_sdr" else SPECTRAL_ORDER
    tiers = [[values[damage] for damage in tier] for tier in order]
    best = -math.inf if name == "si_sdr" else 0.0
    assert tiers[0] == [best] * len(tiers[0])
    for better, worse in pairwise(tiers):
        assert max(better) < min(worse), values


def test_level_sees_gain_and_silence_only():
    values = {
        damage: float(level_difference(SOUND[0], sound[0])) for damage, sound in DAMAGES.items()
    }
    for damage in ("identity", "polarity", "shift"):
        assert values[damage] == pytest.approx(0.0, abs=1e-9)
    for damage in ("faint noise", "one bit", "white noise"):
        assert values[damage] == pytest.approx(0.0, abs=0.1)
    assert values["gain"] == pytest.approx(-20 * math.log10(2))
    assert math.isnan(values["silence"])


def test_more_noise_is_worse_by_every_metric():
    for name, metric in METRICS.items():
        values = [metric(SOUND + amount * RMS * NOISE) for amount in (0, 0.001, 0.01, 0.1, 1.0)]
        assert values == sorted(set(values)), name


def test_a_shift_ruins_si_sdr_and_no_spectral_distance():
    """Half a millisecond: nobody hears it."""
    shifted = SOUND.roll(8, dims=-1)
    assert METRICS["si_sdr"](shifted) > 0
    assert METRICS["mel"](shifted) < METRICS["mel"](DAMAGES["one bit"]) / 5
