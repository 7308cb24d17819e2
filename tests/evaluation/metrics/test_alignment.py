import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from evaluation.metrics.alignment import best_lag

SOUND = torch.randn(1000, generator=torch.Generator().manual_seed(1))


@settings(max_examples=30, deadline=None)
@given(lag=st.integers(-50, 50), gain=st.sampled_from([-2.0, 0.1, 1.0]))
def test_a_shift_is_found_with_its_sign_and_polarity(lag, gain):
    late = gain * SOUND.roll(lag)
    found, there, here = best_lag(SOUND, late, max_lag=60)
    assert found == lag
    assert math.copysign(1, there) == math.copysign(1, gain)
    assert abs(there) > 0.85
    assert abs(here) < 0.2 or lag == 0


def test_correlations_are_scipys():
    other = 0.5 * SOUND + torch.randn(1000, generator=torch.Generator().manual_seed(2))
    arrays = other.double().numpy(), SOUND.double().numpy()
    every = signal.correlate(*arrays) / (np.linalg.norm(arrays[0]) * np.linalg.norm(arrays[1]))
    inside = every[999 - 20 : 999 + 21]
    lag, there, here = best_lag(SOUND, other, max_lag=20)
    assert lag == int(np.abs(inside).argmax()) - 20
    assert there == pytest.approx(inside[lag + 20], abs=1e-9)
    assert here == pytest.approx(every[999], abs=1e-9)


def test_equal_sounds_are_in_step():
    assert best_lag(SOUND, SOUND, max_lag=999) == (0, 1.0, 1.0)
    assert best_lag(SOUND[:1], SOUND[:1], max_lag=100) == (0, 1.0, 1.0)


def test_silence_has_no_correlation():
    lag, there, here = best_lag(SOUND, 0 * SOUND, max_lag=10)
    assert lag == 0
    assert math.isnan(there)
    assert math.isnan(here)


def test_what_cannot_be_held_against_each_other():
    for pair in ((SOUND, SOUND[1:]), (SOUND[None], SOUND[None]), (SOUND[:0], SOUND[:0])):
        with pytest.raises(ValueError, match=r"two mono waveforms \[T\] of one length"):
            best_lag(*pair, max_lag=3)
