"""Score the sounds of a run under one card: python -m recipes.audiocaps_metrics.score --run RUN

`python -m evaluation` on RUN/reference and RUN/generated, with RUN/captions.jsonl; the report goes
to RUN/scores as JSON and page. What was scored before and has not changed is left alone.
"""

import argparse
import contextlib
import fcntl
import io
import json
import sys
from collections.abc import Iterator
from hashlib import file_digest
from pathlib import Path
from typing import Any

from evaluation import __version__
from evaluation.catalog import METRICS
from evaluation.protocols.card import load_protocol
from evaluation.ready import check_networks, missing_lines
from recipes.audiocaps_metrics.references import link_references
from recipes.command import Parser, exit_code
from recipes.results import is_done, write_results

RANDOM = "random"


def check(args: argparse.Namespace) -> None:
    """Say what will not be computed; refuse what could only fail after the sounds are made.

    Raises:
        ValueError: if none of the card's networks can be used, or the weights of one are wrong.
    """
    from evaluation.suite import computable

    keys, missing = computable(args.protocol, None, _weights(args), **_means(args))
    for line in missing_lines(missing):
        print(f"not computed: {line}", file=sys.stderr)
    if missing and not any(METRICS[key].network for key in keys):
        raise ValueError(
            f"no network of protocol {args.protocol} can be used: {next(iter(missing.values()))}; "
            "or --weights random, to try everything out"
        )
    check_networks(
        args.protocol, keys, weights=_weights(args), device=_device(args.device), **_means(args)
    )


def score(args: argparse.Namespace) -> int:
    """Score, unless that is done; return the exit code of the evaluation."""
    folder = args.run / "scores"
    name = Path(args.protocol).stem
    report, inputs = folder / f"{name}.json", identity(args)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        if report.is_file() and is_done(folder / f"{name}.inputs", inputs):
            print(f"{report} is there already", file=sys.stderr)
            return 0
        from evaluation.__main__ import main as evaluation  # torch takes seconds

        with contextlib.redirect_stdout(io.StringIO()):  # the report is in its files
            code = evaluation(_words(args, report))
        if code == 0:
            write_results(folder / f"{name}.inputs", {"inputs": inputs})
        return code


def identity(args: argparse.Namespace) -> dict[str, Any]:
    """Return all that decides the scores, as far as it can be seen without computing them."""
    files = [path for side in ("reference", "generated") for path in (args.run / side).iterdir()]
    sizes = [[p.parent.name, p.name, p.stat().st_size] for p in sorted(files)]
    names = ("choice.json", _captions(args), "generated.json")
    found: dict[str, Any] = {name: _sha256(args.run / name) for name in names}
    return found | {
        "protocol": load_protocol(args.protocol).sha256(),
        "weights": args.weights,
        "dtype": args.dtype,
        "without": sorted(args.without),
        "sizes": sizes,
        "evaluation": __version__,
    }


def _words(args: argparse.Namespace, report: Path) -> list[str]:
    words = [str(_references(args)), str(args.run / "generated")]
    words += ["--allow-extra"] if args.without else []
    words += ["--captions", str(args.run / _captions(args)), "--protocol", args.protocol]
    words += ["--json", str(report), "--html", str(report.with_suffix(".html"))]
    words += ["--device", _device(args.device)]
    if args.weights == RANDOM:
        words += ["--random-weights"]
    elif args.weights:
        words += ["--weights", args.weights]
    for option in ("cache", "workers", "dtype"):
        if getattr(args, option) is not None:
            words += [f"--{option}", str(getattr(args, option))]
    return words


def _references(args: argparse.Namespace) -> Path:
    """Return the folder of the references, or of links to those that are not left out."""
    whole, part = args.run / "reference", args.run / "reference_part"
    if not args.without:
        return whole
    files = {path.stem: path for path in whole.iterdir()}
    unknown = [name for name in args.without if name not in files]
    if unknown:
        raise ValueError(f"--without {','.join(unknown)}: {whole} has no such sound")
    link_references({n: file for n, file in files.items() if n not in args.without}, part)
    return part


def _captions(args: argparse.Namespace) -> str:
    """Return the file of captions: of sounds made of one caption each, a card may want all."""
    chosen = json.loads((args.run / "choice.json").read_text(encoding="utf-8"))["captions"]
    every = load_protocol(args.protocol).captions == "all" and chosen != "all"
    return "captions_all.jsonl" if every else "captions.jsonl"


def _weights(args: argparse.Namespace) -> str | None:
    return None if args.weights == RANDOM else args.weights


def _means(args: argparse.Namespace) -> dict[str, Any]:
    return {"random_weights": args.weights == RANDOM}


def _device(asked: str) -> str:
    if asked != "auto":
        return asked
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait for others that score the same run; a lock that a killed process held is free."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _names(words: str) -> list[str]:
    return [name for name in words.split(",") if name]


def _sha256(path: Path) -> str:
    if not path.is_file():
        raise ValueError(f"{path} is not there: the stages before come first; run.sh does them all")
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def main(argv: list[str] | None = None) -> int:
    """Score; return the exit code."""
    parser = Parser(
        prog="python -m recipes.audiocaps_metrics.score",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--run", type=Path, required=True, help="folder of the run")
    add("--protocol", default="audiocraft", help="card by name or path (audiocraft)")
    add("--weights", help='folder of pretrained networks; "random" for a trial without them')
    add("--cache", type=Path, help="folder of features that are kept")
    add("--workers", type=int, help="processes that read sounds")
    add("--dtype", choices=("float32", "bfloat16"), help="of the networks' work")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1")
    add("--without", type=_names, default=[], help="names to leave out, such as YAbc,YDef")
    add("--check", action="store_true", help="only see whether it could be done")
    args = parser.parse_args(argv)
    try:
        if args.check:
            check(args)
            return 0
        if not (args.run / "choice.json").is_file():
            raise ValueError(f"{args.run}: captions are not chosen yet; run.sh does it first")
        return score(args)
    except (ValueError, OSError) as error:
        return exit_code(error)


if __name__ == "__main__":
    sys.exit(main())
