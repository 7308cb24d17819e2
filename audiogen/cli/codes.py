"""`audiogen encode` and `audiogen decode`: sound files <-> files of codes, of any length."""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from audiogen.audio import FORMATS
from audiogen.checkpoint import load_codec
from audiogen.cli.codes_file import CodesFile, codes_writer, open_codes
from audiogen.cli.device import chosen_device
from audiogen.codec.model import Codec
from audiogen.codec.streaming import can_stream, decode_long, encode_long, measure_scale
from audiogen.files import remove_unfinished
from audiogen.long_audio import LongAudio, Peaks, turned_down_writer

LARGEST_WAV = 2**32 - 2**16  # bytes: its header counts in 32 bits
CODES = (".safetensors",)


def run(args: argparse.Namespace) -> int:
    """Encode or decode; print the path of every result."""
    encoding = args.command == "encode"
    jobs = _jobs(args.input, args.out, suffixes=CODES if encoding else tuple(FORMATS))
    device = chosen_device(args.device)
    work = _encoder(args, device) if encoding else _decoder(args, device)
    for folder in {target.parent for _, target in jobs}:
        remove_unfinished(folder)  # of a run that was killed
    failed, notes = 0, {}
    for source, target in jobs:
        try:
            with torch.no_grad():
                notes[source] = work(source, target)
        except (ValueError, FileNotFoundError) as error:
            if len(jobs) == 1:
                raise
            failed += 1
            print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        else:
            print(target, flush=True)
    _tell(notes, len(jobs))
    if failed:
        raise ValueError(f"{failed} of {len(jobs)} files are not done: the lines above say why")
    return 0


def _tell(notes: Mapping[Path, str], files: int) -> None:
    """Say on one line of stderr what was done to how many of the files, if anything was."""
    counts = Counter(note for note in notes.values() if note)
    parts = [f"{count} of {files} files: {note}" for note, count in counts.most_common()]
    if parts and files == 1:
        parts = [f"{source}: {note}" for source, note in notes.items()]
    if parts:
        print("; ".join(parts), file=sys.stderr)


def _jobs(
    sources: Sequence[Path], out: Path, *, suffixes: Sequence[str]
) -> list[tuple[Path, Path]]:
    """Pair every input with its output: ``out``, or a file of the same stem in that folder."""
    there = next((path for path in out.absolute().parents if path.exists()), None)
    if there is not None and not there.is_dir():
        raise ValueError(f"{there} is a file, not a folder: give another --out")
    if len(sources) == 1 and not out.is_dir():
        if out.suffix.lower() not in suffixes:
            raise ValueError(
                f"--out must end in {', '.join(suffixes)}, or be a folder that is there; got {out}"
            )
        return [(sources[0], out)]
    if out.is_file() or (out.suffix.lower() in suffixes and not out.is_dir()):
        raise ValueError(f"--out must be a folder for {len(sources)} files, got {out}")
    twice = [stem for stem, count in Counter(s.stem for s in sources).items() if count > 1]
    if twice:
        raise ValueError(f"several files would become {twice[0]}{suffixes[0]}: encode them apart")
    return [(source, out / f"{source.stem}{suffixes[0]}") for source in sources]


def _encoder(args: argparse.Namespace, device: torch.device) -> Callable[[Path, Path], str]:
    codec = load_codec(args.model, device=device, fast=args.fast)
    if args.codebooks is not None:
        codec.set_num_codebooks(args.codebooks)
    facts = {
        "version": "1",
        "codec_hash": codec.fingerprint(),
        "model": str(Path(args.model).absolute() if Path(args.model).exists() else args.model),
        "sample_rate": str(codec.sample_rate),
        "frame_rate": str(codec.frame_rate),
    }

    def encode(source: Path, target: Path) -> str:
        sound = LongAudio.open(source, sample_rate=codec.sample_rate, channels=codec.channels)
        peaks = Peaks()

        def pieces(verb: str) -> Iterator[Tensor]:
            with _bar(f"{verb} {source.name}", sound.num_samples / codec.sample_rate) as bar:
                for block in sound.blocks(peaks=peaks):
                    yield block[None].to(device)
                    bar.update(block.shape[1] / codec.sample_rate)

        scale = measure_scale(pieces("measuring")) if codec.renormalize else None
        with codes_writer(
            target,
            num_codebooks=codec.num_codebooks,
            num_frames=-(-sound.num_samples // codec.hop_length),
            metadata=facts | {"samples": str(sound.num_samples)},
            scale=scale,
        ) as write:
            for codes in _encoded(codec, pieces("encoding"), scale):
                write(codes)
        if peaks.cancel:
            print(f"warning: {source}: {_silenced(peaks)}", file=sys.stderr)
        return _changes(sound)

    return encode


def _encoded(codec: Codec, pieces: Iterable[Tensor], scale: Tensor | None) -> Iterator[Tensor]:
    if can_stream(codec):
        return encode_long(codec, pieces, scale=scale)
    return iter([codec.encode(torch.cat(list(pieces), dim=-1))[0]])


def _silenced(peaks: Peaks) -> str:
    return (
        f"its channels cancel: they peak at {peaks.channels:.3g}, and mixed to one at "
        f"{peaks.mixed:.3g}, which is near silence. Turn one channel over, or encode one alone"
    )


def _changes(sound: LongAudio) -> str:
    """Say what was done to a file that is not as the codec wants it."""
    changes = []
    if sound.info.sample_rate != sound.sample_rate:
        changes.append(f"resampled from {sound.info.sample_rate} Hz to {sound.sample_rate} Hz")
    if sound.info.channels != sound.channels:
        verb = "mixed" if sound.channels == 1 else "repeated"
        changes.append(f"{sound.info.channels} channel(s) {verb} to {sound.channels}")
    return ", ".join(changes)


def _decoder(args: argparse.Namespace, device: torch.device) -> Callable[[Path, Path], str]:
    codecs: dict[str, tuple[Codec, str]] = {}  # the last one, with its fingerprint

    def decode(source: Path, target: Path) -> str:
        codes = open_codes(source)
        model = args.model or codes.metadata["model"]
        if model not in codecs:
            codecs.clear()
            codec = load_codec(model, device=device, fast=args.fast)
            codecs[model] = (codec, codec.fingerprint())
        codec, fingerprint = codecs[model]
        _check_fit(codes, codec, fingerprint, model, target)
        left = codes.samples
        with (
            turned_down_writer(target, codec.sample_rate, codec.channels) as write,
            _bar(f"decoding {source.name}", left / codec.sample_rate) as bar,
        ):
            for piece in _decoded(codec, codes, device):
                write(piece[0, :, :left].cpu())
                left = max(0, left - piece.shape[-1])
                bar.update(piece.shape[-1] / codec.sample_rate)
        return ""

    return decode


def _decoded(codec: Codec, codes: CodesFile, device: torch.device) -> Iterator[Tensor]:
    scale = None if codes.scale is None else codes.scale.to(device)
    pieces = (piece.to(device) for piece in codes.pieces())
    try:
        if can_stream(codec):
            yield from decode_long(codec, pieces, scale=scale)
        else:
            yield codec.decode(torch.cat(list(pieces), dim=-1), scale)
    except ValueError as error:
        raise ValueError(f"{codes.path}: {error}") from error


def _check_fit(codes: CodesFile, codec: Codec, fingerprint: str, model: str, target: Path) -> None:
    """Refuse codes of another codec, damaged ones, and sounds too long for their file."""
    if fingerprint != codes.metadata["codec_hash"]:
        raise ValueError(
            f"{codes.path} was encoded by codec {codes.metadata['codec_hash'][:12]}, "
            f"{model} holds {fingerprint[:12]}: pass the --model it was encoded with"
        )
    if codes.shape[-1] != -(-codes.samples // codec.hop_length):
        raise ValueError(
            f"{codes.path} is damaged: its {codes.shape[-1]} frames of {codec.hop_length} samples "
            f"do not fit {codes.samples} samples; encode the sound again"
        )
    if target.suffix.lower() == ".wav" and 2 * codec.channels * codes.samples > LARGEST_WAV:
        raise ValueError(f"{codes.path} is too long for a .wav file: let --out end in .w64")


def _bar(what: str, seconds: float) -> "tqdm[Any]":
    """A bar of seconds of sound with the time left, for people who wait longer than a second."""
    form = "{desc}: {percentage:3.0f}% |{bar}| {n:.0f}/{total:.0f} s, {remaining} left"
    return tqdm(
        total=seconds,
        desc=what,
        bar_format=form,
        delay=1,
        leave=False,
        disable=not sys.stderr.isatty(),
        file=sys.stderr,
    )
