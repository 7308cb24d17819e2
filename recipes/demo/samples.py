"""Sounds to judge: reference, codec round trip, generated with and without guidance.

    python -m recipes.demo.samples --manifest RUN/data/manifest.jsonl --model RUN/model --out OUT

Every captioned test clip gives one file of the same name in each folder. A clip's sounds depend on
its own seed alone, so a killed run goes on with the files that are missing.
"""

import json
import sys
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from audiogen import AudioGen, write_audio
from audiogen.audio import read_clip
from audiogen.data.manifest import Clip, read_manifest
from audiogen.files import replacing
from audiogen.model_folder.layout import model_hash, read_config
from audiogen.rng import derive_seed
from recipes.command import Parser, exit_code

GUIDANCE = {"generated": 3.0, "unguided": 1.0}
TOP_K = 64  # half of the demo codec's codes
FOLDERS = ("reference", "roundtrip", *GUIDANCE)
BATCH = 32


def clips_to_judge(manifest: Path, *, limit: int | None = None) -> list[Clip]:
    """Return the test clips that have a caption, in the manifest's order."""
    clips = [c for c in read_manifest(manifest) if c.split == "test" and c.captions]
    if not clips:
        raise ValueError(f"{manifest}: no clip of the test split has a caption, nothing to compare")
    return clips[:limit]


def read_beginning(clip: Clip, *, duration: float, sample_rate: int) -> Tensor:
    """Read the first `duration` seconds of a clip, float32 [T], silence after its end."""
    seconds = min(duration, clip.duration)
    waveform = read_clip(
        clip.path, start=clip.start, duration=seconds, sample_rate=sample_rate, channels=1
    )
    samples = round(duration * sample_rate)
    return torch.nn.functional.pad(waveform[0], (0, samples))[:samples]


@torch.inference_mode()
def render(
    model: AudioGen, clips: list[Clip], *, duration: float, seed: int, top_k: int = TOP_K
) -> dict[str, Tensor]:
    """Make every kind of sound for the clips, float [B, C, T] by folder name."""
    read = [
        read_beginning(clip, duration=duration, sample_rate=model.sample_rate) for clip in clips
    ]
    reference = torch.stack(read)[:, None]
    codes, scale = model.codec.encode(reference)
    sounds = {
        "reference": reference,
        "roundtrip": model.codec.decode(codes, scale)[..., : reference.shape[-1]],
    }
    captions = [clip.captions[0] for clip in clips]
    seeds = [derive_seed(seed, clip.id) for clip in clips]
    for folder, guidance in GUIDANCE.items():
        sounds[folder] = model.generate(
            captions, duration=duration, seed=seeds, guidance_scale=guidance, top_k=top_k
        )
    return sounds


def make_samples(
    model: AudioGen,
    clips: list[Clip],
    out: Path,
    *,
    duration: float,
    seed: int,
    top_k: int = TOP_K,
) -> None:
    """Write the sounds of every batch of clips that is not whole yet."""
    for start in tqdm(range(0, len(clips), BATCH), desc="samples", unit="batch", file=sys.stderr):
        batch = clips[start : start + BATCH]
        paths = {f: [out / f / f"{clip.id}.wav" for clip in batch] for f in FOLDERS}
        if all(path.exists() for folder in paths.values() for path in folder):
            continue
        sounds = render(model, batch, duration=duration, seed=seed, top_k=top_k)
        for folder, waveforms in sounds.items():
            for path, waveform in zip(paths[folder], waveforms, strict=True):
                write_audio(path, waveform, model.sample_rate, clipping="clamp")


def claim(out: Path, made_with: dict[str, object]) -> None:
    """Mark the folder as one model's; refuse one that holds the sounds of another."""
    record = out / "made_with.json"
    text = json.dumps(made_with, sort_keys=True) + "\n"
    if not record.exists():
        with replacing(record) as path:
            path.write_text(text, encoding="utf-8")
    elif record.read_text("utf-8") != text:
        raise ValueError(
            f"{out} holds sounds of another model or other settings ({record.name} says which): "
            "delete it or choose another run folder"
        )


def main(argv: list[str] | None = None) -> int:
    """Load the model, write the samples, print their folder."""
    parser = Parser(prog="recipes.demo.samples")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--duration", type=float, default=2.0, help="seconds of every sound")
    parser.add_argument("--limit", type=int, default=None, help="only so many clips")
    parser.add_argument("--top-k", type=int, default=TOP_K, help="codes to draw from")
    parser.add_argument("--seed", type=int, default=2036)
    args = parser.parse_args(argv)
    try:
        clips = clips_to_judge(args.manifest, limit=args.limit)
        model_id = model_hash(read_config(args.model))
        model = AudioGen.from_pretrained(args.model)
        made_with = {"model": model_id, "duration": args.duration, "seed": args.seed}
        claim(args.out, made_with | ({} if args.top_k == TOP_K else {"top_k": args.top_k}))
        settings = {"duration": args.duration, "seed": args.seed, "top_k": args.top_k}
        make_samples(model, clips, args.out, **settings)
    except (ValueError, OSError) as error:
        return exit_code(error)
    with replacing(args.out / "captions.jsonl") as path:
        rows = (
            {"file": f"{c.id}.wav", "caption": c.captions[0], "labels": dict(c.labels)}
            for c in clips
        )
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
