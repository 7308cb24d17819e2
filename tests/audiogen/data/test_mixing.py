import math

import pytest
import torch

from audiogen.data.mixing import Mixing, mixing_generator, other_items
from audiogen.data.overlay import mix_as_published

ALWAYS = {"probability": 1.0}


def batch_of(*lengths, size=400, captions=None, channels=1):
    generator = torch.Generator().manual_seed(3)
    waveform = 0.1 * torch.randn(len(lengths), channels, size, generator=generator)
    for row, length in zip(waveform, lengths, strict=True):
        row[:, length:] = 0
    return {
        "waveform": waveform,
        "num_samples": torch.tensor(lengths),
        "captions": captions or [f"sound {number}" for number in range(len(lengths))],
        "index": torch.arange(len(lengths)),
    }


def key(number=0):
    return mixing_generator(5, number)


def is_mixed(batch, mixed):
    return (batch["waveform"] != mixed["waveform"]).flatten(1).any(dim=1).tolist()


def test_every_item_has_its_own_partner_ratio_and_place():
    batch = batch_of(*[400] * 8)
    mixed = Mixing(**ALWAYS)(batch, key())
    assert all(is_mixed(batch, mixed))
    partners = [caption.split(" sound ") for caption in mixed["captions"]]
    assert [first for first, _ in partners] == batch["captions"]
    assert sorted(int(second) for _, second in partners) == list(range(8))
    levels = mixed["waveform"].square().mean(dim=(1, 2)).sqrt().log10() * 20
    assert levels.min() > -35.01
    assert levels.max() < -14.99
    assert len(set(levels.tolist())) == 8
    assert mixed["index"].tolist() == list(range(8))


def test_the_input_is_left_alone_and_the_same_key_gives_the_same():
    batch = batch_of(400, 300, 200)
    before = batch["waveform"].clone()
    one, two = (Mixing(**ALWAYS)(batch, key()) for _ in range(2))
    assert torch.equal(batch["waveform"], before)
    assert batch["captions"] == ["sound 0", "sound 1", "sound 2"]
    assert torch.equal(one["waveform"], two["waveform"])
    other = Mixing(**ALWAYS)(batch, key(3))
    assert not torch.equal(one["waveform"], other["waveform"])


def test_about_the_wanted_share_is_mixed():
    batch = batch_of(*[50] * 400, size=50)
    mixed = Mixing(probability=0.3)(batch, key())
    share = sum(is_mixed(batch, mixed)) / 400
    assert share == pytest.approx(0.3, abs=4 * math.sqrt(0.3 * 0.7 / 400))
    for item, was in enumerate(is_mixed(batch, mixed)):
        assert (mixed["captions"][item] != batch["captions"][item]) == was
    assert not any(is_mixed(batch, Mixing(probability=0.0)(batch, key())))


@pytest.mark.parametrize("count", [2, 3, 17])
def test_nothing_meets_itself_and_all_are_met_once(count):
    for number in range(30):
        partners = other_items(count, key(number))
        assert sorted(partners) == list(range(count))
        assert all(item != partner for item, partner in enumerate(partners))


def test_a_single_item_stays_as_it_is():
    batch = batch_of(400)
    mixed = Mixing(**ALWAYS)(batch, key())
    assert torch.equal(mixed["waveform"], batch["waveform"])
    assert mixed["captions"] == ["sound 0"]


def test_silence_is_neither_mixed_nor_turned_up():
    batch = batch_of(400, 400)
    batch["waveform"][1] = 1e-5
    mixed = Mixing(**ALWAYS)(batch, key())
    assert not any(is_mixed(batch, mixed))
    assert mixed["captions"] == ["sound 0", "sound 1"]
    batch["waveform"][0] = 0
    assert not Mixing(**ALWAYS)(batch, key())["waveform"].isnan().any()


def test_sounds_without_caption_or_samples():
    batch = batch_of(400, 400, captions=[None, "rain"])
    assert Mixing(**ALWAYS)(batch, key())["captions"] == ["rain", "rain"]
    batch = batch_of(400, 400, captions=[None, None])
    assert Mixing(**ALWAYS)(batch, key())["captions"] == [None, None]
    batch = batch_of(0, 400)
    assert not any(is_mixed(batch, Mixing(**ALWAYS)(batch, key())))


def test_short_sounds_become_as_long_as_their_mixture():
    """The padding stays zero, and the second sound begins within the first."""
    batch = batch_of(100, 120, size=400)
    for number in range(20):
        mixed = Mixing(**ALWAYS)(batch, key(number))
        for row, length in zip(mixed["waveform"], mixed["num_samples"], strict=True):
            assert 100 <= length <= 60 + 120
            assert not row[:, length:].any()
            assert row[:, length - 1].abs() > 0


def test_stereo_keeps_its_channels():
    mixed = Mixing(**ALWAYS)(batch_of(400, 400, channels=2), key())
    assert mixed["waveform"].shape == (2, 2, 400)
    assert mixed["waveform"].isfinite().all()


def test_published_batches_shrink_and_are_mixed_together_or_not_at_all():
    batch = batch_of(*[400] * 8)
    kinds = set()
    for number in range(40):
        mixed = Mixing(paper_exact=True)(batch, key(number))
        assert mixed["waveform"].shape == (4, 1, 400)
        assert len(mixed["captions"]) == len(mixed["num_samples"]) == 4
        chosen = mixed["index"].tolist()
        assert len(set(chosen)) == 4
        plain = (mixed["waveform"] == batch["waveform"][chosen]).flatten(1).all(dim=1)
        assert plain.all() or not plain.any()
        kinds.add(bool(plain.all()))
        if plain.all():
            assert mixed["captions"] == [batch["captions"][item] for item in chosen]
    assert kinds == {True, False}


def test_a_published_mixture_is_the_published_arithmetic_of_its_draws():
    """One ratio, start and level for all; items whose partner is themselves are found by search."""
    batch = batch_of(*[400] * 4)
    mixed = Mixing(paper_exact=True, probability=1.0, snr_db=(3, 3), level_db=(-20, -20))(
        batch, key()
    )
    first = mixed["index"]
    second = [
        batch["captions"].index(f"sound {caption.rsplit(' ', 1)[1]}")
        for caption in mixed["captions"]
    ]
    rows = batch["waveform"][:, 0]
    found = [
        start
        for start in range(201)
        if torch.allclose(
            mixed["waveform"][:, 0],
            mix_as_published(rows[first], rows[second], snr_db=3, start=start, level_db=-20),
            rtol=0,
            atol=1e-6,
        )
    ]
    assert len(found) == 1


def test_published_mixing_without_captions_and_with_nothing_kept():
    batch = batch_of(400, 400, captions=[None, None])
    assert Mixing(paper_exact=True, **ALWAYS)(batch, key())["captions"] == [None]
    untouched = Mixing(paper_exact=True, keep=0.0)(batch, key())
    assert torch.equal(untouched["waveform"], batch["waveform"])


@pytest.mark.parametrize(
    ("settings", "batch", "message"),
    [
        ({"probability": 1.5}, None, r"probability must be in \[0, 1\], got 1.5"),
        ({"min_overlap": -0.1}, None, r"min_overlap must be in \[0, 1\], got -0.1"),
        ({"snr_db": (5, -5)}, None, "snr_db must be the least and the greatest dB"),
        ({"level_db": (math.nan, 0)}, None, "level_db must be the least and the greatest dB"),
        ({"level_db": None, "paper_exact": True}, None, "level_db must be .* got None"),
        ({"paper_exact": True}, batch_of(400), "keep=0.5 of a batch of 1 leaves 0 items"),
        ({"paper_exact": True}, batch_of(400, 400, channels=2), "only one channel .* got 2"),
    ],
)
def test_refusals(settings, batch, message):
    with pytest.raises(ValueError, match=message):
        Mixing(**settings)(batch, key())
