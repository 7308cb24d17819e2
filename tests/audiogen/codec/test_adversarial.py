import copy

import pytest
import torch

from audiogen.codec.adversarial import (
    ADVERSARIAL_LOSSES,
    adversarial_loss,
    feature_matching_loss,
    hinge2_generator_loss,
    hinge_discriminator_loss,
    hinge_generator_loss,
    mse_discriminator_loss,
    mse_generator_loss,
)
from audiogen.codec.discriminator import MultiScaleSTFTDiscriminator

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


@pytest.mark.parametrize("name", ADVERSARIAL_LOSSES)
def test_generator_losses_and_gradients_match_golden(reference, name):
    discriminator, expected = reference
    fake = expected["fake"].clone().requires_grad_()
    logits, features = discriminator(fake)
    _, real_features = discriminator(expected["real"])
    losses = {
        "adv": adversarial_loss(name).generator(logits),
        "feat": feature_matching_loss(features, real_features),
    }
    for kind, loss in losses.items():
        torch.testing.assert_close(loss, expected[f"{name}_{kind}"], **CLOSE)
        (gradient,) = torch.autograd.grad(loss, fake, retain_graph=True)
        torch.testing.assert_close(
            gradient[..., :500], expected[f"{name}_{kind}_grad"], rtol=1e-3, atol=1e-7
        )


@pytest.mark.parametrize("name", ADVERSARIAL_LOSSES)
def test_three_steps_match_golden(reference, name):
    discriminator, expected = copy.deepcopy(reference[0]), reference[1]
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=3e-4, betas=(0.5, 0.9))
    for step in range(3):
        real, _ = discriminator(expected["real"])
        fake, _ = discriminator(expected["fake"])
        loss = adversarial_loss(name).discriminator(real, fake)
        torch.testing.assert_close(loss, expected[f"{name}_dloss_steps"][step], **CLOSE)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


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


def test_hinge2_and_least_squares_closed_forms():
    fake = [torch.tensor([2.0, 0.5]), torch.tensor([-1.0])]
    real = [torch.tensor([3.0, 0.0]), torch.tensor([1.0])]
    assert hinge2_generator_loss(fake) == (0.25 + 2) / 2  # a logit above 1 pulls no further
    assert mse_generator_loss(fake) == ((1 + 0.25) / 2 + 4) / 2
    expected = ((4 + 1) / 2 + (4 + 0.25) / 2 + 0 + 1) / 2
    assert mse_discriminator_loss(real, fake) == expected
    chance = [torch.full((3,), 0.5)]
    assert mse_discriminator_loss(chance, chance) == 0.5


def test_normalized_feature_distances_are_shares_of_the_real_maps():
    real = [[torch.randn(2, 3, 5), 100 * torch.randn(2, 3, 7)], [torch.randn(2, 3, 5)]]
    fake = [[1.25 * maps for maps in scale] for scale in real]
    loss = feature_matching_loss(fake, real, normalize=True)
    assert loss.item() == pytest.approx(0.25, rel=1e-5)
    plain = feature_matching_loss(fake, real)
    sizes = [maps.abs().mean().item() for scale in real for maps in scale]
    assert plain.item() == pytest.approx(0.25 * ((sizes[0] + sizes[1]) / 2 + sizes[2]) / 2)
    silent = feature_matching_loss([[torch.ones(3)]], [[torch.zeros(3)]], normalize=True)
    assert silent.isfinite()


def test_logits_in_sixteen_bits_are_averaged_in_thirty_two():
    """Means of ten thousand bfloat16 values; the sum of their roundings stays out."""
    logits = [torch.linspace(-1, 1.1, 10001).bfloat16()]
    exact = [logits[0].double()]
    for name, loss in ADVERSARIAL_LOSSES.items():
        for ours, expected in [
            (loss.generator(logits), loss.generator(exact)),
            (loss.discriminator(logits, logits), loss.discriminator(exact, exact)),
        ]:
            assert ours.dtype == torch.float32
            assert ours.item() == pytest.approx(expected.item(), rel=1e-5), name
    features = [[logits[0], logits[0] * 2]]
    matched = feature_matching_loss(features, [[f * 0.5 for f in features[0]]])
    assert matched.dtype == torch.float32


def test_unknown_games_are_refused():
    with pytest.raises(ValueError, match="one of 'hinge', 'hinge2', 'mse', got 'wgan'"):
        adversarial_loss("wgan")
