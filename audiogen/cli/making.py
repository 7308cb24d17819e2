"""The work of `audiogen generate`: a model, what it is to make, and the files of that."""

import argparse
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from torch import Tensor

from audiogen import embedded
from audiogen.audio import audio_info
from audiogen.checkpoint import find_folder, read_model_config
from audiogen.cli import NO_MODEL
from audiogen.cli.batches import Write, make_sounds
from audiogen.cli.device import chosen_device
from audiogen.cli.jobs import Job, plan, split_done
from audiogen.cli.padded import check_padded, whole_batches
from audiogen.cli.page import LivePage, write_page
from audiogen.cli.prompts import Prompt
from audiogen.cli.records import Writer
from audiogen.codec.settings import frame_rate_of
from audiogen.files import file_hash, remove_unfinished
from audiogen.generation.settings import Settings, count_frames, window_frames
from audiogen.lm.guidance import check_guidance
from audiogen.model_folder.layout import model_hash
from audiogen.model_folder.parts import place_of_text
from audiogen.pipeline import AudioGen

LARGEST_WAV = 2**32 - 2**16  # bytes: its header counts in 32 bits
SHOWN = 8  # words
LONG = 600.0  # seconds of a sound from which on it is told what it is made of
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
    if args.padding == "batch":
        check_padded(jobs)
    if args.prompt_audio:
        _check_start(args.prompt_audio, jobs, config)
    done, todo = split_done(jobs, args.out)
    if args.padding == "batch":
        done, todo = whole_batches(jobs, todo, args.batch_size)
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
        _tell(args, model, longest=max(job.settings["duration"] for job in todo))
        with _paged(args, jobs, writer) as write:
            make_sounds(model, todo, options, args, write)
    elif not args.no_page:
        write_page(args.out, [job.record.name for job in jobs])


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
    return options | ({"padding": "batch"} if args.padding == "batch" else {})


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
    count_frames(seconds, frame_rate_of(codec))
    rate, channels = codec["sample_rate"], codec["channels"]
    longest = LARGEST_WAV // (WIDTHS[args.bits] * rate * channels)
    if args.format == "wav" and seconds > longest:
        raise ValueError(
            f"duration of {seconds:g} s does not fit into a .wav file, which holds {longest} s "
            f"at {rate} Hz: take --format flac"
        )


def _check_start(path: Path, jobs: Sequence[Job], config: dict[str, Any]) -> None:
    """Refuse a sound to continue that leaves nothing to make, before the model is loaded."""
    seconds = audio_info(path).duration
    codec = config["codec"]
    samples_of_frame = math.prod(codec.get("ratios", ()))
    given = math.ceil(seconds * codec["sample_rate"] / samples_of_frame - 1e-6)
    for job in jobs:
        duration = job.settings["duration"]
        if given >= count_frames(duration, frame_rate_of(codec)):
            place = f"{job.prompt.place}: " if job.prompt.place else ""
            raise ValueError(
                f"{place}--continue {path} is {seconds:.4g} s: --duration, which includes it, must "
                f"be more than that; it is {duration:g} s"
            )


def _said(args: argparse.Namespace) -> dict[str, Any]:
    """Return what else decides what a file holds, where it is not as usual."""
    usual = {"fast": None, "level": "none", "loudness": None, "format": "wav", "bits": "16"}
    said = {name: getattr(args, name) for name in usual if getattr(args, name) != usual[name]}
    if args.prompt_audio:
        said["continues"] = file_hash(args.prompt_audio)
    if args.padding == "batch":
        said["batch_size"] = args.batch_size
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


def _tell(args: argparse.Namespace, model: AudioGen, *, longest: float) -> None:
    """Say what a user would wonder about: what is chosen by itself, and what takes longer."""
    print(f"on {model.device}: {model!r}" if args.debug else f"on {model.device}", file=sys.stderr)
    if args.best_of > 1:
        scorer = args.scorer or "likelihood"
        print(f"each sound is the best of {args.best_of} by {scorer}", file=sys.stderr)
    if longest > max(LONG, model.max_duration):
        window, stride = window_frames(
            max_duration=model.max_duration, extend_stride=None, frame_rate=model.frame_rate
        )
        count = 1 + math.ceil((longest * model.frame_rate - window) / stride)
        print(
            f"a sound of {longest:g} s is made of {count} windows of {model.max_duration:g} s, "
            "one after the other",
            file=sys.stderr,
        )


@contextmanager
def _paged(args: argparse.Namespace, jobs: Sequence[Job], writer: Writer) -> Iterator[Write]:
    """Yield what writes a sound, and the page now and then; at the end it is written once more."""
    asked = [job.record.name for job in jobs]
    live = LivePage(args.out, asked)

    def write(job: Job, sound: Tensor, extra: Mapping[str, Any]) -> None:
        writer(job, sound, extra)
        if not args.no_page:
            live.sound_made()

    try:
        yield write
    except BaseException:
        with suppress(OSError):  # of a disk that is full: the sounds have said so
            _last_page(live)
        raise
    _last_page(live)


def _last_page(live: LivePage) -> None:
    path = write_page(live.out, live.asked) if live.made else None
    if path is not None:
        print(f"listen: {path}", file=sys.stderr)
