import math

import pytest
import torch

from audiogen.codec.adversarial import (
    feature_matching_loss,
    hinge_discriminator_loss,
    hinge_generator_loss,
)
from audiogen.codec.losses import MelSpectrogram, MultiScaleMelLoss, level_pair, si_snr

RATE = 16000


@pytest.fixture
def pair(golden):
    expected, _ = golden("losses")
    return expected["y_pred"], expected["y"], expected


def test_mel_loss_matches_golden(pair):
    estimate, reference, expected = pair
    estimate = estimate.clone().requires_grad_()
    loss = MultiScaleMelLoss(sample_rate=RATE)(estimate, reference)
    torch.testing.assert_close(loss, expected["msspec"], rtol=1e-5, atol=1e-6)
    loss.backward()
    gradient = estimate.grad[..., :1000]
    torch.testing.assert_close(gradient, expected["msspec_grad"], rtol=1e-3, atol=1e-6)


def window_energy(n_fft: int) -> float:
    return torch.hann_window(n_fft).square().sum().item()


def test_unnormalized_spectrograms_match_golden(pair):
    """Without division by the window's energy S, every band is S times larger: eps scales with it.

    The reference's sum over five scales is then S * L1 + L2 of the logarithms each.
    """
    estimate, reference, expected = pair
    total = torch.zeros(())
    for n_fft in (64, 128, 256, 512, 1024):
        energy = window_energy(n_fft)
        loss = MultiScaleMelLoss(
            sample_rate=RATE, n_ffts=[n_fft], eps=1e-5 / energy, linear_l1=energy
        )
        total += loss(estimate, reference) * (energy + 1)
    torch.testing.assert_close(total, expected["msspec_unnormalized"], rtol=1e-5, atol=1e-6)


def test_log_l1_alone_matches_golden(pair):
    estimate, reference, expected = pair
    loss = MultiScaleMelLoss(
        sample_rate=RATE,
        n_ffts=[1024],
        linear_l1=0,
        log_l1=1,
        log_l2=0,
        eps=1e-5 / window_energy(1024),
    )
    torch.testing.assert_close(loss(estimate, reference), expected["mel"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("segment", "name"), [(5.0, "sisnr"), (0.1, "sisnr_seg0.1"), (0.2, "sisnr_seg0.2")]
)
def test_si_snr_matches_golden(pair, segment, name):
    estimate, reference, expected = pair
    ours = -si_snr(estimate, reference, sample_rate=RATE, segment=segment)
    torch.testing.assert_close(ours, expected[name], rtol=1e-4, atol=1e-4)


def test_si_snr_of_known_noise():
    """Orthogonal noise of a tenth of the amplitude: 20 dB, at any scale of the estimate."""
    time = torch.arange(1600) / RATE
    tone = torch.sin(2 * math.pi * 1000 * time)[None, None]
    noise = torch.sin(2 * math.pi * 2000 * time)[None, None]
    for scale in (1.0, 0.3):
        ratio = si_snr(scale * (tone + 0.1 * noise), tone, sample_rate=RATE, segment=0.1)
        assert ratio.item() == pytest.approx(20, abs=0.1)


def test_mel_frames_bands_and_normalization():
    mel = MelSpectrogram(
        sample_rate=RATE, n_fft=512, num_mels=40, f_min=64.0, f_max=None, power=2.0
    )
    assert mel(torch.zeros(2, 1, 4801)).shape == (2, 1, 40, 38)
    noise = torch.randn(1, 1, 160000)
    # White noise of unit variance has unit power in every bin, so a band holds its own area.
    expected = mel.bands.sum(dim=1)
    torch.testing.assert_close(mel(noise).mean(dim=(0, 1, 3)), expected, rtol=0.15, atol=0)


def test_power_one_is_the_root_of_power_two_within_a_bin():
    tone = torch.cos(2 * math.pi * 1000 * torch.arange(4096) / RATE)[None, None]

    def spectrum(power: float) -> torch.Tensor:
        mel = MelSpectrogram(
            sample_rate=RATE, n_fft=512, num_mels=1, f_min=0.0, f_max=None, power=power
        )
        mel.bands.zero_()
        mel.bands[0, 32] = 1
        return mel(tone)[..., 5:-5]

    torch.testing.assert_close(spectrum(1.0).square(), spectrum(2.0), rtol=1e-5, atol=0)


@pytest.mark.parametrize("power", [1.0, 1.5, 2.0])
def test_gradient_of_silence_is_finite(power):
    estimate = torch.zeros(1, 1, 2000, requires_grad=True)
    loss = MultiScaleMelLoss(sample_rate=RATE, power=power, convergence=1.0)
    loss(estimate, torch.randn(1, 1, 2000)).backward()
    assert estimate.grad.isfinite().all()


def test_equal_signals_have_no_distance():
    x = torch.randn(2, 1, 3000)
    loss = MultiScaleMelLoss(sample_rate=RATE, log_l1=1.0, convergence=1.0)
    assert loss(x, x) == 0


def test_convergence_of_a_scaled_signal_is_the_missing_share():
    """|0.25 M - M| / |M| = 0.75 for magnitudes, for loud and quiet items alike."""
    x = torch.randn(2, 1, 3000) * torch.tensor([1.0, 0.01])[:, None, None]
    loss = MultiScaleMelLoss(
        sample_rate=RATE, power=1.0, linear_l1=0, log_l2=0, convergence=1.0, eps=1e-8
    )
    assert loss(0.25 * x, x).item() == pytest.approx(0.75, rel=1e-4)


def test_linear_term_has_the_right_scale():
    """Energies of 2x are 4 times those of x: the L1 is 3 times the mean energy."""
    x = torch.randn(1, 1, 4000)
    mel = MelSpectrogram(
        sample_rate=RATE, n_fft=256, num_mels=20, f_min=64.0, f_max=None, power=2.0
    )
    loss = MultiScaleMelLoss(sample_rate=RATE, n_ffts=[256], num_mels=[20], log_l2=0)
    torch.testing.assert_close(loss(2 * x, x), 3 * mel(x).mean(), rtol=1e-5, atol=1e-6)


def test_hinge_closed_forms():
    real, fake = [torch.tensor([2.0, 0.5])], [torch.tensor([-2.0, 0.5])]
    # real: relu(1-2)=0, relu(1-.5)=.5; fake: relu(1-2)=0, relu(1.5)=1.5
    assert hinge_discriminator_loss(real, fake) == 0.25 + 0.75
    assert hinge_generator_loss([torch.tensor([1.0, 3.0]), torch.tensor([-4.0])]) == 1.0
    chance = [torch.zeros(3)]
    assert hinge_discriminator_loss(chance, chance) == 2


def test_feature_matching_averages_maps_then_discriminators():
    fake = [[torch.zeros(3), torch.zeros(5)], [torch.zeros(2)]]
    real = [[torch.ones(3), torch.full((5,), 3.0)], [torch.full((2,), 6.0)]]
    assert feature_matching_loss(fake, real) == (2 + 6) / 2
    with pytest.raises(ValueError, match="zip"):
        feature_matching_loss(fake, real[:1])


def test_level_pair_equalizes_references_and_keeps_the_ratio():
    reference = torch.randn(3, 1, 4000) * torch.tensor([1.0, 0.1, 0.001])[:, None, None]
    estimate = 0.5 * reference
    leveled, target = level_pair(estimate, reference, min_rms=0.02)
    rms = target.square().mean(dim=(1, 2)).sqrt()
    torch.testing.assert_close(rms, torch.tensor([1.0, 1.0, 0.05]), rtol=0.1, atol=0)
    torch.testing.assert_close(leveled, 0.5 * target)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MultiScaleMelLoss(sample_rate=RATE, num_mels=[64]), "one num_mels per window"),
        (lambda: MultiScaleMelLoss(sample_rate=RATE, linear_l1=0, log_l2=0), "not all zero"),
        (lambda: MultiScaleMelLoss(sample_rate=RATE, eps=0), "must be positive"),
        (lambda: MultiScaleMelLoss(sample_rate=RATE, f_max=9000), "f_max <= sample_rate / 2"),
        (
            lambda: MultiScaleMelLoss(sample_rate=RATE)(torch.zeros(1, 1, 9), torch.zeros(1, 1, 8)),
            "of one shape",
        ),
        (
            lambda: si_snr(
                torch.zeros(1, 1, 8), torch.zeros(1, 1, 8), sample_rate=RATE, overlap=1.0
            ),
            "overlap in",
        ),
    ],
)
def test_impossible_calls_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
