"""Make sound from text, turn sound into codes and back, and look at models.

Results go to stdout, messages to stderr. Exit codes: 0 done, 2 your mistake (one line says what to
do), 1 anything else.
"""

import argparse
import os
import re
import sys
import traceback
from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

from audiogen import __version__
from audiogen.cli.generate_options import add_options
from audiogen.command import Parser, filled, is_callers_mistake, printable
from audiogen.files import full_disk

NO_MODEL = (
    "no model given: train one with `make demo` and pass --model runs/demo/model, or pass the "
    "folder or hub id of another"
)

FULL = "is the disk full?"
OPTION = re.compile(r"\b(by|leave|and) (text_encoder|codec)(?:=|(?= out\b| is\b))")


def main(argv: list[str] | None = None) -> int:
    """Parse, run, and return a process exit code."""
    try:
        args, unknown = _parser().parse_known_args(argv)
        if unknown:
            args.parser.error(_unrecognized(unknown, args.parser))
    except SystemExit as stop:
        return int(stop.code or 0)
    if args.needs_model and not args.model:
        print(f"error: {NO_MODEL}", file=sys.stderr)
        return 2
    try:
        # Threads that spin while they wait starve each other as soon as another program runs: what
        # takes seconds then takes minutes. Read once, when torch is loaded.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        # Here, so that --help and wrong arguments answer before torch is loaded.
        command: Callable[[argparse.Namespace], int] = import_module(args.module).run
        code = command(args)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("stopped: what is finished is kept, the same command goes on", file=sys.stderr)
        return 1
    except Exception as error:
        if args.debug:
            traceback.print_exc()
        else:
            line = printable(OPTION.sub(_as_option, _one_line(error)))
            print(f"error: {line}", file=sys.stderr)
        return 2 if is_callers_mistake(error) else 1


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, ValueError | FileNotFoundError | MemoryError) and text:
        return text
    if full_disk(error) is not None and FULL not in text:
        return f"{type(error).__name__}: {text}; {FULL}"
    return f"{type(error).__name__}: {text}" + (
        "" if is_callers_mistake(error) else "; --debug says more"
    )


def _unrecognized(words: list[str], parser: Parser) -> str:
    """Name what no option is called, and the option that may have been meant."""
    known = [option for option in parser._option_string_actions if option.startswith("--")]
    near = [get_close_matches(word.partition("=")[0], known, n=1, cutoff=0.75) for word in words]
    hints = [found[0] for found in near if found]
    hint = f": did you mean {hints[0]}?" if hints else ""
    return f"unrecognized arguments: {' '.join(words)}{hint}"


def _as_option(found: re.Match[str]) -> str:
    """Call a keyword of the Python functions what the command line calls it."""
    return f"{found[1]} --{found[2].replace('_', '-')}"


def _parser() -> Parser:
    parser = Parser(prog="audiogen", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--version", action="version", version=f"audiogen {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_generate(commands)
    _add_encode(commands)
    _add_decode(commands)
    info = _add(commands, "info", "say what a model folder is: sizes, rates, licence, hashes")
    info.add_argument(
        "path",
        nargs="?",
        default="embedded",
        help="model folder, published file, codes file, or hub id; left out, the model that is "
        "built in",
    )
    info.add_argument("--verify", action="store_true", help="also read every file and compare it")
    _add(commands, "doctor", "say what is installed, what is missing, and what that would cost")
    return parser


def _add(commands: "argparse._SubParsersAction[Parser]", name: str, text: str) -> Parser:
    parser = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    module = {"encode": "codes", "decode": "codes"}.get(name, name)
    parser.set_defaults(
        module=f"audiogen.cli.{module}", command=name, needs_model=name == "encode", parser=parser
    )
    parser.add_argument("--debug", action="store_true", help="show where an error came from")
    return parser


def _add_model(
    parser: Parser, *, text: str = "model folder or hub id", what: str = "codec"
) -> None:
    parser.add_argument("--model", type=filled, help=text)
    parser.add_argument(
        "--device", default="auto", help="auto (a GPU if there is one), cpu, cuda, cuda:1"
    )
    parser.add_argument(
        "--fast",
        choices=("near", "fast"),
        help=f"quicker {what}: near what is exact, or faster and less near (exact)",
    )


def _add_generate(commands: "argparse._SubParsersAction[Parser]") -> None:
    parser = _add(commands, "generate", "make a sound of each prompt; run again, it goes on")
    add_options(parser)
    text = "model folder or hub id; left out, the small one that is built in"
    _add_model(parser, text=text, what="codec and language model")


def _add_encode(commands: "argparse._SubParsersAction[Parser]") -> None:
    parser = _add(commands, "encode", "turn sound files into the codes of a model's codec")
    parser.add_argument(
        "input", type=Path, nargs="+", help="sound files of any rate, channel count and length"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="codes.safetensors; a folder for several files"
    )
    parser.add_argument(
        "--codebooks", type=int, help="encode with the first ones only; all if left out"
    )
    _add_model(parser)


def _add_decode(commands: "argparse._SubParsersAction[Parser]") -> None:
    parser = _add(commands, "decode", "turn codes back into sound files")
    parser.add_argument("input", type=Path, nargs="+", help="what encode wrote")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        help="sound file, its suffix counts; a folder for several files, which become .wav. "
        "A sound that peaks beyond full scale is turned down",
    )
    _add_model(parser, text="model folder or hub id; left out, the one that encode was given")
