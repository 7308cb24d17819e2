"""Many varied short crops of every training clip, for where clips are few.

    python -m recipes.audiogen_cpu.crops DATA/manifest.jsonl

Writes DATA/crops.jsonl, a manifest beside the one it is made from, and DATA/crops/. Every crop
begins at a random place, plays up to a sixth faster or slower, and is up to 6 dB louder or quieter:
that keeps what its caption says and changes nearly every code, so that a model has less to learn by
heart. Crops of silence are left out. Clips of the other splits stay as they are: encoding cuts them
into consecutive rows.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.signal import resample
from torch import Tensor
from tqdm import tqdm

from audiogen.audio import read_audio, write_audio
from audiogen.data.manifest import Clip, manifest_hash, read_manifest, write_manifest
from audiogen.files import replacing
from audiogen.rng import derive_seed
from recipes.command import Parser, exit_code

SILENT = 3e-4  # RMS of a crop below which it teaches nothing, full scale 1
SPEED = 1.16  # at most so much faster or slower
GAIN = 6.0  # dB, at most so much louder or quieter
NAME = "crops"


def crops(
    waveform: Tensor, *, samples: int, count: int, rng: np.random.Generator
) -> Iterator[Tensor]:
    """Yield varied crops float32 [1, samples] of float [1, T]; fewer where they would be silent.

    A waveform that is too short for the slowest of them is followed by silence.
    """
    longest = int(samples * SPEED) + 1
    sound = torch.nn.functional.pad(waveform, (0, max(0, longest - waveform.shape[1])))[0]
    for _ in range(count):
        length = round(samples * SPEED ** rng.uniform(-1, 1))
        start = rng.integers(sound.shape[0] - length + 1)
        factor = 10 ** (rng.uniform(-GAIN, GAIN) / 20)
        piece = sound[start : start + length]
        if piece.square().mean().sqrt() >= SILENT:
            played = torch.from_numpy(resample(piece.double().numpy(), samples)).float()
            yield (played * factor)[None]


def write_crops(manifest: Path, *, seconds: float, count: int, seed: int) -> Path:
    """Write the crops and their manifest beside ``manifest``; return the path of theirs.

    What a clip gives depends on (seed, id) alone. Crops that were made so already stay.

    Raises:
        ValueError: if a number is not positive, or nothing but silence is left to train on.
    """
    if seconds <= 0 or count < 1:
        raise ValueError(f"expected seconds over 0 and a count from 1, got {seconds} and {count}")
    out, record = manifest.with_name(f"{NAME}.jsonl"), manifest.parent / NAME / "made_with.json"
    made_with = {"manifest": manifest_hash(manifest), "seconds": seconds, "count": count}
    text = json.dumps(made_with | {"seed": seed, "speed": SPEED, "gain": GAIN}) + "\n"
    if out.is_file() and record.is_file() and record.read_text(encoding="utf-8") == text:
        return out
    clips: list[Clip] = []
    for clip in tqdm(list(read_manifest(manifest)), desc="crops", unit="clip", file=sys.stderr):
        if clip.split != "train":
            clips.append(clip)
            continue
        rng = np.random.default_rng(derive_seed(seed, clip.id))
        waveform, rate = read_audio(clip.path, start=clip.start, duration=clip.duration, channels=1)
        made = crops(waveform, samples=round(seconds * rate), count=count, rng=rng)
        for number, sound in enumerate(made):
            path = manifest.parent / NAME / f"{clip.id}.{number}.flac"
            write_audio(path, sound, rate, clipping="clamp")
            clips.append(
                replace(
                    clip, id=f"{clip.id}.{number}", path=path, start=0.0, duration=float(seconds)
                )
            )
    if not any(clip.split == "train" for clip in clips):
        raise ValueError(f"{manifest}: its training clips are all silent, or there are none")
    write_manifest(out, clips)
    with replacing(record) as path:
        path.write_text(text, encoding="utf-8")
    return out


def main(argv: list[str] | None = None) -> int:
    """Write the crops, print the path of their manifest; return the exit code."""
    parser = Parser(
        prog="python -m recipes.audiogen_cpu.crops",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a crop")
    parser.add_argument("--count", type=int, default=40, help="crops of a training clip")
    parser.add_argument("--seed", type=int, default=2036)
    args = parser.parse_args(argv)
    try:
        out = write_crops(args.manifest, seconds=args.seconds, count=args.count, seed=args.seed)
    except (ValueError, OSError) as error:
        return exit_code(error)
    print(out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
