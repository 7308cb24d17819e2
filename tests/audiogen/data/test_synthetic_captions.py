"""Captions say every attribute, and the sentences for testing are not those for training."""

import pytest

from audiogen.data.synthetic import all_sounds
from audiogen.data.synthetic_captions import captions


@pytest.mark.parametrize("sound", all_sounds(), ids=lambda s: "-".join(s.labels.values()))
def test_every_sound_has_sentences_for_training_and_for_testing(sound):
    assert len(captions(sound, held_out=False)) >= 4
    assert len(captions(sound, held_out=True)) >= 2


def test_no_sentence_describes_two_sounds_or_stands_on_both_sides():
    owners: dict[str, set[str]] = {}
    for sound in all_sounds():
        for held_out in (False, True):
            for sentence in captions(sound, held_out=held_out):
                owners.setdefault(sentence, set()).add(f"{sound.labels} {held_out}")
    shared = {sentence: names for sentence, names in owners.items() if len(names) > 1}
    assert not shared


def test_sentences_are_filled_and_read_as_english():
    for sound in all_sounds():
        for sentence in captions(sound, held_out=False) + captions(sound, held_out=True):
            assert not set("{}") & set(sentence)
            assert not any(f"a {vowel}" in f" {sentence}" for vowel in "aeio"), sentence


def test_a_change_of_one_attribute_changes_every_sentence():
    sounds = [s for s in all_sounds() if s.family == "bell"]
    for one in sounds:
        for other in sounds:
            if one is not other:
                assert not set(captions(one, held_out=True)) & set(captions(other, held_out=True))
