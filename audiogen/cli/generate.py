"""`audiogen generate`: prompts -> sound files, each with a JSON file that says how it was made."""

import argparse
import hashlib
import json
import math
import re
import sys
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from audiogen.audio import audio_info, write_audio
from audiogen.checkpoint import find_folder, read_model_config
from audiogen.cli.device import chosen_device
from audiogen.cli.prompts import Prompt, gather_prompts
from audiogen.files import remove_unfinished, replacing
from audiogen.generation.settings import Settings, count_frames
from audiogen.model_folder.layout import model_hash
from audiogen.model_folder.parts import place_of_text
from audiogen.pipeline import AudioGen

LARGEST_WAV = 2**32 - 2**16  # bytes: its header counts in 32 bits
SLUG_LENGTH = 48  # characters of the prompt that a file name keeps


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One file to write."""

    prompt: Prompt
    path: Path  # of the sound
    identity: dict[str, Any]  # all that decides what the sound is

    @property
    def record(self) -> Path:
        """The JSON file beside the sound; it is written last and so says that both are whole."""
        return self.path.with_suffix(".json")


def run(args: argparse.Namespace) -> int:
    """Make what is not there yet; print the path of every sound."""
    prompts = gather_prompts(args.texts, args.prompts, seed=args.seed)
    if args.batch_size < 1:
        raise ValueError(f"--batch-size must be at least 1, got {args.batch_size}")
    _check_out(args.out)
    device = chosen_device(args.device)
    folder = find_folder(args.model)
    print(f"reading {args.model}", file=sys.stderr, flush=True)
    config = read_model_config(folder)
    settings = _settings(args, config)
    said = settings | ({"codec_fast": args.fast} if args.fast else {})
    said |= {"level": args.level} if args.level != "none" else {}
    said |= _places(args, folder)
    jobs = [_job(prompt, args.out, said, model_hash(config)) for prompt in prompts]
    done = [job for job in jobs if _is_done(job)]
    if done:
        print(*(job.path for job in done), sep="\n")
        print(f"{len(done)} of {len(jobs)} were there already", file=sys.stderr)
    finished = {job.path for job in done}
    todo = list({job.path: job for job in jobs if job.path not in finished}.values())
    if todo:
        model = AudioGen.from_pretrained(
            args.model,
            device=device,
            text_encoder=args.text_encoder,
            codec_fast=args.fast,
            codec=args.codec,
        )
        remove_unfinished(args.out)
        _make(model, todo, settings, args, licence=str(config["card"].get("licence")))
    return 0


def _places(args: argparse.Namespace, folder: Path) -> dict[str, str]:
    """Return the parts that are taken from elsewhere: whole paths of folders, or hub ids."""
    places = {}
    if args.text_encoder:
        places["text_encoder"] = place_of_text(args.text_encoder, folder, None)
    if args.codec:
        places["codec"] = args.codec
    found = {name: Path(place).expanduser() for name, place in places.items()}
    return {n: str(path.resolve()) if path.exists() else places[n] for n, path in found.items()}


def _check_out(out: Path) -> None:
    """Refuse a folder that cannot be made, before the work rather than after it."""
    found = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not found.is_dir():
        raise ValueError(f"--out {out}: {found} is a file: name a folder for the sounds")


def _settings(args: argparse.Namespace, config: dict[str, Any]) -> dict[str, Any]:
    """Return what decides the sounds, checked.

    Raises:
        ValueError: if it makes no sense, or the model cannot generate.
    """
    if "max_duration" not in config:
        raise ValueError(f"{args.model} is a codec, not a whole model: it cannot generate")
    duration = config["max_duration"] if args.duration is None else args.duration
    rate, channels = config["codec"]["sample_rate"], config["codec"]["channels"]
    longest = LARGEST_WAV // (2 * rate * channels)
    if duration > longest:
        raise ValueError(
            f"--duration of {duration:g} s does not fit into a .wav file, which holds {longest} s "
            f"at {rate} Hz"
        )
    settings = {
        "duration": duration,
        "guidance_scale": args.guidance_scale,
        "temperature": args.temperature,
        "top_k": args.top_k,
        "top_p": args.top_p,
    }
    Settings(**settings)  # checks them; from the configuration, as loading the model takes long
    ratios = config["codec"].get("ratios", [1])  # of a published codec known when it is loaded
    count_frames(duration, rate / math.prod(ratios))
    return settings


def _job(prompt: Prompt, out: Path, settings: dict[str, Any], model: str) -> Job:
    identity = {
        "prompt": prompt.text,
        "seed": prompt.seed,
        "item": prompt.item,
        "settings": settings,
        "model_hash": model,
    }
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]
    name = prompt.name or f"{slug(prompt.text)}_seed{prompt.seed}_{digest}"
    return Job(prompt=prompt, path=out / f"{name}.wav", identity=identity)


def slug(text: str) -> str:
    """Turn a prompt into lower-case ASCII words joined by hyphens, at most `SLUG_LENGTH` long.

    >>> slug("A dog barks, twice!")
    'a-dog-barks-twice'
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = "-".join(re.findall("[a-z0-9]+", plain))
    return words[:SLUG_LENGTH].strip("-") or "sound"


def _is_done(job: Job) -> bool:
    """Whether sound and record are there and whole.

    Raises:
        ValueError: if they are, but made in another way, which an id as a name can lead to.
    """
    if not (job.path.is_file() and job.record.is_file()):
        return False
    try:
        found = json.loads(job.record.read_text(encoding="utf-8"))
        whole = isinstance(found, dict) and audio_info(job.path).frames == found["samples"]
    except (ValueError, KeyError):
        return False
    if not whole:
        return False
    if any(found.get(key) != value for key, value in job.identity.items()):
        raise ValueError(
            f"{job.path} was made with another prompt, seed, model or settings: give another "
            "--out, or remove it"
        )
    return True


def _make(
    model: AudioGen,
    jobs: Sequence[Job],
    settings: dict[str, Any],
    args: argparse.Namespace,
    *,
    licence: str,
) -> None:
    frames = count_frames(settings["duration"], model.frame_rate)
    total = frames * len(jobs)
    with tqdm(total=total, unit="frame", file=sys.stderr, desc=f"{len(jobs)} sounds") as bar:
        for start in range(0, len(jobs), args.batch_size):
            batch = jobs[start : start + args.batch_size]
            sounds = model.generate(
                [job.prompt.text for job in batch],
                seeds=[(job.prompt.seed, job.prompt.item) for job in batch],
                progress=_advance(bar, start * frames, len(batch)),
                **settings,
            )
            for job, sound in zip(batch, sounds, strict=True):
                _write(job, sound, model.sample_rate, args, licence=licence)
                with tqdm.external_write_mode(file=sys.stdout):
                    print(job.path, flush=True)


def _advance(bar: "tqdm[Any]", base: int, items: int) -> Callable[[int, int], None]:
    def advance(done: int, _: int) -> None:
        bar.update(base + done * items - bar.n)

    return advance


def _write(
    job: Job, sound: Tensor, sample_rate: int, args: argparse.Namespace, *, licence: str
) -> None:
    # Turned down rather than cut off: a clipped peak is heard, a softer sound is not.
    write_audio(
        job.path,
        sound,
        sample_rate,
        clipping="rescale",
        strategy=args.level,
        loudness_compressor=True,
    )
    record = {
        **job.identity,
        "file": job.path.name,
        "model": args.model,
        "licence": licence,
        "sample_rate": sample_rate,
        "samples": sound.shape[-1],
        "peak_before_writing": round(float(sound.abs().max()), 4),
        "audiogen": version("audiogen"),
        "torch": torch.__version__,
    }
    with replacing(job.record) as temporary:
        text = json.dumps(record, indent=2, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")
