"""From a shell to Hydra and back: exit codes, one-line errors, "did you mean".

Everything imported here is light, so that ``--help`` and ``--cfg job`` answer at once.
"""

import difflib
import functools
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, InstantiationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from audiogen.files import full_disk
from audiogen.training.identity import register_resolvers

CODE = Path(__file__).parents[1]
HYDRA = Path(hydra.__file__).parent
OPTIMIZERS = ("torch", "optim")
CONF = Path(__file__).parents[2] / "conf"
CALLERS_MISTAKE = 2
STOPPED = 130  # by Ctrl-C, as shells count
MISTAKES = (ValueError, TypeError, OSError)  # raised while building from a config
PATH_MISTAKES = (FileExistsError, FileNotFoundError, NotADirectoryError, IsADirectoryError)


class RunError(ValueError):
    """A run that cannot be started as asked; the message is one line that says what to do."""


def launch(task: Callable[[DictConfig], Any], *, config_name: str) -> None:
    """Run ``task`` on the configuration ``conf/<config_name>.yaml`` and the command line's words.

    Exits with 2 and one line on stderr where the caller made a mistake. With HYDRA_FULL_ERROR=1
    every error shows its traceback instead.
    """
    register_resolvers()
    main = hydra.main(version_base="1.3", config_path="../conf", config_name=config_name)
    if os.environ.get("HYDRA_FULL_ERROR", "0") != "0":
        main(task)()
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then leaves errors to us

    @functools.wraps(task)
    def guarded(cfg: DictConfig) -> Any:
        # Inside of Hydra, because it adds a line of its own to what leaves a job.
        with explained(config_name):
            return task(cfg)

    with explained(config_name):
        main(guarded)()


def command_line(options: Mapping[str, Any]) -> list[str]:
    """Write options as the words of a command; None leaves an option out.

    >>> command_line({"seed": 1, "out": None, "metrics": ["a", "b"]})
    ['--seed=1', '--metrics', 'a', 'b']
    """
    words = []
    for name, value in options.items():
        if isinstance(value, list):
            words += [f"--{name}", *map(str, value)]
        elif value is not None:
            words.append(f"--{name}={value}")
    return words


def spelled_out(words: Sequence[str], options: Mapping[str, str]) -> list[str]:
    """Write options as assignments, for those who expect them: ``--to x`` and ``--to=x``.

    >>> spelled_out(["export.py", "--to", "transformers", "run=r"], {"--to": "format"})
    ['export.py', 'format=transformers', 'run=r']

    One without its value ends the program with one line.
    """
    result, rest = [], list(words)
    while rest:
        word, equals, value = rest.pop(0).partition("=")
        if word in options and not (value or rest):
            sys.stderr.write(f"error: {word} needs a value, as {options[word]}=... does\n")
            sys.exit(CALLERS_MISTAKE)
        if word in options:
            result.append(f"{options[word]}={value if equals else rest.pop(0)}")
        else:
            result.append(word + equals + value)
    return result


@contextmanager
def explained(config_name: str) -> Iterator[None]:
    """Turn mistakes of the caller into one line and exit code 2, Ctrl-C into one and 130.

    What no other words would cure, a full disk or a loss that is NaN, is one line and exit code 1.
    """
    try:
        yield
    except KeyboardInterrupt:
        sys.stderr.write("stopped; start the same command again to continue\n")
        sys.exit(STOPPED)
    except FloatingPointError as error:
        sys.stderr.write(f"error: {error}\n")  # a loss that is NaN: the numbers', not the caller's
        sys.exit(1)
    except Exception as error:
        full = full_disk(error)
        if full is not None:
            sys.stderr.write(f"error: {_explain_full(full)}\n")
            sys.exit(1)
        line = explain(error, config_name=config_name, overrides=sys.argv[1:])
        if line is None:
            raise
        sys.stderr.write(f"error: {line}\n")
        sys.exit(CALLERS_MISTAKE)


def explain(error: BaseException, *, config_name: str, overrides: list[str]) -> str | None:
    """Return one line for a mistake of the caller, None for anything else."""
    if isinstance(error, InstantiationException):
        return _explain_instantiation(error)
    if isinstance(error, MissingMandatoryValue):
        key = getattr(error, "full_key", None) or "a required value"
        return f"{key} is required and was not given: add {key}=..."
    if isinstance(error, HydraException | OmegaConfBaseException):
        return _explain_composition(str(error), config_name, overrides)
    if isinstance(error, (*PATH_MISTAKES, PermissionError)) or _is_ours(error):
        return _one_line(str(error))
    return _from_worker(str(error)) if isinstance(error, ValueError) else None


def _explain_full(full: OSError) -> str:
    place = f"{full.filename}: " if full.filename else ""
    return (
        f"{place}the disk is full ({full.strerror}): free some space, then start the same command "
        "again"
    )


def _from_worker(text: str) -> str | None:
    """The message of an error of ours that a loading process passed on with its traceback."""
    ours = re.findall(r"^audiogen\.[\w.]+: (.+)", text, flags=re.MULTILINE)
    return _one_line(ours[-1]) if text.startswith("Caught ") and ours else None


def _is_ours(error: BaseException) -> bool:
    """Say whether our code, Hydra's or an optimizer's raised a ValueError: a caller's mistake."""
    if isinstance(error, OSError) and type(error).__module__.startswith("audiogen."):
        return True  # of a class of ours, wherever it came through
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = Path(trace.tb_frame.f_code.co_filename) if trace is not None else Path()
    by_code = not {CODE, HYDRA}.isdisjoint(place.parents)
    if isinstance(error, TypeError):  # the keywords of what Hydra was about to build
        return HYDRA in place.parents
    return isinstance(error, ValueError) and (by_code or place.parts[-3:-1] == OPTIMIZERS)


def _explain_instantiation(error: InstantiationException) -> str | None:
    cause = error.__cause__
    if not isinstance(cause, MISTAKES):
        return None
    place = re.search(r"full_key: (\S+)", str(error))
    return (f"{place[1]}: " if place else "") + _one_line(str(cause))


def _one_line(text: str) -> str:
    """Join the lines of a message, without Hydra's notes on where it looked."""
    text = re.split(r"\n\s*Config search path:", text)[0]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    kept = [line for line in lines if not line.startswith(("full_key", "object_type"))]
    return "; ".join(kept).replace(":; ", ": ").replace(".; ", ": ")


def _explain_composition(message: str, config_name: str, overrides: list[str]) -> str:
    """Add the nearest key, choice or group where one is named that does not exist."""
    unknown = re.search(r"Could not override '([^']+)'|Could not find '([^']+)'", message)
    if unknown is None:
        return _one_line(message)
    wrong = unknown[1] or unknown[2]
    near = nearest_name(wrong, {*_choices(), *_known_keys(config_name, wrong, overrides)})
    if near is None:
        return _one_line(message)
    return f"there is no '{wrong}' in the configuration: did you mean '{near}'?"


def nearest_name(wrong: str, known: set[str]) -> str | None:
    """Return the known name most like a wrong one: alike as a whole, or in its last part."""
    close = difflib.get_close_matches(wrong, known, n=1, cutoff=0.8)
    if close:
        return close[0]
    last = re.split(r"[./]", wrong)[-1]
    by_last = {re.split(r"[./]", name)[-1]: name for name in sorted(known, reverse=True)}
    close = difflib.get_close_matches(last, by_last, n=1, cutoff=0.7)
    return by_last[close[0]] if close else None


def _choices() -> Iterator[str]:
    """Yield every group and every group/choice of conf/."""
    for path in CONF.rglob("*.yaml"):
        group = path.relative_to(CONF).parent.as_posix()
        if group != ".":
            yield group
            yield f"{group}/{path.stem}"


def _known_keys(config_name: str, wrong: str, overrides: list[str]) -> list[str]:
    """Return the dotted keys of the configuration without the override that failed."""
    kept = [o for o in overrides if not o.startswith("-") and wrong not in o]
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = compose(config_name, overrides=kept)
    except (HydraException, OmegaConfBaseException):
        return []
    return list(_dotted(cfg))


def _dotted(cfg: DictConfig) -> Iterator[str]:
    tree = OmegaConf.to_container(cfg, resolve=False)
    stack = [("", tree)]
    while stack:
        prefix, node = stack.pop()
        if isinstance(node, dict):
            for key, value in node.items():
                yield f"{prefix}{key!s}"
                stack.append((f"{prefix}{key!s}.", value))
