import math

import numpy as np
import pytest
import torch

from audiogen.codec.losses import (
    LogMelLoss,
    MelSpectrogram,
    MultiScaleMelLoss,
    SISNRLoss,
    level_pair,
    si_snr,
)

RATE = 16000


@pytest.fixture
def pair(golden):
    expected, _ = golden("losses")
    return expected["y_pred"], expected["y"], expected


LOSSES = {
    "l1": torch.nn.L1Loss(),
    "l2": torch.nn.MSELoss(),
    "mel": LogMelLoss(sample_rate=RATE),
    "msspec": MultiScaleMelLoss(sample_rate=RATE),
    "sisnr": SISNRLoss(sample_rate=RATE),
    "sisnr_seg0.1": SISNRLoss(sample_rate=RATE, segment=0.1),
    "sisnr_seg0.2": SISNRLoss(sample_rate=RATE, segment=0.2),
    "msspec_unnormalized": MultiScaleMelLoss(sample_rate=RATE, normalized=False),
    "msspec_alphas_5_9": MultiScaleMelLoss(
        sample_rate=RATE,
        n_ffts=[32, 64, 128, 256],
        num_mels=32,
        f_min=0.0,
        alphas=True,
        normalized=False,
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_matches_golden(pair, name):
    estimate, reference, expected = pair
    estimate = estimate.clone().requires_grad_()
    loss = LOSSES[name](estimate, reference)
    torch.testing.assert_close(loss, expected[name], rtol=1e-5, atol=1e-5)
    if f"{name}_grad" in expected:
        loss.backward()
        gradient, size = expected[f"{name}_grad"], expected[f"{name}_grad"].abs().max().item()
        torch.testing.assert_close(estimate.grad[..., :1000], gradient, rtol=1e-4, atol=1e-4 * size)


@pytest.mark.parametrize("name", ["lin", "log"])
def test_mel_spectrogram_matches_golden(pair, name):
    _, reference, expected = pair
    mel = MelSpectrogram(
        sample_rate=RATE, n_fft=512, num_mels=40, f_min=64.0, f_max=None, power=2.0
    )(reference)[:, 0]
    ours = mel if name == "lin" else (mel + 1e-5).log10()
    torch.testing.assert_close(ours, expected[f"melspec_{name}_512"], rtol=1e-4, atol=1e-5)


def float64_mel(x: np.ndarray, *, rate: int, n_fft: int, bands: int, low: float, high: float):
    """Mel energies [B, C, M, F] anew in float64: frames, FFT, triangles of the HTK scale."""
    hop = n_fft // 4
    side = (n_fft - hop) // 2
    padded = np.pad(x, [(0, 0), (0, 0), (side, side)], mode="reflect")
    padded = np.pad(padded, [(0, 0), (0, 0), (0, -x.shape[-1] % hop)])
    starts = range(0, padded.shape[-1] - n_fft + 1, hop)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    frames = np.stack([padded[..., s : s + n_fft] for s in starts], axis=-1) * window[:, None]
    power = np.abs(np.fft.rfft(frames, axis=-2)) ** 2
    to_mel = lambda hz: 2595 * np.log10(1 + hz / 700)  # noqa: E731
    edges = 700 * (10 ** (np.linspace(to_mel(low), to_mel(high), bands + 2) / 2595) - 1)
    bins = np.linspace(0, rate / 2, n_fft // 2 + 1)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    triangles = np.maximum(0, np.minimum(rising, falling))
    return np.einsum("...fn,fm->...mn", power, triangles), (window**2).sum()


@pytest.mark.parametrize(
    ("rate", "n_ffts", "bands", "low", "high", "normalized", "alphas", "samples"),
    [
        (16000, (64, 256, 1024), (20, 40, 80), 0.0, 8000.0, True, True, 3001),
        (24000, (128, 512), (32, 64), 30.0, 11000.0, True, False, 4096),
        (32000, (48, 300, 2000), (10, 24, 100), 200.0, 12345.6, False, True, 5555),
        (44100, (32,), (16,), 0.0, 22050.0, False, False, 100),
    ],
)
def test_mel_distance_of_odd_settings(rate, n_ffts, bands, low, high, normalized, alphas, samples):
    rng = np.random.default_rng(len(n_ffts))
    x, y = 0.1 * rng.standard_normal((2, 2, 2, samples))
    total = weight = 0.0
    for n_fft, count in zip(n_ffts, bands, strict=True):
        settings = {"rate": rate, "n_fft": n_fft, "bands": count, "low": low, "high": high}
        (mx, energy), (my, _) = float64_mel(x, **settings), float64_mel(y, **settings)
        mx, my = (mx / energy, my / energy) if normalized else (mx, my)
        alpha = math.sqrt(n_fft - 1) if alphas else 1.0
        logs = np.log10(mx + 1e-5) - np.log10(my + 1e-5)
        total += np.abs(mx - my).mean() + alpha * (logs**2).mean()
        weight += 1 + alpha
    loss = MultiScaleMelLoss(
        sample_rate=rate,
        n_ffts=n_ffts,
        num_mels=bands,
        f_min=low,
        f_max=high,
        normalized=normalized,
        alphas=alphas,
    )
    ours = loss(torch.from_numpy(x).float(), torch.from_numpy(y).float()).item()
    assert ours == pytest.approx(total / weight if normalized else total, rel=2e-5)


@pytest.mark.parametrize(
    ("rate", "samples", "segment", "overlap"),
    [
        (16000, 4800, 0.1, 0.5),
        (24000, 5001, 0.05, 0.25),
        (8000, 100, 5.0, 0.5),
        (1000, 999, 0.3, 0),
    ],
)
def test_si_snr_of_odd_settings(rate, samples, segment, overlap):
    rng = np.random.default_rng(samples)
    ref = rng.standard_normal((3, 2, samples))
    est = 0.7 * ref + 0.2 * rng.standard_normal(ref.shape) + 0.1
    length = int(segment * rate)
    stride = int(length * (1 - overlap))
    eps = np.finfo(np.float32).eps * length
    ratios = []
    for start in range(0, samples, stride):
        a, b = (np.zeros((3, 2, length)) for _ in range(2))
        piece = ref[..., start : start + length].shape[-1]
        a[..., :piece] = est[..., start : start + length]
        b[..., :piece] = ref[..., start : start + length]
        a, b = (v - v.mean(axis=-1, keepdims=True) for v in (a, b))
        signal = (a * b).sum(-1, keepdims=True) / ((b**2).sum(-1, keepdims=True) + eps) * b
        noise = ((a - signal) ** 2).sum(-1) + eps
        ratios.append(10 * (np.log10((signal**2).sum(-1) + eps) - np.log10(noise)))
    estimate, reference = torch.from_numpy(est).float(), torch.from_numpy(ref).float()
    loss = SISNRLoss(sample_rate=rate, segment=segment, overlap=overlap)
    assert loss(estimate, reference).item() == pytest.approx(-np.mean(ratios), abs=1e-3)


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


def test_autocast_does_not_touch_the_losses(pair):
    """Sixteen bits would move the mel distances by parts of a hundred."""
    estimate, reference, expected = pair
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for name, loss in LOSSES.items():
            value = loss(estimate, reference)
            torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-5, msg=name)
        mel = MelSpectrogram(
            sample_rate=RATE, n_fft=512, num_mels=40, f_min=64.0, f_max=None, power=2.0
        )(reference)
        leveled, _ = level_pair(estimate, reference)
        half, _ = level_pair(estimate.bfloat16(), reference.bfloat16())
    torch.testing.assert_close(mel[:, 0], expected["melspec_lin_512"], rtol=1e-4, atol=1e-5)
    assert leveled.dtype == half.dtype == torch.float32


def test_outputs_in_sixteen_bits_are_compared_in_thirty_two(pair):
    """A decoder inside an autocast region gives bfloat16: the losses still are float32."""
    estimate, reference, _ = pair
    for name, loss in LOSSES.items():
        if name in ("l1", "l2"):
            continue  # torch's own
        value = loss(estimate.bfloat16(), reference)
        assert value.dtype == torch.float32
        expected = loss(estimate.bfloat16().float(), reference)
        torch.testing.assert_close(value, expected, rtol=0, atol=0, msg=name)


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
        (lambda: MultiScaleMelLoss(sample_rate=RATE, log_l2=math.nan), "non-negative"),
        (lambda: level_pair(torch.zeros(1, 1, 9), torch.zeros(1, 1, 9), min_rms=0), "min_rms"),
        (lambda: SISNRLoss(sample_rate=RATE, segment=0), "segment > 0"),
        (
            lambda: SISNRLoss(sample_rate=10, segment=0.1)(
                torch.zeros(1, 1, 8), torch.zeros(1, 1, 8)
            ),
            "make them longer",
        ),
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
