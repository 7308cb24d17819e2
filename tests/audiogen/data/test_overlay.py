"""The arithmetic of mixing: golden arrays of the reference, and closed forms."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from audiogen.data.overlay import (
    CEILING,
    at_level,
    is_clipped,
    join_captions,
    mix,
    mix_as_published,
    mix_pair,
    rms,
)

ARRAYS = np.load(Path(__file__).parents[2] / "golden" / "mixing.npz")  # golden/make_audio.py
GOLDEN = {name: torch.from_numpy(ARRAYS[name]) for name in ARRAYS.files}
EXACT = {"rtol": 0, "atol": 1e-6}
SNR_NAME = re.compile(r"snr_mixer_start(\d+)_snr(-?\d+)_lvl(-?\d+)")


def noise(samples, seed=0, scale=0.1):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(1, samples, generator=generator)


@pytest.mark.parametrize("start", [0, 300, 800])
def test_pairs_match_golden(start):
    for second, name in (("dst", "mix_pair"), ("dst_short", "mix_pair_short")):
        sound = mix_pair(GOLDEN["src"], GOLDEN[second], start=start)
        torch.testing.assert_close(sound, GOLDEN[f"{name}_start{start}"], **EXACT)


@pytest.mark.parametrize("name", [name for name in GOLDEN if SNR_NAME.fullmatch(name)])
def test_ratios_and_levels_match_golden(name):
    start, snr, level = map(int, SNR_NAME.fullmatch(name).groups())
    sound = mix_as_published(GOLDEN["src"], GOLDEN["dst"], snr_db=snr, start=start, level_db=level)
    torch.testing.assert_close(sound, GOLDEN[name], **EXACT)


@pytest.mark.parametrize(("second", "name"), [("dst", "clip"), ("dst_short", "shortnoise")])
def test_the_guard_against_clipping_matches_golden(second, name):
    expected = GOLDEN[f"snr_mixer_{name}"]
    sound = mix_as_published(GOLDEN["src"], GOLDEN[second], snr_db=3, start=100, level_db=6)
    torch.testing.assert_close(sound, expected, **EXACT)
    assert is_clipped(expected).any()  # it looks at the largest sample, and the least is larger


def test_parts_match_golden():
    levels = GOLDEN["src"].square().mean(dim=1).sqrt()
    torch.testing.assert_close(levels, GOLDEN["rms"], **EXACT)
    torch.testing.assert_close(at_level(GOLDEN["src"], -25), GOLDEN["normalized"], **EXACT)
    assert torch.equal(is_clipped(4 * GOLDEN["src"]), GOLDEN["is_clipped"])


def test_captions_match_golden():
    assert join_captions("a", "b") == "a b"
    assert join_captions("x", "x") == "x"
    assert join_captions(None, None) is None
    assert join_captions("x", None) == "x"
    assert join_captions("", "x") == "x"


def test_attributes_are_joined_one_by_one():
    one = {"description": "a dog", "kind": "animal", "place": None}
    two = {"description": "rain", "kind": "animal"}
    joined = {"description": "a dog rain", "kind": "animal", "place": None}
    assert join_captions(one, two) == joined
    assert join_captions(one, None) == one
    assert join_captions("rain", one)["description"] == "rain a dog"


@pytest.mark.parametrize("snr", [-5.0, 0.0, 3.3])
@pytest.mark.parametrize("start", [0, 1000])
def test_the_ratio_is_that_of_the_two_sounds(snr, start):
    """What the second sound added, over the first: known after undoing the final level."""
    first, second = noise(3000), noise(1500, seed=1, scale=3.0)
    sound = mix(first, second, snr_db=snr, start=start, level_db=None, max_samples=9999)
    untouched = slice(2600, 3000) if start == 0 else slice(0, 1000)
    gain = sound[:, untouched].norm() / first[:, untouched].norm()
    added = (sound / gain - first)[:, start : start + 1500]
    found = 20 * torch.log10(rms(first) / rms(added))
    assert found.item() == pytest.approx(snr, abs=1e-3)


def test_the_level_is_reached_or_kept():
    first, second = noise(3000), noise(3000, seed=1)
    sound = mix(first, second, snr_db=0, start=0, level_db=-20, max_samples=3000)
    assert 20 * torch.log10(rms(sound)).item() == pytest.approx(-20, abs=1e-4)
    sound = mix(first, second, snr_db=0, start=0, level_db=None, max_samples=3000)
    torch.testing.assert_close(rms(sound), rms(first), rtol=1e-5, atol=0)


def test_the_second_sound_lasts_to_its_end_or_that_of_the_segment():
    first, second = noise(1000), noise(800, seed=1)
    lengths = [
        mix(first, second, snr_db=0, start=start, level_db=-20, max_samples=1500).shape[1]
        for start in (0, 100, 500, 900)
    ]
    assert lengths == [1000, 1000, 1300, 1500]


def test_nothing_clips():
    first = torch.cat([0.1 * torch.ones(1, 100), -0.9 * torch.ones(1, 3)], dim=1)
    sound = mix(first, first.roll(50, dims=1), snr_db=0, start=0, level_db=0, max_samples=103)
    assert sound.abs().max().item() == pytest.approx(CEILING)


def test_opposites_give_silence_and_no_nan():
    first = noise(500)
    sound = mix(first, -first, snr_db=0, start=0, level_db=-20, max_samples=500)
    assert sound.abs().max() < 1e-4


def test_a_row_that_clips_below_only_stays_finite():
    """The published formula divides by its largest sample, 0."""
    first = torch.zeros(2, 500)
    first[0, :4] = -0.5
    first[1] = noise(500)[0]
    silence = torch.zeros(2, 500)
    sound = mix_as_published(first, silence, snr_db=0, start=0, level_db=0)
    assert bool(sound.isfinite().all())
    assert sound[0].min().item() == pytest.approx(-CEILING)
    alone = mix_as_published(first[1:], silence[1:], snr_db=0, start=0, level_db=0)
    assert torch.equal(sound[1:], alone)


def test_silence_gives_no_nan_in_the_reference_either():
    sound = mix_as_published(
        torch.zeros(2, 50), torch.zeros(2, 50), snr_db=0, start=3, level_db=-20
    )
    assert not sound.any()
