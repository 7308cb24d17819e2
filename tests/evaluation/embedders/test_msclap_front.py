"""The front end of Microsoft's CLAP beside the package's own spectrograms, and its crops."""

import random

import numpy as np
import pytest
import torch

from evaluation.embedders.clap_front import FFT
from evaluation.embedders.msclap_front import CLIP, FRAMES, cut, mel_bank, prepare

from .msclap_parts import SEED, SOUNDS, read_golden, waveform


@pytest.fixture(scope="module")
def golden():
    return read_golden()


def test_filters_are_the_package_s(golden):
    theirs = torch.from_numpy(golden["melW"]).double()  # every eighth row
    torch.testing.assert_close(mel_bank()[::8], theirs, rtol=0, atol=1e-8)
    heard = torch.arange(513)[mel_bank().sum(dim=1) > 0] * 44100 / FFT
    assert 69 < heard.min() < 130
    assert 19000 < heard.max() < 19300  # not 8000, which its configuration says


@pytest.mark.parametrize("name", SOUNDS)
def test_spectrograms_are_the_package_s(golden, name):
    found = prepare(waveform(name), seed=SEED, bank=mel_bank())
    assert found.shape == (1, 1, FRAMES, 64)
    assert found.dtype == torch.float32
    theirs = torch.from_numpy(golden[f"mel__{name}"])  # every fortieth frame
    torch.testing.assert_close(found[0, 0, ::40], theirs, rtol=0, atol=2e-3)
    assert (found[0, 0, ::40] - theirs).abs().mean() < 1e-5


@pytest.mark.parametrize("samples", [1, 3, 100000, CLIP // 2, CLIP - 1, CLIP])
def test_a_sound_up_to_seven_seconds_is_repeated(samples):
    sound = torch.arange(1.0, samples + 1)
    expected = torch.arange(CLIP) % samples + 1
    assert torch.equal(cut(sound, seed=1), expected.float())


def places(sound, count):
    return [int(cut(sound, seed=seed)[0]) for seed in range(count)]


def test_a_longer_sound_is_cropped_at_a_place_of_its_own():
    sound = torch.arange(float(CLIP + 1000))
    starts = places(sound, 60)
    assert starts == places(sound.clone(), 60)
    assert len(set(starts)) > 50  # other seeds, other places
    assert max(starts) - min(starts) > 800
    assert np.mean(starts) == pytest.approx(500, abs=150)
    for seed in (0, SEED):
        piece = cut(sound, seed=seed)
        assert torch.equal(piece, sound[int(piece[0]) : int(piece[0]) + CLIP])
    other = sound.clone()
    other[-1] += 1
    assert places(other, 20) != starts[:20]


def test_the_last_place_is_never_drawn():
    assert places(torch.arange(float(CLIP + 1)), 20) == [0] * 20
    assert set(places(torch.arange(float(CLIP + 2)), 40)) == {0, 1}


def test_global_streams_come_out_as_they_went_in():
    def streams():
        return (
            torch.get_rng_state().tolist(),
            np.random.get_state()[1].tolist(),  # noqa: NPY002
            random.getstate(),
        )

    before = streams()
    prepare(torch.zeros(CLIP + 5), seed=0, bank=mel_bank())
    assert streams() == before


def test_silence_is_a_hundred_decibels_down():
    found = prepare(torch.zeros(10), seed=0, bank=mel_bank())
    torch.testing.assert_close(found, torch.full((1, 1, FRAMES, 64), -100.0))


@pytest.mark.parametrize(
    ("sound", "message"),
    [
        (torch.zeros(2, 5), r"expected a waveform \[T\], got \[2, 5\]"),
        (torch.zeros(0), "got one of 0 samples: leave it out"),
        (torch.tensor([0.0, float("nan")]), "samples that are not finite"),
    ],
)
def test_what_is_no_sound_is_refused(sound, message):
    with pytest.raises(ValueError, match=message):
        prepare(sound, seed=0, bank=mel_bank())
