"""How long the stages took, how much memory, and on what machine."""

import os
import platform
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from recipes.page.inputs import Run, is_number

PACKAGES = ("torch", "torchaudio", "lightning", "numpy", "audiogen")


@dataclass(frozen=True, kw_only=True)
class StageTime:
    """What one stage took over all its starts."""

    stage: str
    title: str
    seconds: float  # starts that were stopped, plus the longest that ended well
    peak_bytes: float | None  # largest resident memory of any of its processes
    starts: int
    stopped: int  # starts with an exit code other than 0
    finished: bool


def stage_times(rows: Sequence[Mapping[str, Any]], titles: Mapping[str, str]) -> list[StageTime]:
    """Sum up the rows of stages.jsonl, one result per stage, in the order of ``titles``.

    A start after the stage was done only looks and skips, so of those that ended well the longest
    counts, and with it every start that was stopped before.
    """
    names = list(dict.fromkeys([*titles, *(str(row["stage"]) for row in rows)]))
    times = []
    for name in names:
        own = [r for r in rows if r["stage"] == name and is_number(r.get("seconds"))]
        if not own:
            continue
        well = [row["seconds"] for row in own if row.get("exit") == 0]
        stopped = [row["seconds"] for row in own if row.get("exit") != 0]
        memory = [row["bytes"] for row in own if is_number(row.get("bytes"))]
        times.append(
            StageTime(
                stage=name,
                title=titles.get(name, name),
                seconds=sum(stopped) + max(well, default=0.0),
                peak_bytes=max(memory, default=None),
                starts=len(own),
                stopped=len(stopped),
                finished=bool(well),
            )
        )
    return times


def totals(
    times: Sequence[StageTime], required: Collection[str]
) -> tuple[float | None, float | None]:
    """Return seconds of all stages and the largest memory; None before every required one is
    done.
    """
    if not set(required) <= {time.stage for time in times if time.finished}:
        return None, None
    memory = [time.peak_bytes for time in times if time.peak_bytes is not None]
    return sum(time.seconds for time in times), max(memory, default=None)


def time_table(run: Run, titles: Mapping[str, str], required: Sequence[str]) -> dict[str, Any]:
    """Return the table of stages, the totals and the machine, for timing.html.j2."""
    times = stage_times(run.stages, titles)
    done = {time.stage for time in times if time.finished}
    seconds, memory = totals(times, required)
    return {
        "times": times,
        "so_far": sum(time.seconds for time in times),
        "peak": max((time.peak_bytes or 0 for time in times), default=0) or None,
        "seconds": seconds,
        "memory": memory,
        "undone": [titles[name] for name in required if name not in done],
        "machine": machine(),
    }


def machine() -> dict[str, str]:
    """Describe this machine: processor, cores, memory, versions."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    facts = {
        "processor": _processor(),
        "cores in use": f"{cores} of {os.cpu_count()}",
        "memory": _memory(),
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
    }
    return facts | {name: _version(name) for name in PACKAGES}


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(errors="replace").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def _memory() -> str:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return "unknown"
    return f"{size / 1e9:.0f} GB"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
