"""Whole clips on a GPU: the plain baseline, ours step by step, and ours as CUDA graphs."""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from audiogen.lm.fast import accelerated
from audiogen.lm.generate import generate_codes
from audiogen.lm.model import TokenLM
from recipes.speed.decode_baseline import generate_plainly, make_plain
from recipes.speed.decode_cost import step_bytes
from recipes.speed.decode_subject import TEXT_POSITIONS, Subject
from recipes.speed.decode_ways import make_text

FRAMES = 500
WINDOW = 19  # steps timed at a position
Progress = Callable[[int, int], None]
Make = Callable[[TokenLM, Tensor], Callable[[int, Progress | None], Tensor]]


@dataclass
class Marks:
    """Clock readings when some numbers of frames are done, the GPU with all it was given."""

    at: Sequence[int]
    seconds: dict[int, float] = field(default_factory=dict)

    def __call__(self, done: int, _: int) -> None:
        """Read the clock if this is one of them."""
        if done in self.at:
            torch.cuda.synchronize()
            self.seconds[done] = time.perf_counter()

    def per_step(self, position: int) -> float:
        """Seconds of a step from a position on."""
        return (self.seconds[position + 1 + WINDOW] - self.seconds[position + 1]) / WINDOW


def plain(dtype: torch.dtype) -> Make:
    """Return the baseline in a number format."""

    def make(lm: TokenLM, text: Tensor) -> Callable[[int, Progress | None], Tensor]:
        rewritten = make_plain(lm, dtype=dtype)
        return lambda frames, progress: generate_plainly(
            rewritten, text, num_frames=frames, progress=progress
        )

    return make


def ours(*, fast: str | None = None, graphs: bool = False, compiled: bool = False) -> Make:
    """Return ours: in float32 or bfloat16, step by step or as CUDA graphs, compiled or not."""

    def make(lm: TokenLM, text: Tensor) -> Callable[[int, Progress | None], Tensor]:
        from audiogen.lm.graphs import Graphs

        made = accelerated(lm, fast)  # type: ignore[arg-type]
        if compiled:
            torch._dynamo.config.recompile_limit = 64  # a length of the cache is a shape
            for block in made.layers:
                block.compile(dynamic=False)
        text = text.to(made.embedding.weight.dtype)
        # Kept, as the second clip replays what the first captured; what cannot be is no figure.
        captured = Graphs(strict=True) if graphs else False
        return lambda frames, progress: generate_codes(
            made,
            text,
            None,
            num_frames=frames,
            generators=[torch.Generator().manual_seed(n) for n in range(len(text))],
            graphs=captured,
            progress=progress,
        )

    return make


MAKES: Mapping[str, tuple[Make, str, bool]] = {  # how, number format, whether it is the baseline
    "baseline": (plain(torch.float32), "float32", True),
    "baseline-bf16": (plain(torch.bfloat16), "bfloat16", True),
    "exact": (ours(), "float32", False),
    "near": (ours(fast="near"), "bfloat16", False),
    "near-graph": (ours(fast="near", graphs=True), "bfloat16", False),
    "near-compiled": (ours(fast="near", graphs=True, compiled=True), "bfloat16", False),
}
ONCE = ("exact", "baseline")  # of large batches only what the targets speak of
OPTIONAL = ("near-compiled",)  # capturing what is compiled is up to this torch


def measure_clips(
    subject: Subject, args: argparse.Namespace, rates: Mapping[str, float]
) -> dict[str, Any]:
    """Make clips at every batch in every way; the ratio is to the baseline in bfloat16."""
    lm = subject.lm.cuda()
    report: dict[str, Any] = {}
    for batch in args.batch:
        text = make_text(lm, batch=batch, positions=TEXT_POSITIONS)
        ways: dict[str, dict[str, float]] = {}
        for way, (make, _, _) in MAKES.items():
            if batch > 1 and way in ONCE:
                continue
            captured = way.endswith(("graph", "compiled"))
            unseen = FRAMES if captured else WINDOW
            try:
                ways[way] = measure_way(make(lm, text), args.positions, unseen=unseen)
            except RuntimeError as error:
                if way not in OPTIONAL:
                    raise
                print(f"{way} left out: {error}", file=sys.stderr)
            torch.cuda.empty_cache()
        for way, values in ways.items():
            values |= derived(subject, way, values, batch=batch, rates=rates)
            values["ratio"] = ways["baseline-bf16"]["ms_per_step"] / values["ms_per_step"]
        report[f"batch {batch}"] = {"ways": ways}
    return report


def measure_way(
    run: Callable[[int, Progress | None], Tensor], positions: Sequence[int], *, unseen: int
) -> Any:
    """Make some frames unseen, which captures and compiles, and a timed clip."""
    run(unseen, None)
    marks = Marks([at + 1 for at in positions] + [at + 1 + WINDOW for at in positions])
    torch.cuda.reset_peak_memory_stats()
    torch.cuda.synchronize()
    began = time.perf_counter()
    run(FRAMES, marks)
    torch.cuda.synchronize()
    taken = time.perf_counter() - began
    steps = {f"ms_at_{at}": 1e3 * marks.per_step(at) for at in positions if at + WINDOW < FRAMES}
    return {
        "clip_s": taken,
        "ms_per_step": 1e3 * taken / FRAMES,
        **steps,
        "peak_gb": torch.cuda.max_memory_allocated() / 1e9,
    }


def derived(
    subject: Subject,
    way: str,
    values: Mapping[str, float],
    *,
    batch: int,
    rates: Mapping[str, float],
) -> dict[str, float]:
    """Return what follows from the time of a step: the average one, half way through a clip."""
    _, number, is_plain = MAKES[way]
    moved = step_bytes(
        subject.lm.config,
        batch=batch,
        position=FRAMES // 2,
        text_positions=TEXT_POSITIONS,
        weights=number,
        cache=number,
        plain=is_plain,
    )
    seconds = values["ms_per_step"] / 1e3
    return {
        "audio_s_per_s": batch / subject.frame_rate / seconds,
        "mb_per_step": moved / 1e6,
        "bandwidth_share": moved / seconds / 1e9 / rates["copy_gb_per_s"],
    }
