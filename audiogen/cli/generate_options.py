"""The options of `audiogen generate`, and what is wrong with them, seen without torch."""

import argparse
import math
import re
from collections.abc import Callable
from pathlib import Path

from audiogen.command import Parser, filled

FORMATS = ("wav", "flac", "ogg", "opus", "mp3")
MOST_AT_ONCE = 100_000  # sounds
BITS = {"wav": ("16", "24", "float"), "flac": ("16", "24")}
EXAMPLES = """examples:
  audiogen generate "a high bell rings three times"          the small model that is built in
  audiogen generate "rain" "a dog barks" --model FOLDER --duration 5 --variations 3
  audiogen generate --prompts clips.csv --model FOLDER --out sounds/ --format flac
  audiogen generate --prompts clips.csv --model FOLDER --shard 2/8      the second of 8 jobs
  audiogen generate "rain" --model FOLDER --continue start.wav --duration 8

The same command again goes on where it was stopped; beside one that still runs, the two share the
work. Each sound has a .json file beside it that says how it was made, and index.html in the folder
plays them all.
"""


def add_options(parser: Parser) -> None:
    """Add all but --model, --device and --fast, which other commands have too."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.usage = "audiogen generate PROMPT ... [--prompts FILE] [--model MODEL] [options]"
    parser.epilog = EXAMPLES
    _add_what(parser)
    how = parser.add_argument_group("how it is made")
    _add_sound(how)
    _add_draws(how)
    _add_means(how)
    _add_output(parser.add_argument_group("what is written"))


def check(args: argparse.Namespace) -> None:
    """Refuse options that contradict each other.

    Raises:
        ValueError: naming them.
        FileNotFoundError: if the sound to continue is not there.
    """
    greedy = args.greedy or args.temperature == 0
    if greedy and (args.variations > 1 or args.best_of > 1):
        many = "--variations" if args.variations > 1 else "--best-of"
        raise ValueError(
            f"{many} makes several sounds of a prompt, and --greedy or temperature 0 the same one "
            "each time: leave one of them out"
        )
    if args.scorer and args.best_of == 1:
        raise ValueError("--scorer chooses among several sounds: say of how many with --best-of 4")
    if args.loudness is not None and args.level not in ("none", "loudness"):
        raise ValueError(f"--loudness and --level {args.level} are two levels: give one of them")
    if args.bits != "16" and args.bits not in BITS.get(args.format, ()):
        fits = " or ".join(kind for kind, bits in BITS.items() if args.bits in bits)
        raise ValueError(f"--bits {args.bits} does not fit --format {args.format}: use {fits}")
    if args.prompt_audio and not args.prompt_audio.is_file():
        raise FileNotFoundError(f"--continue {args.prompt_audio}: there is no such sound file")


def _add_what(parser: Parser) -> None:
    parser.add_argument("texts", nargs="*", metavar="PROMPT", help="a sound in words")
    parser.add_argument(
        "--prompts",
        type=_path,
        metavar="FILE",
        help="csv, tsv or jsonl with a prompt (or caption) column and, if you like, id (or name), "
        "seed, item, duration and guidance_scale, which go before the options here; or txt with "
        "a prompt per line; - is stdin, known like any pipe by its first line",
    )
    parser.add_argument(
        "--shard",
        type=_shard,
        default=(1, 1),
        metavar="I/N",
        help="only every N-th sound from the I-th on, for N jobs on one folder (1/1)",
    )
    parser.add_argument(
        "--variations",
        type=_whole(1),
        default=1,
        metavar="N",
        help="sounds of each prompt; the second is what the next --seed gives (1)",
    )


def _add_sound(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--duration",
        type=_seconds,
        metavar="S",
        help="seconds, any number; as long as the model was trained on if left out",
    )
    group.add_argument("--seed", type=int, default=0, help="another seed, other sounds (0)")
    group.add_argument(
        "--item",
        type=_whole(0),
        default=0,
        metavar="I",
        help="draw as the prompt of this place, from 0, in a list does, to make it again (0)",
    )
    group.add_argument(
        "--continue",
        type=_path,
        dest="prompt_audio",
        metavar="FILE",
        help="sound file that every sound begins with; --duration includes it",
    )


def _add_draws(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--guidance-scale", type=_finite, default=3.0, help="how close to the words; 1 is off (3.0)"
    )
    group.add_argument(
        "--guidance-window",
        type=_window,
        metavar="A:B",
        help="guide from second A to B only, for example 0:2 (everywhere)",
    )
    group.add_argument("--temperature", type=_at_least_0, default=1.0, help="0 is greedy (1.0)")
    group.add_argument("--greedy", action="store_true", help="always the most likely code")
    group.add_argument("--top-k", type=_whole(0), default=250, help="0 keeps all codes (250)")
    group.add_argument("--top-p", type=_share, default=0.0, help="instead of top-k (0: off)")
    group.add_argument(
        "--best-of", type=_whole(1), default=1, metavar="N", help="make N, keep the best one (1)"
    )
    group.add_argument(
        "--scorer",
        help="what is best: likelihood, which needs no download (the default), or clap:FOLDER",
    )


def _add_means(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--two-step", action="store_true", help="guidance in half the memory, and less fast"
    )
    group.add_argument(
        "--batch-size",
        type=_whole(1, MOST_AT_ONCE),
        default=4,
        help="sounds made at once (4)",
        metavar="N",
    )
    group.add_argument(
        "--padding",
        choices=("own", "batch"),
        default="own",
        help="batch: captions padded to the longest of their --batch-size, as AudioCraft does; a "
        "sound then depends on its batch, which is made as a whole (own)",
    )
    group.add_argument(
        "--text-encoder",
        type=filled,
        help="folder or hub id of the T5 encoder, if not the one the model names",
    )
    group.add_argument(
        "--codec",
        type=filled,
        help="of a published language model whose codec is not beside it, that codec",
    )


def _add_output(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--out", type=_path, default=Path("sounds"), help="folder (sounds)")
    group.add_argument(
        "--format",
        choices=FORMATS,
        default="wav",
        help="of the files; mp3 has no tag for the licence: its comment and the .json say it (wav)",
    )
    group.add_argument(
        "--bits",
        choices=("16", "24", "float"),
        default="16",
        help="of a wav or flac file; float is every sample as it was made, wav only (16)",
    )
    group.add_argument(
        "--level",
        choices=("loudness", "peak", "rms", "clip", "none"),
        default="none",
        help="-14 LUFS with a soft limit, -1 dB peak, -18 dB RMS, cut off at -1 dB, or as made, "
        "turned down only where it would clip (none)",
    )
    group.add_argument(
        "--loudness",
        type=_lufs,
        metavar="LUFS",
        help="bring each sound to this loudness, for example -14 or -23; peaks bend only where "
        "they have to",
    )
    group.add_argument("--no-page", action="store_true", help="do not write index.html")


def _checked(
    kind: Callable[[str], float], fits: Callable[[float], bool], wanted: str
) -> Callable[[str], float]:
    def parse(words: str) -> float:
        try:
            value = kind(words)
        except (ValueError, OverflowError):
            value = math.nan
        if not fits(value):
            raise argparse.ArgumentTypeError(f"must be {wanted}, got {words!r:.40}")
        return value

    return parse


def _whole(least: int, most: float = math.inf) -> Callable[[str], float]:
    wanted = f"at least {least}" if most == math.inf else f"{least} to {most}"
    return _checked(int, lambda value: least <= value <= most, f"a whole number of {wanted}")


def _path(words: str) -> Path:
    return Path(filled(words))


_seconds = _checked(float, lambda v: math.isfinite(v) and v > 0, "more than 0 seconds")
_finite = _checked(float, math.isfinite, "a finite number")
_at_least_0 = _checked(float, lambda v: math.isfinite(v) and v >= 0, "a number of at least 0")
_share = _checked(float, lambda v: 0 <= v <= 1, "a share of 0 to 1")
_lufs = _checked(float, lambda v: -70 <= v <= 0, "-70 to 0 LUFS")


def _shard(words: str) -> tuple[int, int]:
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", words)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise argparse.ArgumentTypeError(f"must be like 1/8 up to 8/8, got {words!r:.40}")
    return int(found[1]), int(found[2])


def _window(words: str) -> tuple[float, float]:
    start, colon, end = words.partition(":")
    try:
        window = float(start or 0), float(end or "inf")
    except ValueError:
        window = math.nan, math.nan
    if not colon or not 0 <= window[0] < window[1]:
        raise argparse.ArgumentTypeError(
            f"must be two seconds like 0:2, from before to, got {words!r:.40}"
        )
    return window
