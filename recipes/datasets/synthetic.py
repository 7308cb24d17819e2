"""Procedural sounds -> manifest: python -m recipes.datasets.synthetic --out data/synthetic.

Twelve families (audiogen/data/synthetic.py), the same number of clips of each, as 16 kHz FLAC.
Training clips carry several sentences; validation and test clips carry one sentence each that no
training clip has. Clip i of a split depends on (seed, split, i) alone.
"""

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from audiogen.audio import remove_unfinished, write_audio
from audiogen.data.manifest import Clip, write_json_lines, write_manifest
from audiogen.data.synthetic import FAMILIES, SAMPLE_RATE, Sound, all_sounds, synthesize
from audiogen.data.synthetic_captions import captions
from audiogen.rng import derive_seed
from recipes.command import Parser, exit_code

CAPTIONS_PER_TRAINING_CLIP = 4


def prepare(out: Path, *, clips: dict[str, int], duration: float, seed: int) -> Path:
    """Write the clips of each split and their manifest; finished folders are left alone.

    Args:
        out: folder for manifest.jsonl and audio/.
        clips: how many clips per split, for example {"train": 2400, "test": 288}.
        duration: seconds of each clip.
        seed: the same seed gives the same folder, byte for byte.

    Raises:
        ValueError: if there is nothing to make, or the folder holds something else, such as sounds
            made with other settings.
    """
    if min(clips.values()) < 0 or not any(clips.values()):
        raise ValueError(f"expected a number of clips per split, some above 0, got {clips}")
    if not 1 <= duration < math.inf:
        raise ValueError(f"clips must last 1 s or more to hold counted events, got {duration}")
    manifest = out / "manifest.jsonl"
    _claim(out, {"clips": clips, "duration": duration, "seed": seed})
    if manifest.exists():
        return manifest
    (out / "audio").mkdir(exist_ok=True)
    remove_unfinished(out / "audio")
    todo = [(split, i) for split, number in clips.items() for i in range(number)]
    bar = tqdm(todo, desc="synthetic sounds", unit="clip", file=sys.stderr)
    write_manifest(manifest, [_make_clip(out, split, i, duration, seed) for split, i in bar])
    return manifest


def _claim(out: Path, settings: dict[str, Any]) -> None:
    """Write down what the sounds of a folder are made with; refuse one that holds others."""
    record = out / "synthetic.json"
    if record.exists():
        found = record.read_text("utf-8").strip()
        if found != json.dumps(settings):
            raise ValueError(
                f"{out} holds sounds made with {found}, not with {json.dumps(settings)}: "
                "choose another folder or delete this one"
            )
    elif (out / "manifest.jsonl").exists() or (out / "audio").exists():
        raise ValueError(f"{out}: has audio that this recipe did not make; choose another --out")
    else:
        write_json_lines(record, [settings])


def _make_clip(out: Path, split: str, index: int, duration: float, seed: int) -> Clip:
    rng = np.random.default_rng(derive_seed(seed, split, index))
    sound = _pick(index)
    name = f"{split}-{index:05d}-{sound.family}"
    path = out / "audio" / f"{name}.flac"
    waveform = synthesize(sound, duration=duration, rng=rng)
    sentences = captions(sound, held_out=split != "train")
    number = CAPTIONS_PER_TRAINING_CLIP if split == "train" else 1
    chosen = rng.choice(len(sentences), size=min(number, len(sentences)), replace=False)
    if not path.exists():
        write_audio(path, torch.from_numpy(waveform)[None], SAMPLE_RATE)
    return Clip(
        id=name,
        path=path,
        start=0.0,
        duration=duration,
        captions=tuple(sentences[i] for i in chosen),
        source="procedural",
        licence="CC0-1.0",
        split=split,
        labels=sound.labels,
    )


def _pick(index: int) -> Sound:
    """Families in turn, and within a family its combinations in turn: every split is balanced."""
    names = list(FAMILIES)
    variants = [s for s in all_sounds() if s.family == names[index % len(names)]]
    return variants[index // len(names) % len(variants)]


def main(argv: list[str] | None = None) -> int:
    """Parse, write, print the manifest's path."""
    parser = Parser(
        prog="python -m recipes.datasets.synthetic",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    for split, number in (("train", 2400), ("valid", 120), ("test", 288)):
        parser.add_argument(f"--{split}", type=int, default=number, help=f"{split} clips")
    parser.add_argument("--duration", type=float, default=2.0, help="seconds per clip")
    parser.add_argument("--seed", type=int, default=2036)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)  # the tensors are short: a second thread would only wait
    clips = {"train": args.train, "valid": args.valid, "test": args.test}
    try:
        print(prepare(args.out, clips=clips, duration=args.duration, seed=args.seed))
    except (ValueError, OSError) as error:
        return exit_code(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
