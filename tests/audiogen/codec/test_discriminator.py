import numpy as np
import pytest
import torch

from audiogen.codec.adversarial import hinge_discriminator_loss
from audiogen.codec.discriminator import MultiScaleSTFTDiscriminator, STFTDiscriminator

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture
def reference(golden):
    expected, state = golden("msstftd")
    discriminator = MultiScaleSTFTDiscriminator(
        num_filters=4,
        n_ffts=(256, 512, 128),
        hop_lengths=(64, 128, 32),
        win_lengths=(256, 512, 128),
    )
    discriminator.load_state_dict(state)
    return discriminator, expected


def test_matches_golden(reference):
    discriminator, expected = reference
    logits, features = discriminator(expected["real"][..., :3001])
    for i in range(3):
        torch.testing.assert_close(logits[i], expected[f"disc{i}_logits"], **CLOSE)
        for k in range(5):
            ours = features[i][k][:1, :, :5]
            torch.testing.assert_close(ours, expected[f"disc{i}_fmap{k}"], **CLOSE)
    assert [len(maps) for maps in features] == [5, 5, 5]


def test_a_reference_state_dict_loads_strictly(golden, reference):
    discriminator, _ = reference
    state = golden("msstftd")[1]
    assert state.keys() == discriminator.state_dict().keys()
    for name, value in discriminator.state_dict().items():
        assert torch.equal(value, state[name]), name


def float64_conv(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, conv) -> np.ndarray:
    """Convolution [B, C, H, W] as a sum over the taps of the kernel, in float64."""
    (sh, sw), (dh, dw), (ph, pw) = conv.stride, conv.dilation, conv.padding
    x = np.pad(x, [(0, 0), (0, 0), (ph, ph), (pw, pw)])
    kh, kw = weight.shape[2:]
    height = (x.shape[2] - (kh - 1) * dh - 1) // sh + 1
    width = (x.shape[3] - (kw - 1) * dw - 1) // sw + 1
    total = np.zeros((len(x), len(weight), height, width)) + bias[:, None, None]
    for i in range(kh):
        for j in range(kw):
            tap = x[:, :, i * dh :: sh, j * dw :: sw][:, :, :height, :width]
            total += np.einsum("oc,bchw->bohw", weight[:, :, i, j], tap)
    return total


def float64_judge(judge: STFTDiscriminator, x: np.ndarray) -> list[np.ndarray]:
    """All feature maps and the logits of one resolution, from its state dict alone."""
    n_fft, hop, length = judge.n_fft, judge.hop_length, judge.win_length
    window = np.zeros(n_fft)
    left = (n_fft - length) // 2
    window[left : left + length] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    starts = range(0, x.shape[-1] - n_fft + 1, hop)
    frames = np.stack([x[..., s : s + n_fft] * window for s in starts], axis=-2)
    spectrum = np.fft.rfft(frames) / np.sqrt((window**2).sum())
    x = np.concatenate([spectrum.real, spectrum.imag], axis=1)
    state = {name: value.double().numpy() for name, value in judge.state_dict().items()}
    maps = []
    for i in range(6):
        name = f"convs.{i}" if i < 5 else "conv_post"
        weight = state.get(f"{name}.weight")
        if weight is None:
            gain, direction = (
                state[f"{name}.parametrizations.weight.original{k}"] for k in range(2)
            )
            norm = np.sqrt((direction**2).sum(axis=(1, 2, 3), keepdims=True))
            weight = gain * direction / norm
        conv = judge.convs[i] if i < 5 else judge.conv_post
        x = float64_conv(x, weight, state[f"{name}.bias"], conv)
        x = np.where(x < 0, 0.3 * x, x) if i < 5 else x
        maps.append(x)
    return maps


@pytest.mark.parametrize(
    ("channels", "filters", "n_fft", "hop", "window", "samples"),
    [(1, 3, 64, 16, 64, 500), (2, 2, 100, 30, 75, 301), (1, 5, 33, 11, 20, 33)],
)
def test_odd_settings(channels, filters, n_fft, hop, window, samples):
    torch.manual_seed(n_fft)
    judge = STFTDiscriminator(
        channels=channels, num_filters=filters, n_fft=n_fft, hop_length=hop, win_length=window
    )
    with torch.no_grad():
        for parameter in judge.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    x = torch.randn(2, channels, samples)
    logits, features = judge(x)
    expected = float64_judge(judge, x.double().numpy())
    for ours, theirs in zip([*features, logits], expected, strict=True):
        torch.testing.assert_close(ours.double(), torch.from_numpy(theirs), rtol=1e-4, atol=1e-5)


def test_spectrograms_stay_in_thirty_two_bits_under_autocast(reference, monkeypatch):
    discriminator, expected = reference
    judge = discriminator.discriminators[0]
    plain = judge.spectrogram(expected["real"])
    logits, features = discriminator(expected["real"])
    seen = []
    stft = torch.stft

    def watched(signal, *args, **kwargs):
        seen.append((signal.dtype, torch.is_autocast_enabled("cpu")))
        return stft(signal, *args, **kwargs)

    monkeypatch.setattr(torch, "stft", watched)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(judge.spectrogram(expected["real"]), plain, rtol=0, atol=0)
        half_logits, half_features = discriminator(expected["real"])
    assert set(seen) == {(torch.float32, False)}
    assert features[0][0].dtype == torch.float32
    assert half_features[0][0].dtype == torch.bfloat16  # the convolutions do run in sixteen
    for ours, theirs in zip(half_logits, logits, strict=True):
        torch.testing.assert_close(ours.float(), theirs, rtol=0.05, atol=0.02)


def test_compiled_equals_eager():
    """The graph that torch.compile traces; no code is generated, which takes a minute."""
    discriminator = MultiScaleSTFTDiscriminator(
        num_filters=2, n_ffts=[64], hop_lengths=[16], win_lengths=[50]
    )
    fake = torch.randn(2, 1, 300, requires_grad=True)
    compiled = torch.compile(discriminator, backend="aot_eager", fullgraph=True)
    results = []
    for model in (discriminator, compiled):
        logits, features = model(fake)
        loss = logits[0].mean() + features[0][2].square().mean()
        results.append([*logits, *features[0], *torch.autograd.grad(loss, fake)])
    for eager, traced in zip(*results, strict=True):
        torch.testing.assert_close(traced, eager, rtol=1e-4, atol=1e-6)


def test_published_size():
    discriminator = MultiScaleSTFTDiscriminator()
    assert sum(p.numel() for p in discriminator.parameters()) == 472_330


def test_first_convolution_has_no_weight_norm():
    convs = MultiScaleSTFTDiscriminator(num_filters=2).discriminators[0].convs
    assert [hasattr(conv, "parametrizations") for conv in convs] == [False, True, True, True, True]


def test_spectrogram_of_a_tone_peaks_in_its_bin():
    """A cosine of unit amplitude: |X| = sum(w) / 2 / sqrt(sum(w^2)) in its bin."""
    judge = STFTDiscriminator(channels=1, num_filters=2, n_fft=64, hop_length=16, win_length=64)
    tone = torch.cos(2 * torch.pi * 8 * torch.arange(640) / 64)[None, None]
    parts = judge.spectrogram(tone)
    assert parts.shape == (1, 2, 37, 33)  # real and imaginary, frames, frequencies
    magnitude = parts.square().sum(dim=1).sqrt()[0]
    assert magnitude.argmax(dim=1).unique().tolist() == [8]
    window = torch.hann_window(64)
    expected = window.sum() / 2 / window.square().sum().sqrt()
    torch.testing.assert_close(magnitude[:, 8], expected.expand(37), rtol=1e-4, atol=1e-4)


def test_stereo_and_short_windows():
    judge = MultiScaleSTFTDiscriminator(
        channels=2, num_filters=2, n_ffts=[64], hop_lengths=[16], win_lengths=[32]
    )
    logits, _ = judge(torch.randn(3, 2, 640))
    assert logits[0].shape == (3, 1, 37, 5)


def test_a_gradient_penalty_free_step_separates_noise_from_silence():
    torch.manual_seed(0)
    judge = MultiScaleSTFTDiscriminator(
        num_filters=4, n_ffts=[64], hop_lengths=[16], win_lengths=[64]
    )
    optimizer = torch.optim.Adam(judge.parameters(), lr=1e-2)
    real, fake = torch.randn(4, 1, 400), torch.zeros(4, 1, 400)
    for _ in range(30):
        loss = hinge_discriminator_loss(judge(real)[0], judge(fake)[0])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MultiScaleSTFTDiscriminator(n_ffts=[64, 32]), "got 2, 5 and 5"),
        (lambda: MultiScaleSTFTDiscriminator()(torch.zeros(1, 1, 1000)), "at least 1024 samples"),
        (lambda: MultiScaleSTFTDiscriminator()(torch.zeros(1, 2, 4000)), r"judges 1 channel\(s\)"),
        (lambda: MultiScaleSTFTDiscriminator(num_filters=0), "at least 1, got 1 and 0"),
        (
            lambda: MultiScaleSTFTDiscriminator(n_ffts=[64], hop_lengths=[65], win_lengths=[64]),
            "0 < hop_length <= win_length <= n_fft",
        ),
    ],
)
def test_impossible_calls_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
