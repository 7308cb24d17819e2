"""Sentences as people type them for the procedural sounds: many words, some attributes left out.

`synthetic_captions` says every attribute in four sentences per family; these say all, some or
none, in other words and orders. A quarter of those that say everything is set aside for testing,
and so is what that module sets aside.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from numpy.random import Generator

from audiogen.data.synthetic import Sound, all_sounds
from audiogen.data.synthetic_captions import captions
from audiogen.data.synthetic_words import ADJECTIVES, ADVERBS, LEXICON, NUMBERS, Lexicon, Values
from audiogen.rng import derive_seed

FRAMES = (  # n a name with its article, N one without, V its verb, G, or in a word g, what it does
    "{n} {V}{A}", "{n} {V}{A}", "{N} {G}{A}", "the sound of {n} {G}{A}", "{n} is heard {G}{A}",
    "{g} of {n}{A}", "{n}, {G}{A}", "{N}{A}", "{n}{A}", "i hear {n} {G}{A}",
    "a recording of {n} that {V}{A}", "{n} {V}{A} outside", "{g} {N}{A}",
)  # fmt: skip
SAY_ALL, SAY_NONE, SAY_LITTLE = 0.45, 0.1, 0.1  # shares of the sentences; the others say some
HELD_OUT_EVERY = 4  # one of so many complete sentences is for testing
PLURAL = {"is heard": "are heard", "goes by": "go by", "passes": "pass", "washes ashore":
          "wash ashore", "crashes on the beach": "crash on the beach", "that is": "that are",
          "rushes by": "rush by", "is struck": "are struck"}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Phrase:
    """A sentence, and the attributes that it says."""

    text: str
    said: frozenset[str]


def draw_phrase(sound: Sound, *, rng: Generator, held_out: bool = False) -> Phrase:
    """Draw a sentence for a sound.

    Args:
        sound: one of `audiogen.data.synthetic.all_sounds()`.
        rng: what it is drawn from.
        held_out: one that no training clip has, which says every attribute; or one for training.
    """
    while True:
        said = set(sound.attributes) if held_out else _choose_said(sound, rng)
        text = _compose(sound, said, rng)
        complete = len(said) == len(sound.attributes)
        if complete and is_held_out(text) == held_out:
            return Phrase(text=text, said=frozenset(said))
        if not complete and text not in _kept_back():
            return Phrase(text=text, said=frozenset(said))


def is_held_out(text: str) -> bool:
    """Tell whether a sentence that says every attribute is for testing."""
    return text in _kept_back() or derive_seed(text) % HELD_OUT_EVERY == 0


def noise_word(rng: Generator) -> str:
    """Draw letters that mean nothing: a model that met many of them passes over unknown words."""
    return "".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), size=int(rng.integers(3, 9))))


@cache
def vocabulary() -> frozenset[str]:
    """Return every word that a sentence of this module or of `synthetic_captions` can have."""
    texts = [text for sound in all_sounds() for text in captions(sound, held_out=False)]
    texts += _texts(ADJECTIVES) + _texts(ADVERBS) + _texts({"count": NUMBERS}) + ["an"]
    texts += [re.sub("{.}", " ", frame) for frame in FRAMES]
    for lexicon in LEXICON.values():
        told = [text for texts in lexicon.telling.values() for text in texts]
        texts += [*lexicon.names, *lexicon.does, *lexicon.doing, *told, *lexicon.alone]
        texts += [text for events in lexicon.events for text in events]
        texts += _texts(lexicon.adjectives) + _texts(lexicon.adverbs)
        if any(name.startswith("+") for name in lexicon.names):
            texts += ["are", *map(_agree, lexicon.does)]
    return frozenset(word for text in texts for word in re.findall(r"\w+", text.lower()))


def _texts(table: Mapping[str, Values]) -> list[str]:
    return [text for values in table.values() for texts in values.values() for text in texts]


@cache
def _kept_back() -> frozenset[str]:
    return frozenset(text for sound in all_sounds() for text in captions(sound, held_out=True))


def _choose_said(sound: Sound, rng: Generator) -> set[str]:
    names = list(sound.attributes)
    draw = rng.uniform()
    if draw < SAY_ALL:
        return set(names)
    if draw < SAY_ALL + SAY_NONE + SAY_LITTLE:
        return set()
    number = int(rng.integers(1, len(names))) if len(names) > 1 else 1
    return set(rng.choice(names, size=number, replace=False).tolist())


def _compose(sound: Sound, said: set[str], rng: Generator) -> str:
    lexicon = LEXICON[sound.family]
    if not said and rng.uniform() < SAY_LITTLE / (SAY_NONE + SAY_LITTLE):
        return _pick(lexicon.alone, rng)
    values = {name: sound.attributes[name] for name in sound.attributes if name in said}
    if "count" in values and rng.uniform() < 0.35:
        return _counted(lexicon, values, rng)
    name = _name(lexicon, values, rng)  # takes out of values what it says
    adjectives, adverbs = _split(lexicon, values, rng)
    plural = name.startswith("+")
    article, noun = _article(name.lstrip("+"))
    noun = " ".join([*adjectives, noun])
    frame = _pick(FRAMES, rng)
    verb = _pick(lexicon.does, rng)
    text = frame.format(
        n=f"{_fitting(article, noun)} {noun}".strip(),
        N=noun,
        V=_agree(verb) if plural else verb,
        G=_pick(lexicon.doing, rng),
        g=_pick(tuple(doing for doing in lexicon.doing if " " not in doing), rng),
        A=_adverbial(adverbs, rng),
    )
    return text.replace("is heard", "are heard") if plural else text


def _name(lexicon: Lexicon, values: dict[str, str], rng: Generator) -> str:
    told = [key for key in lexicon.telling if values.get(key[0]) == key[1]]
    if told and rng.uniform() < 0.3:
        key = told[0]
        del values[key[0]]
        return _pick(lexicon.telling[key], rng)
    return _pick(lexicon.names, rng)


def _counted(lexicon: Lexicon, values: Mapping[str, str], rng: Generator) -> str:
    """Two loud barks of a dog."""
    count = values["count"]
    rest = {name: value for name, value in values.items() if name != "count"}
    adjectives = [_adjective(lexicon, name, value, rng) for name, value in rest.items()]
    rng.shuffle(adjectives)
    one, several = lexicon.events[int(rng.integers(len(lexicon.events)))]
    return " ".join([_pick(NUMBERS[count], rng), *adjectives, one if count == "one" else several])


def _split(
    lexicon: Lexicon, values: Mapping[str, str], rng: Generator
) -> tuple[list[str], list[str]]:
    """Say each attribute before the name or behind the verb."""
    adjectives, adverbs = [], []
    for name, value in values.items():
        behind = {**ADVERBS, **lexicon.adverbs}.get(name)
        if behind and (name == "count" or rng.uniform() < 0.5):
            adverbs.append(_pick(behind[value], rng))
        else:
            adjectives.append(_adjective(lexicon, name, value, rng))
    rng.shuffle(adjectives)
    rng.shuffle(adverbs)
    return adjectives, adverbs


def _adjective(lexicon: Lexicon, name: str, value: str, rng: Generator) -> str:
    table: dict[str, Values] = {**ADJECTIVES, **lexicon.adjectives}
    return _pick(table[name][value], rng)


def _adverbial(adverbs: list[str], rng: Generator) -> str:
    if not adverbs:
        return ""
    return _pick((" ", ", "), rng) + _pick((" and ", ", ", " "), rng).join(adverbs)


def _article(name: str) -> tuple[str, str]:
    first, _, rest = name.partition(" ")
    return (first, rest) if first in ("a", "an", "the") else ("", name)


def _fitting(article: str, noun: str) -> str:
    if article in ("a", "an"):
        return "an" if noun[0] in "aeiou" else "a"
    return article


def _agree(verb: str) -> str:
    """The verb of a plural: "rings" -> "ring"."""
    if verb in PLURAL:
        return PLURAL[verb]
    first, _, rest = verb.partition(" ")
    return f"{first.removesuffix('s')} {rest}".strip()


def _pick(choices: tuple[str, ...], rng: Generator) -> str:
    return choices[int(rng.integers(len(choices)))]
