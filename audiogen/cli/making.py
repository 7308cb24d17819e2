"""The work of `audiogen generate`: a model, what it is to make, and the files of that."""

import argparse
import hashlib
import math
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from audiogen import embedded
from audiogen.checkpoint import find_folder, read_model_config
from audiogen.cli import NO_MODEL
from audiogen.cli.batches import make_sounds
from audiogen.cli.device import chosen_device
from audiogen.cli.jobs import Job, plan, split_done
from audiogen.cli.page import write_page
from audiogen.cli.prompts import Prompt
from audiogen.cli.records import Writer
from audiogen.files import remove_unfinished
from audiogen.generation.settings import Settings, count_frames
from audiogen.lm.guidance import check_guidance
from audiogen.model_folder.layout import model_hash
from audiogen.model_folder.parts import place_of_text
from audiogen.pipeline import AudioGen

LARGEST_WAV = 2**32 - 2**16  # bytes: its header counts in 32 bits
SHOWN = 8  # words
WIDTHS = {"16": 2, "24": 3, "float": 4}  # bytes per sample


def make(args: argparse.Namespace, prompts: Sequence[Prompt]) -> None:
    """Make what is not there yet; print the path of every sound."""
    device = chosen_device(args.device)
    own = args.model in (None, embedded.NAME)
    source = _embedded(prompts) if own else args.model
    folder = find_folder(source)
    if not own:
        print(f"reading {source}", file=sys.stderr, flush=True)
    config = read_model_config(folder)
    options = _options(args, config)
    said = options | _said(args) | _places(args, folder)
    found = model_hash(config)
    jobs = plan(prompts, args.out, said, model_hash=found, suffix=f".{args.format}")
    _check_rows(jobs, args, config)
    done, todo = split_done(jobs, args.out)
    if done:
        print(*(job.path for job in done), sep="\n")
        print(f"{len(done)} of {len(jobs)} were there already", file=sys.stderr)
    if todo:
        model = AudioGen.from_pretrained(
            source,
            device=device,
            text_encoder=args.text_encoder,
            codec_fast=args.fast,
            lm_fast=args.fast,
            codec=args.codec,
        )
        remove_unfinished(args.out)
        licence = str(config["card"].get("licence"))
        writer = Writer(args=args, sample_rate=model.sample_rate, licence=licence)
        _tell(args, model)
        try:
            make_sounds(model, todo, options, args, writer)
        except BaseException:
            with suppress(OSError):  # of a disk that is full: the sounds have said so
                _page(args, written=True)
            raise
        _page(args, written=True)
    else:
        _page(args, written=False)


def _embedded(prompts: Sequence[Prompt]) -> str:
    """Return the name of the model that is built in, and say what it is and does not know.

    Raises:
        ValueError: if this installation has none.
    """
    if not embedded.is_there():
        raise ValueError(NO_MODEL)
    print(embedded.about(), file=sys.stderr)
    unknown = list(dict.fromkeys(w for p in prompts for w in embedded.unknown_words(p.text)))
    if unknown:
        more = f" and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
        print(f"words it does not know: {', '.join(unknown[:SHOWN])}{more}", file=sys.stderr)
    return embedded.NAME


def _options(args: argparse.Namespace, config: dict[str, Any]) -> dict[str, Any]:
    """Return what the pipeline is told, checked; what is as usual and new is left out.

    Raises:
        ValueError: if it makes no sense, or the model cannot generate.
    """
    if "max_duration" not in config:
        raise ValueError(f"{args.model} is a codec, not a whole model: it cannot generate")
    options = {
        "duration": config["max_duration"] if args.duration is None else args.duration,
        "guidance_scale": args.guidance_scale,
        "temperature": args.temperature,
        "top_k": args.top_k,
        "top_p": args.top_p,
    }
    if args.best_of > 1:
        options |= {"best_of": args.best_of, "scorer": args.scorer or "likelihood"}
    for name in ("greedy", "guidance_window", "two_step"):
        if value := getattr(args, name):
            options[name] = value
    Settings(**options)  # checks them; from the configuration, as loading the model takes long
    return options


def _check_rows(jobs: Sequence[Job], args: argparse.Namespace, config: dict[str, Any]) -> None:
    """Refuse lengths and guidance that cannot be, with file and line where a row asks for them."""
    kinds = {(job.settings["duration"], job.settings["guidance_scale"]): job for job in jobs[::-1]}
    for (seconds, scale), job in reversed(kinds.items()):
        try:
            check_guidance(scale)
            _check_duration(seconds, args, config)
        except ValueError as error:
            if job.prompt.place is None:
                raise
            raise ValueError(f"{job.prompt.place}: {error}") from error


def _check_duration(seconds: float, args: argparse.Namespace, config: dict[str, Any]) -> None:
    codec = config["codec"]
    ratios = codec.get("ratios", [1])  # of a published codec known when it is loaded
    count_frames(seconds, codec["sample_rate"] / math.prod(ratios))
    rate, channels = codec["sample_rate"], codec["channels"]
    longest = LARGEST_WAV // (WIDTHS[args.bits] * rate * channels)
    if args.format == "wav" and seconds > longest:
        raise ValueError(
            f"duration of {seconds:g} s does not fit into a .wav file, which holds {longest} s "
            f"at {rate} Hz: take --format flac"
        )


def _said(args: argparse.Namespace) -> dict[str, Any]:
    """Return what else decides what a file holds, where it is not as usual."""
    usual = {"fast": None, "level": "none", "loudness": None, "format": "wav", "bits": "16"}
    said = {name: getattr(args, name) for name in usual if getattr(args, name) != usual[name]}
    if args.prompt_audio:
        with args.prompt_audio.open("rb") as file:
            said["continues"] = hashlib.file_digest(file, "sha256").hexdigest()
    if args.guidance_window:
        said["guidance_window"] = list(args.guidance_window)  # as JSON gives it back
    return said


def _places(args: argparse.Namespace, folder: Path) -> dict[str, str]:
    """Return the parts that are taken from elsewhere: whole paths of folders, or hub ids."""
    places = {}
    if args.text_encoder:
        places["text_encoder"] = place_of_text(args.text_encoder, folder, None)
    if args.codec:
        places["codec"] = args.codec
    found = {name: Path(place).expanduser() for name, place in places.items()}
    return {n: str(path.resolve()) if path.exists() else places[n] for n, path in found.items()}


def _tell(args: argparse.Namespace, model: AudioGen) -> None:
    """Say what a user would wonder about: what is chosen by itself, and what takes longer."""
    print(f"on {model.device}: {model!r}" if args.debug else f"on {model.device}", file=sys.stderr)
    if args.best_of > 1:
        scorer = args.scorer or "likelihood"
        print(f"each sound is the best of {args.best_of} by {scorer}", file=sys.stderr)


def _page(args: argparse.Namespace, *, written: bool) -> None:
    if args.no_page or not args.out.is_dir():
        return
    path = write_page(args.out)
    if path is not None and written:
        print(f"listen: {path}", file=sys.stderr)
