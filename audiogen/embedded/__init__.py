"""The model that comes with the package: small, offline, trained on procedural sounds alone.

`recipes/embedded` trains and measures it; what it reached stands in the card, `model/README.md`.
"""

from functools import cache
from pathlib import Path

from audiogen.text.hashed import split_words

NAME = "embedded"  # what it goes by where a folder or a hub id is expected
FOLDER = Path(__file__).parent / "model"
WORDS = "words.txt"  # of its captions, one per line
LARGEST = 8_000_000  # bytes of all its files
LARGE_MODEL = "facebook/audiogen-medium"


def is_there() -> bool:
    """Whether this installation has the model."""
    return (FOLDER / "config.json").is_file()


def about() -> str:
    """Say what the model is, what it knows, and how to get a large one; two lines."""
    return (
        "the embedded model knows rain, wind, sirens, bells, engines, footsteps, dogs, birds, "
        "clocks, thunder, waves and alarms, from procedural sounds; no speech, no music\n"
        f"for any sound: --model {LARGE_MODEL} (3.9 GB from the hub, CC-BY-NC-4.0), or train one: "
        "see recipes"
    )


def unknown_words(prompt: str) -> list[str]:
    """Return the words of a prompt that no caption of the training had, each once, in order.

    >>> unknown_words("a bell rings, a xylophone rings")
    ['xylophone']
    """
    return [word for word in dict.fromkeys(split_words(prompt)) if word not in known_words()]


@cache
def known_words() -> frozenset[str]:
    """Return the words of the captions that the model was trained on; none if it is not there."""
    path = FOLDER / WORDS
    return frozenset(path.read_text("utf-8").split()) if path.is_file() else frozenset()
