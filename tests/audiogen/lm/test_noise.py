import pytest
import torch

from audiogen.lm import noise as module
from audiogen.lm.noise import Noise
from audiogen.lm.sampling import Sampling, filter_probabilities, race

SHAPE = (3, 7)


def generators(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def draws(rngs, *, steps):
    noise = Noise(rngs, shape=SHAPE, steps=steps, device=torch.device("cpu"))
    return [noise.next() for _ in range(steps)]


@pytest.mark.parametrize("steps", [1, 15, 16, 17, 40])
def test_blocks_are_the_draws_of_single_steps(steps):
    """Of every item, and not one more: what follows is drawn from where it would have been."""
    ahead, one_by_one = generators(1, 2), generators(1, 2)
    for made in draws(ahead, steps=steps):
        expected = [torch.empty(SHAPE).exponential_(generator=rng) for rng in one_by_one]
        assert torch.equal(made, torch.stack(expected))
    for rng, other in zip(ahead, one_by_one, strict=True):
        assert torch.equal(rng.get_state(), other.get_state())


def test_the_size_of_a_block_changes_nothing(monkeypatch):
    expected = draws(generators(3, 4), steps=5)
    monkeypatch.setattr(module, "BLOCK_BYTES", 1)
    assert all(map(torch.equal, draws(generators(3, 4), steps=5), expected))


def test_a_race_with_noise_drawn_before_is_the_same_race():
    torch.manual_seed(0)
    logits = torch.randn(2, *SHAPE)
    for sampling in (Sampling(top_k=3), Sampling(top_p=0.8), Sampling(temperature=1.7)):
        noise = draws(generators(5, 6), steps=1)[0]
        probabilities = probabilities_of(logits, sampling)
        expected = race(probabilities, generators(5, 6))
        assert torch.equal(sampling.choose(logits, noise), expected)


def probabilities_of(logits, sampling):
    return filter_probabilities(
        logits, temperature=sampling.temperature, top_k=sampling.top_k, top_p=sampling.top_p
    )


@pytest.mark.gpu
@pytest.mark.parametrize("count", [1, 5])
def test_draws_cross_to_the_device_unchanged(count):
    made = Noise(generators(*range(count)), shape=SHAPE, steps=40, device=torch.device("cuda"))
    expected = draws(generators(*range(count)), steps=40)
    for step in expected:
        assert torch.equal(made.next().cpu(), step)
