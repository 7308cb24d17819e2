"""Where draws come from: each item has its own stream, whatever its place or its neighbors."""

from itertools import islice

import numpy as np
import pytest
import torch

from audiogen.generation.seeds import generators_of, item_seeds, seed_pairs
from audiogen.rng import item_generator


def generators(count, options):
    return generators_of(item_seeds(count, options))


def first_draws(generators):
    return [torch.rand((), generator=generator).item() for generator in generators]


def test_a_seed_gives_each_item_its_own_stream():
    expected = first_draws(item_generator(seed=7, item=i) for i in range(3))
    assert first_draws(generators(3, {"seed": 7})) == expected
    assert len(set(expected)) == 3


def test_seeds_are_one_per_item_whatever_its_place():
    expected = first_draws([item_generator(seed=5, item=0), item_generator(seed=7, item=2)])
    assert first_draws(generators(2, {"seeds": [5, (7, 2)]})) == expected
    assert first_draws(generators(2, {"seed": [5, (7, 2)]})) == expected


def test_no_seed_is_a_new_one_each_time_and_is_logged(caplog):
    caplog.set_level("INFO")
    assert first_draws(generators(1, {})) != first_draws(generators(1, {}))
    seed = int(caplog.messages[0].split("seed=")[1].split()[0])
    caplog.clear()
    assert first_draws(generators(1, {"seed": seed}))
    assert not caplog.messages


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 1, "seeds": [1]}, "not both"),
        ({"seeds": [1, 2]}, "one of seeds per description: 1"),
        ({"seeds": "1"}, "one of seeds per description, got .1."),
        ({"seed": 1.5}, "a seed is a whole number, got 1.5"),
        ({"seed": [1, 2]}, "one of seeds per description: 1"),
        ({"seed": ["1"]}, "a seed is a whole number, got '1'"),
    ],
)
def test_seeds_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        generators(1, options)


def test_seeds_of_numpy_are_seeds():
    expected = first_draws(generators(1, {"seed": 3}))
    assert first_draws(generators(1, {"seed": np.int64(3)})) == expected
    assert first_draws(generators(1, {"seeds": np.array([3])})) == expected
    with pytest.raises(ValueError, match="a seed is a whole number, got True"):
        generators(1, {"seed": True})


def test_the_first_candidate_draws_what_an_only_one_does():
    (alone,) = first_draws(generators_of([(7, 2)]))
    several = first_draws(generators_of([(7, 2)] * 3 + [(7, 3)], [0, 1, 2, 1]))
    assert several[0] == alone
    assert len(set(several)) == 4
    assert first_draws([item_generator(seed=7, item=2, candidate=1)]) == several[1:2]


def test_pairs_come_one_after_the_other_without_end():
    assert list(islice(seed_pairs({"seed": 5}), 3)) == [(5, 0), (5, 1), (5, 2)]
    assert list(seed_pairs({"seeds": iter([5, (7, 2)])})) == [(5, 0), (7, 2)]
    pairs = seed_pairs({"seeds": iter([1, "x"])})
    assert next(pairs) == (1, 0)
    with pytest.raises(ValueError, match="a seed is a whole number, got 'x'"):
        next(pairs)
