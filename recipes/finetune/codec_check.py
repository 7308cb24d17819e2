"""Can the model's codec say these sounds at all? It is asked first, as nothing later can mend it.

    python -m recipes.finetune.codec_check --codec MODEL --manifest DATA/manifest.jsonl --out OUT

Does what recipes.codec_16khz.health does (the page OUT/health.html has the sounds beside what comes
back of them), and says in a few lines what was found.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from audiogen.data.manifest import SPLITS, read_manifest
from recipes.codec_16khz import health
from recipes.command import Parser, exit_code

LOUD_NOISE = 0.0  # dB of SI-SDR: what comes back is half error


def summary(found: Mapping[str, Any]) -> Iterator[str]:
    """Say what a health.json means for fine-tuning, a line each."""
    scores, sounds = found["scores"], found["sounds"]
    ratio = "no" if scores["si_sdr"] is None else f"{scores['si_sdr']:.1f} dB of"
    yield (
        f"codec: {sounds['n']} held-out clips come back with {ratio} SI-SDR and a mel distance of "
        f"{scores['mel_distance']:.2f}: the most that a language model on its codes can reach"
    )
    for alarm in found["alarms"]:
        yield f"codec, {alarm['degree']}: {alarm['text']}"
    if scores["si_sdr"] is not None and scores["si_sdr"] < LOUD_NOISE:
        yield (
            "codec: below 0 dB the wave that comes back is more error than sound; noises may "
            "still sound right. Listen before you go on: a codec of sounds like yours "
            "(recipes/codec_16khz), and a model of its codes, would be the cure"
        )


def check_captions(manifest: Path) -> None:
    """Refuse sounds that nothing is said of, before hours are spent on them.

    Raises:
        ValueError: if a split has no captioned clip.
    """
    health.check_manifest(manifest)
    captioned = Counter(clip.split for clip in read_manifest(manifest) if clip.captions)
    missing = [split for split in SPLITS if not captioned[split]]
    if missing:
        raise ValueError(
            f"{manifest}: no clip of {' and '.join(missing)} has a caption, and the model learns "
            "from captions: put a .txt beside each sound, a captions.csv into the folder, or words "
            "into the names; for every split there have to be some, so give more sounds if few"
        )


def main(argv: list[str] | None = None) -> int:
    """Judge the codec, say what was found; return the exit code."""
    parser = Parser(
        prog="python -m recipes.finetune.codec_check",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--codec", required=True, help="folder of the model")
    parser.add_argument("--manifest", type=Path, required=True, help="the sounds")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    args = parser.parse_args(argv)
    try:
        check_captions(args.manifest)
    except (ValueError, OSError) as error:
        return exit_code(error)
    words = ["--codec", args.codec, "--manifest", str(args.manifest), "--out", str(args.out)]
    code = health.main(words)
    if code == 0:
        found = json.loads((args.out / "health.json").read_text(encoding="utf-8"))
        for line in summary(found):
            print(line, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
