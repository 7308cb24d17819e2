"""Pairs of sounds in odd formats, for make_card_parts.py.

    python odd_sounds.py FOLDER    # the short ones of one side, for its golden numbers

Six rates by one, two and six channels, in 16-, 24- and 32-bit, float, FLAC and OGG, of 1.1 to 16 s;
the sides of a pair differ in rate and length. Float files go beyond full scale.
"""

import csv
import json
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import soundfile

RATES = (8000, 11025, 22050, 44100, 48000, 96000)
CHANNELS = (1, 2, 6)
FORMATS = (
    ("wav", "PCM_16"),
    ("wav", "PCM_24"),
    ("wav", "PCM_32"),
    ("wav", "FLOAT"),
    ("flac", "PCM_16"),
    ("ogg", "VORBIS"),
    ("flac", "PCM_24"),
)
SECONDS = (10.0, 1.1, 3.3, 10.0001, 9.99, 12.7, 1.7, 16.0)
SHORT = (1, 2, 6, 9, 10, 14, 17)  # whose references are of 1.1, 1.7 or 3.3 s
WORDS = 512  # of the tokenizer
CAPTIONS = ("a bell rings twice", "heavy rain falls on a tin roof near the sea", "dogs")


def sound(index: int, side: int) -> tuple[np.ndarray, int, str, str]:
    """Return a sound [T, channels], its rate, and the suffix and subtype of its file."""
    numbers = np.random.default_rng([index, side])
    rate, channels = list(product(RATES, CHANNELS))[(index + 7 * side) % 18]
    suffix, subtype = FORMATS[index % len(FORMATS)]
    seconds = SECONDS[(index + 3 * side) % len(SECONDS)]
    times = np.arange(round(seconds * rate)) / rate
    swell = 0.5 + 0.5 * np.sin(times * numbers.uniform(1, 4))
    tone = np.sin(2 * np.pi * times * np.exp(numbers.uniform(np.log(90), np.log(3500))))
    noise = numbers.standard_normal((len(times), channels))
    mixed = (0.3 * swell * tone)[:, None] * numbers.uniform(0.2, 1, channels)
    mixed += 0.05 * (1.2 - swell)[:, None] * noise + 0.01 * side
    gain = 4.0 if subtype == "FLOAT" else numbers.uniform(0.2, 1.5)
    mixed = gain * mixed
    return mixed if subtype == "FLOAT" else np.clip(mixed, -0.99, 0.99), rate, suffix, subtype


def write_side(folder: Path, side: int, pairs: Sequence[int]) -> None:
    """Write the references, side 0, or the generated sounds, side 1, of some pairs."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in pairs:
        samples, rate, suffix, subtype = sound(index, side)
        path = folder / f"{index:02d}.{suffix}"
        with soundfile.SoundFile(path, "w", rate, samples.shape[1], subtype) as file:
            for part in np.array_split(samples, 1 + len(samples) // rate):
                file.write(part)  # a second at a time: libvorbis takes no more at high rates


def write_sounds(folder: Path, pairs: Sequence[int] = range(12)) -> None:
    """Write the folders `reference` and `generated`, captions.csv, and first.csv."""
    for side, name in enumerate(("reference", "generated")):
        write_side(folder / name, side, pairs)
    for name, most in (("captions.csv", 2), ("first.csv", 1)):
        rows = [(f"{i:02d}", t) for i in pairs for t in CAPTIONS[i % 2 : i % 2 + 1 + i % most]]
        with (folder / name).open("w", newline="") as file:
            csv.writer(file).writerows([("name", "caption"), *rows])


def write_tokenizer(folder: Path) -> None:
    """Write a byte-level tokenizer of RoBERTa's kind: bytes, pairs of letters and its five words."""
    folder.mkdir(parents=True, exist_ok=True)
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    symbols = [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]
    space = chr(256 + others.index(32))
    letters = "etaoinsrhldcumfpgwybvk"
    pairs = [f"{space} {a}" for a in letters] + [f"{a} {b}" for a, b in product(letters, letters)]
    pairs = pairs[: WORDS - 5 - len(symbols)]
    words = ["<s>", "<pad>", "</s>", "<unk>", *symbols, *(p.replace(" ", "") for p in pairs)]
    vocabulary = {word: i for i, word in enumerate([*words, "<mask>"])}
    assert len(vocabulary) == WORDS
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *pairs, ""]))


if __name__ == "__main__":
    write_side(Path(sys.argv[1]), 0, SHORT)
