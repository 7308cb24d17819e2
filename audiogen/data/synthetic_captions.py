"""Sentences for the procedural sounds: every attribute is said, no two phrasings are alike.

A quarter of the sentences of each sound is set aside for testing, chosen by a stable hash, so a
model that follows them has understood words and not memorized strings.
"""

from collections.abc import Mapping
from functools import cache
from itertools import product
from string import Formatter

from audiogen.data.synthetic import Sound
from audiogen.rng import derive_seed

HELD_OUT_SHARE = 0.25

Words = dict[str, tuple[str, ...]]  # per attribute value, the words for it

_LEVEL_WORDS: Words = {"soft": ("soft", "quiet", "faint"), "loud": ("loud", "powerful", "booming")}
_LEVEL_ADVERBS: Words = {"soft": ("softly", "quietly"), "loud": ("loudly", "at full volume")}
_COUNT_WORDS: Words = {"one": ("once", "a single time"), "two": ("twice", "two times"),
                "three": ("three times", "thrice")}  # fmt: skip
_PITCH_WORDS: Words = {"low": ("low", "deep"), "high": ("high", "high-pitched")}
_RATE_ADVERBS: Words = {"slow": ("slowly", "at a slow pace"), "fast": ("fast", "quickly")}
_RATE_WORDS: Words = {"slow": ("slow", "leisurely"), "fast": ("fast", "rapid")}

# Words that differ from the general ones above, by family and slot.
_OWN_WORDS: dict[tuple[str, str], Words] = {
    ("rain", "rate"): {"slow": ("sparse", "light"), "fast": ("dense", "heavy")},
    ("rain", "rately"): {"slow": ("in single drops", "lightly"), "fast": ("densely", "heavily")},
    ("wind", "pitch"): {"low": ("low", "deep"), "high": ("high", "whistling")},
    ("engine", "rate"): {"slow": ("slow", "puttering"), "fast": ("fast", "racing")},
    ("dog", "pitch"): {"low": ("big", "deep-voiced"), "high": ("small", "high-voiced")},
}

_TEMPLATES = {
    "rain": (
        "{level} {rate} rain falls",
        "{rate} rain, {level}, on the ground",
        "rain comes down {rately} and {levelly}",
        "drops of rain fall {rately}, a {level} sound",
    ),
    "wind": (
        "a {level} {pitch} wind blows",
        "wind blows {levelly} with a {pitch} tone",
        "gusts of {pitch} wind, {level}",
        "the {pitch} howl of a {level} wind",
    ),
    "siren": (
        "a {level} siren wails {rately}",
        "a {rate} {level} siren",
        "a siren rises and falls {rately}, sounding {levelly}",
        "an emergency siren, {rate} and {level}",
    ),
    "bell": (
        "a {pitch} bell rings {count}, {levelly}",
        "a {level} {pitch} bell rings {count}",
        "a {pitch} bell is struck {count} and rings {levelly}",
        "someone rings a {pitch} {level} bell {count}",
    ),
    "engine": (
        "a {level} engine runs {rately}",
        "a {rate} engine hums {levelly}",
        "the {level} sound of a {rate} motor engine",
        "an engine turns over {rately}, {level}",
    ),
    "footsteps": (
        "{level} footsteps, {rate}",
        "a person walks {rately} with {level} footsteps",
        "{rate} footsteps are heard {levelly}",
        "footsteps go by {rately} and {levelly}",
    ),
    "dog": (
        "a {pitch} dog barks {count}, {levelly}",
        "a {pitch} dog gives a {level} bark {count}",
        "{level} barking of a {pitch} dog, {count}",
        "a {pitch} dog barks {levelly} {count}",
    ),
    "bird": (
        "a {pitch} {level} bird chirps {rately}",
        "a bird with a {pitch} voice chirps {rately} and {levelly}",
        "{rate} {level} chirps of a {pitch} bird",
        "a {pitch} bird chirps {levelly}, {rate}",
    ),
    "clock": (
        "a {level} clock ticks {rately}",
        "a clock ticks {rately} and {levelly}",
        "the {rate} ticking of a {level} clock",
        "{rate} clock ticks, {level}",
    ),
    "thunder": (
        "{level} thunder claps {count}",
        "thunder rolls {levelly} {count}",
        "a storm thunders {count}, {levelly}",
        "{count} comes a {level} clap of thunder",
    ),
    "waves": (
        "{level} {rate} sea waves wash ashore",
        "sea waves break {rately} and {levelly}",
        "waves of the sea roll in {rately}, {level}",
        "the {rate} surf of {level} ocean waves",
    ),
    "alarm": (
        "a {pitch} alarm beeps {rately}, {levelly}",
        "a {level} alarm with a {pitch} tone beeps {rately}",
        "{rate} {pitch} beeps of a {level} alarm",
        "a {pitch} {level} alarm goes off with {rate} beeps",
    ),
}

_SLOTS: dict[str, tuple[str, Words]] = {
    "level": ("level", _LEVEL_WORDS),
    "levelly": ("level", _LEVEL_ADVERBS),
    "count": ("count", _COUNT_WORDS),
    "pitch": ("pitch", _PITCH_WORDS),
    "rate": ("rate", _RATE_WORDS),
    "rately": ("rate", _RATE_ADVERBS),
}


def captions(sound: Sound, *, held_out: bool) -> list[str]:
    """Return the sentences that describe a sound, in a fixed order.

    Args:
        sound: one of `audiogen.data.synthetic.all_sounds()`.
        held_out: the quarter kept for testing, or the rest. The two never share a sentence.
    """
    test, training = _divided(sound.family, tuple(sound.attributes.items()))
    return list(test if held_out else training)


@cache
def _divided(family: str, attributes: tuple[tuple[str, str], ...]) -> tuple[list[str], list[str]]:
    """The sentences for testing and those for training, each sorted."""
    values = dict(attributes)
    sentences = {s for template in _TEMPLATES[family] for s in _fill(template, family, values)}
    ranked = sorted(sentences, key=lambda sentence: (derive_seed(sentence), sentence))
    border = max(1, round(HELD_OUT_SHARE * len(ranked)))
    return sorted(ranked[:border]), sorted(ranked[border:])


def _fill(template: str, family: str, values: Mapping[str, str]) -> list[str]:
    """Every way to fill the slots of one template."""
    slots = [name for _, name, _, _ in Formatter().parse(template) if name]
    choices = []
    for slot in slots:
        attribute, general = _SLOTS[slot]
        words = _OWN_WORDS.get((family, slot), general)
        choices.append(words[values[attribute]])
    return [template.format(**dict(zip(slots, words, strict=True))) for words in product(*choices)]
