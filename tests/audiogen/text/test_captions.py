from itertools import product

import pytest
import torch

from audiogen.rng import batch_generator
from audiogen.text.captions import (
    attributes,
    check_captions,
    descriptions,
    drop_attributes,
    drop_words,
)

MANY = 20_000


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_string_is_the_description():
    assert attributes("rain") == attributes({"description": "rain"})
    assert descriptions(["rain", None, "", {"description": "dog"}, {}, {"description": None}]) == [
        *("rain", "", "", "dog", "", "")
    ]


def test_an_attribute_nobody_reads_is_refused():
    with pytest.raises(ValueError, match=r"caption 1 has the attributes description, sound_class"):
        descriptions(["rain", {"description": "a", "sound_class": "b"}])
    assert descriptions([{"description": "a", "sound_class": ""}]) == ["a"]


@pytest.mark.parametrize(
    ("captions", "message"),
    [
        (["rain", 3, 4], "caption 1 must be a string or None, got int: 3"),
        ([b"rain"], "caption 0 must be a string or None, got bytes"),
        ([["rain"]], "caption 0 must be a string or None, got list"),
        ([float("nan")], "caption 0 must be a string or None, got float: nan"),
        ("rain", r"got one string: 'rain'; write \['rain'\]"),
        ({"description": "rain"}, "got one caption"),
        ([], "at least one caption"),
        (b"rain", "expected a list of captions, got bytes"),
        (None, "expected a list of captions, got NoneType"),
        (7, "expected a list of captions, got int"),
        ([{"description": 7}], "caption 0 must map attributes to strings or None"),
        ([{7: "rain"}], "caption 0 must map attributes to strings or None"),
    ],
)
def test_what_is_no_caption_is_refused(captions, message):
    with pytest.raises(ValueError, match=message):
        check_captions(captions)


def test_a_message_does_not_repeat_a_book():
    with pytest.raises(ValueError) as caught:
        check_captions("a" * 100_000)
    assert len(str(caught.value)) < 300


def test_words_are_dropped_one_by_one_at_their_rate():
    captions = [" ".join(f"w{i}" for i in range(10))] * (MANY // 10)
    kept = drop_words(captions, probability=0.3, generator=seeded())
    counts = torch.tensor([[f"w{i}" in row.split(" ") for i in range(10)] for row in kept]).float()
    # 3 standard deviations of a share of MANY, and of MANY / 10, draws
    assert counts.mean().item() == pytest.approx(0.7, abs=3 * (0.21 / MANY) ** 0.5)
    assert counts.mean(dim=0).numpy() == pytest.approx(0.7, abs=4 * (0.21 / (MANY / 10)) ** 0.5)
    together = (counts[:, 0] * counts[:, 1]).mean().item()  # neighbours are independent
    assert together == pytest.approx(0.49, abs=4 * (0.25 / (MANY / 10)) ** 0.5)


def test_what_is_left_of_a_caption_keeps_its_order_and_its_spaces():
    captions = ["the quick  brown fox"] * 50
    for text in drop_words(captions, probability=0.5, generator=seeded()):
        words = ["the", "quick", "", "brown", "fox"]
        assert any(
            text == " ".join(word for word, keep in zip(words, kept, strict=True) if keep)
            for kept in product([True, False], repeat=5)
        )
    assert drop_words(captions, probability=1e-12, generator=seeded()) == captions


def test_ends_of_the_rate_of_words():
    captions = ["a dog", None, "", {"description": "rain", "sound_class": "weather"}]
    generator = seeded()
    assert drop_words(captions, probability=0, generator=generator) == captions
    assert torch.equal(generator.get_state(), seeded().get_state())  # nothing was drawn
    assert drop_words(captions, probability=1, generator=generator) == [
        *("", None, "", {"description": "", "sound_class": "weather"})
    ]


def test_attributes_are_dropped_on_their_own_at_their_rates():
    caption = {"description": "a dog", "sound_class": "animal", "place": "indoors"}
    rates = {"description": 0.2, "sound_class": 0.6}
    rows = drop_attributes([caption] * MANY, probabilities=rates, generator=seeded())
    there = torch.tensor([[name in row for name in caption] for row in rows]).float()
    assert there.mean(dim=0).numpy() == pytest.approx([0.8, 0.4, 1.0], abs=4 * 0.5 / MANY**0.5)
    both = (there[:, 0] * there[:, 1]).mean().item()
    assert both == pytest.approx(0.8 * 0.4, abs=4 * 0.5 / MANY**0.5)
    assert all(row.items() <= caption.items() for row in rows)


def test_a_whole_batch_loses_an_attribute_or_keeps_it():
    generator, seen = seeded(), []
    for _ in range(2000):
        rates = {"description": 0.25}
        kept = drop_attributes(["a", "b"], probabilities=rates, generator=generator, per_batch=True)
        assert kept in (["a", "b"], [None, None])
        seen.append(kept[0] is None)
    assert sum(seen) / 2000 == pytest.approx(0.25, abs=4 * (0.1875 / 2000) ** 0.5)


def test_the_order_of_rates_does_not_matter_and_zero_draws_nothing():
    rows = [{"a": "x", "b": "y"}] * 50
    one = drop_attributes(rows, probabilities={"a": 0.5, "b": 0.5}, generator=seeded())
    other = drop_attributes(rows, probabilities={"b": 0.5, "a": 0.5}, generator=seeded())
    assert one == other
    generator = seeded()
    assert drop_attributes(rows, probabilities={"a": 0.0}, generator=generator) == rows
    assert drop_attributes(rows, probabilities={}, generator=generator) == rows
    assert torch.equal(generator.get_state(), seeded().get_state())


def test_a_string_loses_its_description():
    rates = {"description": 1.0}
    rows = drop_attributes(
        ["rain", None, {"description": "a", "b": "c"}], probabilities=rates, generator=seeded()
    )
    assert rows == [None, None, {"b": "c"}]


@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan")])
def test_a_rate_is_a_chance(probability):
    with pytest.raises(ValueError, match=r"chance in \[0, 1\], got"):
        drop_words(["a"], probability=probability, generator=seeded())
    with pytest.raises(ValueError, match=r"chance in \[0, 1\], got"):
        drop_attributes(["a"], probabilities={"description": probability}, generator=seeded())


def test_what_is_dropped_is_a_function_of_the_step():
    captions = [" ".join(f"w{i}" for i in range(40)), {"description": "a b", "sound_class": "c"}]

    def dropped(**changes):
        place = {"seed": 1, "rank": 0, "epoch": 2, "batch": 3} | changes
        generator = batch_generator(**place)
        rows = drop_words(captions * 4, probability=0.5, generator=generator)
        return drop_attributes(rows, probabilities={"sound_class": 0.5}, generator=generator)

    torch.rand(3)  # the global stream has no say
    assert dropped() == dropped()
    for change in ({"seed": 2}, {"rank": 1}, {"epoch": 3}, {"batch": 4}):
        assert dropped(**change) != dropped()
    assert captions[1] == {"description": "a b", "sound_class": "c"}  # and was not touched
