import math

import pytest
import torch

from evaluation.metrics.level import level_difference


@pytest.mark.parametrize("decibels", [-60.0, -6.0, 0.0, 12.5])
def test_a_gain_is_its_decibels(decibels):
    sound = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    value = level_difference(sound, 10 ** (decibels / 20) * sound)
    assert float(value) == pytest.approx(decibels, abs=1e-4)


def test_silence_has_no_level():
    assert math.isnan(level_difference(torch.ones(4), torch.zeros(4)))
    assert math.isnan(level_difference(torch.zeros(4), torch.ones(4)))
    assert math.isnan(level_difference(torch.zeros(4), torch.zeros(4)))


def test_only_mono():
    with pytest.raises(ValueError, match=r"mono waveforms \[T\], got \[1, 4\] and \[4\]"):
        level_difference(torch.ones(1, 4), torch.ones(4))
