"""`audiogen doctor`: what is installed, what is missing, and what that would cost."""

import argparse
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, requires, version
from importlib.util import find_spec
from pathlib import Path

EXTRAS = {
    "eval": "to score sounds",
    "visqol": "to score round trips as listeners hear them; builds with a C++ compiler",
    "train": "to train models",
    "dev": "to work on audiogen itself",
}
# What an outside file is for, and what fetching it costs.
OUTSIDE = {
    "facebook/audiogen-medium": (
        "state_dict.bin",
        "the published model, CC-BY-NC; 3.9 GB from the hub, 7.6 GB in memory, half of it on a GPU",
    ),
    "t5-large": (
        "config.json",
        "text encoder of models that name it; 3 GB from the hub, 1.3 GB in memory",
    ),
}
METRIC_WEIGHTS = Path("~/.cache/audiogen/weights")
ENOUGH_DISK = 10  # GB: a model, its text encoder and a few thousand sounds


def run(args: argparse.Namespace) -> int:
    """Print one finding per line; 1 if audiogen itself cannot work here."""
    broken = False
    for ok, name, finding in _findings():
        mark = {True: "ok  ", False: "FAIL", None: "-   "}[ok]
        print(f"{mark} {name:<24} {finding}")
        broken = broken or ok is False
    return int(broken)


def _findings() -> Iterator[tuple[bool | None, str, str]]:
    """Yield whether it is fine (None: optional and not there), what, and what was found."""
    yield (
        sys.version_info >= (3, 11),
        "python",
        f"{platform.python_version()} on {platform.system()} {platform.machine()}",
    )
    missing = _missing(None)
    yield (
        not missing,
        "audiogen",
        f"{version('audiogen')}, " + (_lacks(missing) or "all it needs is installed"),
    )
    for extra, purpose in EXTRAS.items():
        missing = _missing(extra)
        # By path: the package named audiogen on PyPI is another project.
        advice = f"{_lacks(missing)}; {purpose}, in the source folder: pip install '.[{extra}]'"
        yield (None if missing else True), f"[{extra}]", (advice if missing else "installed")
    yield from _devices()
    yield from _outside()


def _missing(extra: str | None) -> list[str]:
    """Names of required packages that are not installed, those of extras in extras included."""
    missing = []
    for line in requires("audiogen") or []:
        name, _, marker = line.partition(";")
        wanted = re.search(r"extra == ['\"](\w+)['\"]", marker)
        if (wanted.group(1) if wanted else None) != extra:
            continue
        package = re.match(r"[\w.-]+", name)
        inner = re.search(r"audiogen\[(\w+)\]", name)
        if inner:
            missing += _missing(inner.group(1))
        elif package and not _installed(package.group()):
            missing.append(package.group())
    return missing


def _installed(package: str) -> bool:
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True


def _lacks(missing: list[str]) -> str:
    return f"lacks {', '.join(missing)}" if missing else ""


def _devices() -> Iterator[tuple[bool | None, str, str]]:
    if find_spec("torch") is None:
        return
    import torch

    yield True, "torch", f"{torch.__version__}, {torch.get_num_threads()} CPU threads"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9 if _has_sysconf() else 0
    need = "a model of 2 billion weights needs 8 GB, half that in half precision"
    yield True, "memory", f"{memory:.0f} GB; {need}"
    for index in range(torch.cuda.device_count()):
        found = torch.cuda.get_device_properties(index)
        yield True, f"cuda:{index}", f"{found.name}, {found.total_memory / 1e9:.0f} GB"
    if not torch.cuda.is_available():
        yield None, "cuda", "no GPU that torch can use: a large model is slower than real time"
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    yield (True if free > ENOUGH_DISK else None), "disk", f"{free:.0f} GB free here"


def _has_sysconf() -> bool:
    return hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names


def _outside() -> Iterator[tuple[bool | None, str, str]]:
    import huggingface_hub
    from huggingface_hub import constants

    offline = constants.HF_HUB_OFFLINE
    state = "HF_HUB_OFFLINE is set: nothing is fetched" if offline else "fetched from when asked"
    yield True, "hub", f"{state}; cache {constants.HF_HUB_CACHE}"
    for name, (file, purpose) in OUTSIDE.items():
        there = isinstance(huggingface_hub.try_to_load_from_cache(name, file), str)
        yield (
            (True if there else None),
            name,
            f"in the cache; {purpose}" if there else (f"not here; {purpose}; hf download {name}"),
        )
    folder = METRIC_WEIGHTS.expanduser()
    files = sorted(path.name for path in folder.glob("*") if path.is_file())
    yield (
        (True if files else None),
        "metric weights",
        (
            f"{folder}: {', '.join(files)}"
            if files
            else f"none in {folder}; to score sounds: python -m evaluation names what it lacks"
        ),
    )
