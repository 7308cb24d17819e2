"""Does a language model use its captions? Held-out clips say it, and it is written as JSON.

    python -m recipes.audiogen_cpu.judge --model RUN/model --tokens RUN/tokens --out RUN/judged.json

Cross-entropy of the codes of every clip of a split, in nats per code, with the clip's caption, with
none, and with captions of other classes; the differences come with a 95 % interval by resampling
clips. Any model folder will do, with codes of its own codec.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from audiogen.checkpoint import load_model
from audiogen.data.manifest import SPLITS
from audiogen.data.shards import TokenError, read_header
from audiogen.files import replacing
from audiogen.model_folder.layout import model_hash, read_config
from evaluation.interval import clip_interval
from evaluation.protocol import Bootstrap
from recipes.audiogen_cpu.held_out import NONE, OWN, SHUFFLED, Costs, Floats, measure, read_held_out
from recipes.command import Parser, exit_code

FORMAT = 1  # of the file; another one is measured again
INTERVAL = Bootstrap(resamples=10_000, confidence=0.95, seed=0)


def gain(differences: Floats) -> dict[str, Any]:
    """Return the mean of float [clips], its interval by resampling them, and how many gained.

    The ends are None with too few clips for an interval.
    """
    interval = clip_interval(
        len(differences),
        lambda chosen: float(differences[chosen].mean()),
        settings=INTERVAL,
        method="percentile",
    )
    low, high = interval or (None, None)
    return {
        "nats": float(differences.mean()),
        "low": low,
        "high": high,
        "n": len(differences),
        "better": int((differences > 0).sum()),
    }


def record(costs: Costs) -> dict[str, Any]:
    """Return what was measured as plain values."""
    own = costs.of(OWN)
    gains = {name: costs.of(name) - own for name in (NONE, SHUFFLED)}
    groups = sorted({clip.group for clip in costs.clips})
    return {
        "n": len(costs.clips),
        "nats": {name: float(costs.of(name).mean()) for name in costs.codebooks},
        "gains": {name: gain(values) for name, values in gains.items()},
        "codebooks": [
            {
                "nats": {name: float(v[:, k].mean()) for name, v in costs.codebooks.items()},
                "perplexity": float(np.exp(costs.codebooks[OWN][:, k].mean())),
                "gains": {
                    name: gain((costs.codebooks[name] - costs.codebooks[OWN])[:, k])
                    for name in gains
                },
            }
            for k in range(costs.codebooks[OWN].shape[1])
        ],
        "frames": {name: _means(costs.frames[name] - costs.frames[OWN]) for name in gains},
        "groups": [_group(costs, gains, name) for name in groups],
        "clips": [
            asdict(clip) | {name: float(costs.of(name)[i]) for name in costs.codebooks}
            for i, clip in enumerate(costs.clips)
        ],
    }


def _means(values: Floats) -> list[float | None]:
    """Means over clips of [clips, T]; None where no clip reaches."""
    known = ~np.isnan(values)
    return [
        float(column[here].mean()) if here.any() else None
        for column, here in zip(values.T, known.T, strict=True)
    ]


def _group(costs: Costs, gains: Mapping[str, Floats], name: str) -> dict[str, Any]:
    members = [i for i, clip in enumerate(costs.clips) if clip.group == name]
    return {
        "name": name,
        "n": len(members),
        "nats": float(costs.of(OWN)[members].mean()),
        "gains": {key: float(values[members].mean()) for key, values in gains.items()},
    }


def inputs_of(
    model: Path, tokens: Path, *, split: str, limit: int | None, seed: int
) -> dict[str, Any]:
    """What a result is made from, so that a second start knows whether it still holds.

    Raises:
        TokenError: if the codes are of another codec than the model's.
    """
    config, header = read_config(model), read_header(tokens)
    if header["codec_hash"] != config["codec_hash"]:
        raise TokenError(
            f"{tokens}: its codes are of codec {header['codec_hash'][:12]}, the model's codec is "
            f"{config['codec_hash'][:12]}: encode the sounds again with the model's codec"
        )
    return {
        "format": FORMAT,
        "model": model_hash(config),
        "codec": header["codec_hash"],
        "manifest": header.get("manifest_hash"),
        "segment_duration": header.get("segment_duration"),
        "split": split,
        "limit": limit,
        "seed": seed,
    }


def is_done(out: Path, inputs: Mapping[str, Any]) -> bool:
    """Whether a file holds what was measured from these inputs."""
    try:
        found = json.loads(out.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("inputs") == inputs


def main(argv: list[str] | None = None) -> int:
    """Measure, write, print the path; return the exit code."""
    parser = Parser(
        prog="python -m recipes.audiogen_cpu.judge",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", type=Path, required=True, help="folder of a whole model")
    parser.add_argument("--tokens", type=Path, required=True, help="folder of codes")
    parser.add_argument("--split", choices=SPLITS, default="test", help="which of them")
    parser.add_argument("--limit", type=int, default=None, help="only so many rows of codes")
    parser.add_argument("--seed", type=int, default=2036, help="of the captions of others")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    args = parser.parse_args(argv)
    try:
        inputs = inputs_of(
            args.model, args.tokens, split=args.split, limit=args.limit, seed=args.seed
        )
        if not is_done(args.out, inputs):
            model = load_model(args.model)
            held_out = read_held_out(args.tokens, args.split, limit=args.limit)
            found = record(measure(model.lm, model.text, held_out, seed=args.seed)) | {
                "codebook_size": model.lm.codebook_size,
                "frame_rate": model.codec.frame_rate,
                "seconds": float(held_out.mask[:, 0].sum()) / model.codec.frame_rate,
                "sources": list(held_out.sources),
                "licences": list(held_out.licences),
            }
            with replacing(args.out) as path:
                text = json.dumps(found | {"inputs": inputs}, indent=1, allow_nan=False)
                path.write_text(text + "\n", encoding="utf-8")
    except (ValueError, OSError) as error:
        return exit_code(error)
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
