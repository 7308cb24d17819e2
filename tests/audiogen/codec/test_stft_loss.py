import numpy as np
import pytest
import torch

from audiogen.codec.stft_loss import MultiResolutionSTFTLoss


def test_matches_golden(golden):
    expected, _ = golden("losses")
    loss = MultiResolutionSTFTLoss(convergence=0.5, log_l1=0.5)
    value = loss(expected["y_pred"], expected["y"])
    torch.testing.assert_close(value, expected["mrstft"][0], rtol=1e-5, atol=1e-6)


def float64_magnitudes(x: np.ndarray, n_fft: int, hop: int, length: int) -> np.ndarray:
    """Magnitudes [rows, frequencies, frames] in float64, the window in the middle of the frame."""
    rows = np.pad(x.reshape(-1, x.shape[-1]), [(0, 0), (n_fft // 2, n_fft // 2)], mode="reflect")
    window = np.zeros(n_fft)
    left = (n_fft - length) // 2
    window[left : left + length] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    starts = range(0, rows.shape[-1] - n_fft + 1, hop)
    frames = np.stack([rows[:, s : s + n_fft] * window for s in starts], axis=-1)
    return np.sqrt(np.maximum(np.abs(np.fft.rfft(frames, axis=1)) ** 2, 1e-7))


def test_odd_settings():
    rng = np.random.default_rng(3)
    x, y = 0.1 * rng.standard_normal((2, 2, 2, 1501))
    resolutions = [(200, 30, 130), (512, 100, 512)]
    total = 0.0
    for n_fft, hop, length in resolutions:
        a, b = float64_magnitudes(x, n_fft, hop, length), float64_magnitudes(y, n_fft, hop, length)
        total += 0.3 * np.linalg.norm(b - a) / np.linalg.norm(b)
        total += 2.0 * np.abs(np.log(a) - np.log(b)).mean()
    n_ffts, hops, lengths = zip(*resolutions, strict=True)
    loss = MultiResolutionSTFTLoss(
        n_ffts=n_ffts, hop_lengths=hops, win_lengths=lengths, convergence=0.3, log_l1=2.0
    )
    ours = loss(torch.from_numpy(x).float(), torch.from_numpy(y).float()).item()
    assert ours == pytest.approx(total / 2, rel=1e-4)


def test_equal_signals_have_no_distance_and_silence_a_finite_gradient():
    loss = MultiResolutionSTFTLoss()
    x = torch.randn(2, 1, 3000)
    assert loss(x, x) == 0
    silent = torch.zeros(2, 1, 3000, requires_grad=True)
    loss(silent, x).backward()
    assert silent.grad.isfinite().all()


def test_autocast_does_not_touch_it():
    loss, x, y = MultiResolutionSTFTLoss(), torch.randn(1, 1, 3000), torch.randn(1, 1, 3000)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert loss(x, y) == loss(x.clone(), y)
        value = loss(x, y)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(x, y), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MultiResolutionSTFTLoss(n_ffts=[64]), "got 1, 3 and 3"),
        (lambda: MultiResolutionSTFTLoss(convergence=0, log_l1=0), "not all zero"),
        (
            lambda: MultiResolutionSTFTLoss()(torch.zeros(1, 1, 1024), torch.zeros(1, 1, 1024)),
            "more than 1024 samples",
        ),
    ],
)
def test_impossible_calls_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
