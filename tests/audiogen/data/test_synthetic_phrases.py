"""Sentences as people type them: they say what they claim to say, and testing has its own."""

from collections import Counter
from itertools import islice

import numpy as np
import pytest

from audiogen.data.synthetic import FAMILIES, LEVELS, all_sounds
from audiogen.data.synthetic_captions import captions
from audiogen.data.synthetic_phrases import (
    draw_phrase,
    is_held_out,
    noise_word,
    vocabulary,
)
from audiogen.data.synthetic_words import ADJECTIVES, ADVERBS, LEXICON, NUMBERS
from audiogen.text.hashed import split_words

SOUNDS = all_sounds()


def drawn(number, *, held_out=False, seed=0):
    """(sound, phrase) pairs, every sound in turn."""
    rng = np.random.default_rng(seed)
    for i in range(number):
        sound = SOUNDS[i % len(SOUNDS)]
        yield sound, draw_phrase(sound, rng=rng, held_out=held_out)


def words_for(sound, name, value):
    """Everything that may say a value of an attribute."""
    lexicon = LEXICON[sound.family]
    tables = [ADJECTIVES, ADVERBS, {"count": NUMBERS}, lexicon.adjectives, lexicon.adverbs]
    said = [word for table in tables for word in table.get(name, {}).get(value, ())]
    told = [word.lstrip("+") for word in lexicon.telling.get((name, value), ())]
    # Its article may be apart from a name, with adjectives between.
    return said + [word.removeprefix("a ").removeprefix("an ") for word in told]


def test_every_family_has_words():
    assert LEXICON.keys() == FAMILIES.keys()
    assert all(lexicon.names and lexicon.does and lexicon.alone for lexicon in LEXICON.values())
    for family, lexicon in LEXICON.items():
        assert any(" " not in doing for doing in lexicon.doing), family
        assert bool(lexicon.events) == ("count" in FAMILIES[family][1]), family


def test_what_is_said_stands_in_the_sentence():
    for sound, phrase in drawn(3000):
        assert phrase.said <= set(sound.attributes)
        for name in phrase.said:
            words = words_for(sound, name, sound.attributes[name])
            assert any(word in phrase.text for word in words), (phrase.text, name)


def test_some_sentences_say_everything_some_nothing():
    shares = Counter(len(phrase.said) / len(sound.attributes) for sound, phrase in drawn(3000))
    assert 0.35 < shares[1.0] / 3000 < 0.75
    assert 0.1 < shares[0.0] / 3000 < 0.3
    assert sum(shares[key] for key in shares if 0 < key < 1) > 300


def test_sentences_for_testing_say_everything_and_never_train():
    testing = {phrase.text for _, phrase in drawn(600, held_out=True)}
    assert all(p.said == frozenset(s.attributes) for s, p in drawn(200, held_out=True))
    training = {phrase.text for _, phrase in drawn(6000, seed=1)}
    demo = {text for sound in SOUNDS for text in captions(sound, held_out=True)}
    assert len(testing) > 500
    assert not testing & training
    assert not demo & training
    assert all(map(is_held_out, demo))
    assert all(map(is_held_out, testing))


def test_the_same_generator_draws_the_same():
    assert list(islice(drawn(50, seed=3), 50)) == list(drawn(50, seed=3))
    assert list(drawn(50, seed=3)) != list(drawn(50, seed=4))


def test_articles_fit_and_slots_are_filled():
    for _, phrase in drawn(4000):
        text = f" {phrase.text} "
        assert not set("{}+") & set(text)
        assert "  " not in text, phrase.text
        # "a unhurried" would be wrong; "an hour" does not occur.
        assert not any(f" a {vowel}" in text for vowel in "aeiou"), phrase.text
        assert not any(f" an {letter}" in text for letter in "bcdfghjklmnpqrstvwz"), phrase.text


def test_the_vocabulary_is_what_is_said_and_no_more():
    said = {word for _, phrase in drawn(12_000) for word in split_words(phrase.text)}
    demo = {w for s in SOUNDS for text in captions(s, held_out=False) for w in split_words(text)}
    assert said | demo <= vocabulary()
    assert len(vocabulary() - said - demo) < 8, vocabulary() - said - demo
    assert {"bell", "woof", "thunder", "tin", "roof", "3", "thrice"} <= vocabulary()


def test_words_that_mean_nothing_are_letters_and_not_in_the_vocabulary():
    rng = np.random.default_rng(0)
    words = {noise_word(rng) for _ in range(500)}
    assert len(words) > 490
    assert all(3 <= len(word) <= 8 and word.isalpha() and word.islower() for word in words)
    assert len(words & vocabulary()) < 3


@pytest.mark.parametrize("level", LEVELS)
def test_every_value_of_every_attribute_has_several_words(level):
    for sound in SOUNDS:
        if sound.attributes["level"] == level:
            for name, value in sound.attributes.items():
                assert len(set(words_for(sound, name, value))) >= 3, (sound, name)
