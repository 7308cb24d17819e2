"""Other words for procedural sounds.

    python -m recipes.embedded.captions --manifest DATA/manifest.jsonl

Writes a second manifest beside the first, of the same clips. Training clips keep their sentences
and get those of `audiogen.data.synthetic_phrases`, in some of which stands a word that means
nothing. Of the clips for validation and testing, every other dozen gets a sentence of that kind;
it says every attribute, and no training clip has it. Sounds do not change, so a codec is trained
before anybody has thought of words. The sentences of a clip depend on (seed, id) alone.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.random import Generator

from audiogen.data.manifest import Clip, read_manifest, write_manifest
from audiogen.data.synthetic import FAMILIES, Sound
from audiogen.data.synthetic_phrases import draw_phrase, noise_word
from audiogen.rng import derive_seed
from recipes.command import Parser, exit_code

NAME = "captioned.jsonl"
PHRASES = 12  # of a training clip
NOISE = 0.25  # share of them with a word that means nothing


def recaption(clips: list[Clip], *, phrases: int, seed: int) -> list[Clip]:
    """Return the clips with other captions, in their order.

    Raises:
        ValueError: if a clip is not of `recipes.datasets.synthetic`.
    """
    place = {"train": 0, "valid": 0, "test": 0}
    captioned = []
    for clip in clips:
        rng = np.random.default_rng(derive_seed(seed, "captions", clip.id))
        sound = _sound(clip)
        if clip.split == "train":
            drawn = [_with_noise(draw_phrase(sound, rng=rng).text, rng) for _ in range(phrases)]
            captioned.append(replace(clip, captions=(*clip.captions, *drawn)))
        elif place[clip.split] // len(FAMILIES) % 2:
            text = draw_phrase(sound, rng=rng, held_out=True).text
            captioned.append(replace(clip, captions=(text,)))
        else:
            captioned.append(clip)
        place[clip.split] += 1
    return captioned


def _sound(clip: Clip) -> Sound:
    attributes = {name: value for name, value in clip.labels.items() if name != "family"}
    family = clip.labels.get("family")
    if family not in FAMILIES:
        raise ValueError(
            f"{clip.id} is no procedural sound (family {family!r}): give the manifest of "
            "recipes.datasets.synthetic"
        )
    return Sound(family=family, attributes=attributes)


def _with_noise(text: str, rng: Generator) -> str:
    if rng.uniform() >= NOISE:
        return text
    words = text.split()
    words.insert(int(rng.integers(len(words) + 1)), noise_word(rng))
    return " ".join(words)


def main(argv: list[str] | None = None) -> int:
    """Read, write, print the new manifest's path."""
    parser = Parser(
        prog="python -m recipes.embedded.captions",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--phrases", type=int, default=PHRASES, help="more per training clip")
    parser.add_argument("--seed", type=int, default=2036)
    args = parser.parse_args(argv)
    try:
        clips = recaption(list(read_manifest(args.manifest)), phrases=args.phrases, seed=args.seed)
        print(write_manifest(args.manifest.with_name(NAME), clips))
    except (ValueError, OSError) as error:
        return exit_code(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
