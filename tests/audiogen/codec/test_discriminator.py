import pytest
import torch

from audiogen.codec.adversarial import (
    feature_matching_loss,
    hinge_discriminator_loss,
    hinge_generator_loss,
)
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
    torch.testing.assert_close(features[0][3][:1, :, :5], expected["disc0_fmap3"], **CLOSE)
    torch.testing.assert_close(features[2][1][:1, :, :5], expected["disc2_fmap1"], **CLOSE)
    assert [len(maps) for maps in features] == [5, 5, 5]


def test_losses_and_gradients_match_golden(reference):
    discriminator, expected = reference
    fake = expected["fake"].clone().requires_grad_()
    logits, features = discriminator(fake)
    _, real_features = discriminator(expected["real"])
    adversarial = hinge_generator_loss(logits)
    matching = feature_matching_loss(features, real_features)
    torch.testing.assert_close(adversarial, expected["hinge_adv"], **CLOSE)
    torch.testing.assert_close(matching, expected["hinge_feat"], **CLOSE)
    for name, loss in (("adv", adversarial), ("feat", matching)):
        (gradient,) = torch.autograd.grad(loss, fake, retain_graph=True)
        expected_gradient = expected[f"hinge_{name}_grad"]
        torch.testing.assert_close(gradient[..., :500], expected_gradient, rtol=1e-3, atol=1e-7)


def test_three_steps_match_golden(reference):
    discriminator, expected = reference
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=3e-4, betas=(0.5, 0.9))
    for step in range(3):
        real, _ = discriminator(expected["real"])
        fake, _ = discriminator(expected["fake"])
        loss = hinge_discriminator_loss(real, fake)
        torch.testing.assert_close(loss, expected["hinge_dloss_steps"][step], rtol=1e-4, atol=1e-5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


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
        (
            lambda: MultiScaleSTFTDiscriminator(n_ffts=[64], hop_lengths=[65], win_lengths=[64]),
            "0 < hop_length <= win_length <= n_fft",
        ),
    ],
)
def test_impossible_calls_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
