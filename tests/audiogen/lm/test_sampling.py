import math

import pytest
import torch

from audiogen.lm.sampling import filter_probabilities, race, sample_codes


def generators(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def test_equals_of_the_last_kept_code_are_kept():
    logits = torch.tensor([2.0, 1.0, 1.0, 0.0])
    assert (filter_probabilities(logits, top_k=2) > 0).tolist() == [True, True, True, False]


def test_more_than_every_code_is_every_code():
    logits = torch.randn(2, 3, 8)
    torch.testing.assert_close(filter_probabilities(logits, top_k=250), logits.softmax(-1))


def test_top_p_goes_before_top_k():
    logits = torch.tensor([0.5, 0.3, 0.2]).log()
    kept = filter_probabilities(logits, top_k=1, top_p=0.6)
    torch.testing.assert_close(kept, torch.tensor([0.625, 0.375, 0.0]))


@pytest.mark.parametrize("temperature", [1e-3, 1e-20, 1e-45])
def test_nearly_no_temperature_is_nearly_greedy(temperature):
    logits = torch.tensor([[-50.0, 80.0, 79.0, 0.0]])
    for settings in ({}, {"top_k": 2}, {"top_p": 0.9}):
        kept = filter_probabilities(logits, temperature=temperature, **settings)
        torch.testing.assert_close(kept, torch.tensor([[0.0, 1.0, 0.0, 0.0]]))


def test_race_follows_the_distribution():
    """Pearson's chi-square of 20000 draws; 27.9 is exceeded once in 1000 times with 9 degrees."""
    weights = torch.arange(1, 11).float()
    expected = weights / weights.sum()
    draws = race(weights.expand(1, 20_000, 10), generators(0))[0]
    counts = torch.bincount(draws, minlength=10)
    chi_square = ((counts - 20_000 * expected).square() / (20_000 * expected)).sum()
    assert chi_square < 27.9


def test_race_never_picks_the_impossible():
    probabilities = torch.tensor([0.0, 1e-30, 0.0]).expand(1, 5000, 3)
    assert (race(probabilities, generators(0)) == 1).all()


def test_an_item_draws_the_same_alone_and_in_a_batch():
    torch.manual_seed(0)
    logits = torch.randn(3, 4, 32)
    together, seeds = generators(5, 6, 7), (5, 6, 7)
    for _ in range(3):  # the generators move on together
        batch = sample_codes(logits, generators=together, top_k=10)
    for item, seed in enumerate(seeds):
        alone = generators(seed)
        for _ in range(3):
            codes = sample_codes(logits[item : item + 1], generators=alone, top_k=10)
        assert torch.equal(codes[0], batch[item])


def test_the_global_stream_is_not_touched():
    state = torch.get_rng_state()
    sample_codes(torch.randn(1, 2, 8, generator=generators(1)[0]), generators=generators(0))
    assert torch.equal(state, torch.get_rng_state())


def test_greedy_and_temperature_zero_take_the_first_maximum():
    logits = torch.tensor([[[0.0, 2.0, 2.0], [1.0, 0.0, -1.0]]])
    assert sample_codes(logits, generators=None).tolist() == [[1, 0]]
    assert sample_codes(logits, generators=generators(0), temperature=0).tolist() == [[1, 0]]


def test_a_high_temperature_forgets_the_logits():
    probabilities = filter_probabilities(torch.tensor([0.0, 3.0]), temperature=1e6)
    torch.testing.assert_close(probabilities, torch.tensor([0.5, 0.5]), rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -1.0}, "temperature must be at least 0"),
        ({"temperature": math.nan}, "temperature must be at least 0"),
        ({"top_k": -1}, "top_k must be a whole number of at least 0"),
        ({"top_p": 1.5}, r"top_p must be in \[0, 1\]"),
        ({"top_k": True}, "top_k must be a whole number of at least 0 .* got True"),
        ({"top_k": None}, "top_k must be a whole number of at least 0 .* got None"),
        ({"temperature": None}, "temperature must be a number, got None"),
        ({"temperature": "1"}, "temperature must be a number, got '1'"),
        ({"top_p": "1"}, "top_p must be a number, got '1'"),
    ],
)
def test_refuses_settings_that_describe_no_distribution(settings, message):
    with pytest.raises(ValueError, match=message):
        sample_codes(torch.zeros(1, 1, 4), generators=None, **settings)


def test_refuses_another_number_of_generators():
    with pytest.raises(ValueError, match="batch of 2, got 1 generators"):
        sample_codes(torch.zeros(2, 1, 4), generators=generators(0))
