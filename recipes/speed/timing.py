"""Times of several ways to do one thing, taken in turns, and the ceilings of a machine."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recipes.speed.baseline import PlainCodec

Work = Callable[[], object]
COPIED = 1 << 28  # bytes: far more than any cache


@dataclass(frozen=True, kw_only=True)
class Times:
    """Seconds of one way, a value per round."""

    seconds: list[float]

    @property
    def least(self) -> float:
        """The shortest: what the machine can when nothing else runs."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.seconds)

    def over(self, baseline: "Times") -> dict[str, float]:
        """How many times faster than ``baseline``, by the shortest and by the middle times."""
        return {
            "ratio_least": baseline.least / self.least,
            "ratio_median": baseline.median / self.median,
        }


def clock(device: str = "cpu") -> Callable[[], float]:
    """Return time of this thread, which other programs on the machine hardly change.

    With several threads it would miss the others: then the time on the wall. So it is for a GPU,
    when that has done all it was given.
    """
    if device == "cuda":
        return _when_done
    return time.thread_time if torch.get_num_threads() == 1 else time.perf_counter


def _when_done() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()


def in_turns(ways: Mapping[str, Work], *, rounds: int, device: str = "cpu") -> dict[str, Times]:
    """Run every way once per round, beginning with another one each time; one round is unseen."""
    now = clock(device)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for turn in range(rounds + 1):
        start = turn % len(names)
        for name in names[start:] + names[:start]:
            began = now()
            ways[name]()
            if turn:
                seconds[name].append(now() - began)
    return {name: Times(seconds=values) for name, values in seconds.items()}


def machine_rates(*, rounds: int = 3, size: int = 2048, device: str = "cpu") -> dict[str, float]:
    """Measure the ceilings: bytes copied (read and written), operations of products per second."""
    source = torch.ones(COPIED // 8, device=device)
    target = torch.empty_like(source)
    factor = torch.randn(size, size, device=device)
    factors = {"float32": factor, "bfloat16": factor.bfloat16()}
    ways: dict[str, Work] = {"copy": lambda: target.copy_(source)}
    for name, factor in factors.items():
        ways[name] = lambda factor=factor: factor @ factor
    times = in_turns(ways, rounds=rounds, device=device)
    operations = 2 * size**3
    return {
        "copy_gb_per_s": COPIED / times["copy"].least / 1e9,
        "float32_gflop_per_s": operations / times["float32"].least / 1e9,
        "bfloat16_gflop_per_s": operations / times["bfloat16"].least / 1e9,
    }


def read_rate(*, rounds: int = 5) -> dict[str, float]:
    """Measure bytes read per second on a CPU, by summing what no cache holds."""
    source = torch.ones(COPIED // 4)
    times = in_turns({"read": source.sum}, rounds=rounds)["read"]
    return {"read_gb_per_s": COPIED / times.least / 1e9}


@torch.no_grad()
def cost(codec: PlainCodec, run: Work) -> dict[str, float]:
    """Count what a pass needs at least: operations, and bytes of recurrent weights, read per step.

    The input half of an LSTM is one product over all steps; the other half is read at every step.
    """
    counted = {"gflop": 0.0, "recurrent_gb": 0.0}

    def convolution(module: nn.Module, _: object, output: Tensor) -> None:
        positions = output.shape[0] * output.shape[-1]
        weights = module.weight.numel()
        if isinstance(module, nn.ConvTranspose1d):
            positions //= module.stride[0]
        counted["gflop"] += 2 * weights * positions / 1e9

    def recurrent(module: nn.Module, inputs: tuple[Tensor], _: object) -> None:
        steps, batch, _ = inputs[0].shape
        own = sum(w.numel() for name, w in module.named_parameters() if "weight" in name)
        counted["gflop"] += 2 * own * steps * batch / 1e9
        counted["recurrent_gb"] += own / 2 * 4 * steps / 1e9

    kinds = {nn.Conv1d: convolution, nn.ConvTranspose1d: convolution, nn.LSTM: recurrent}
    hooks = [
        module.register_forward_hook(kinds[type(module)])
        for module in codec.modules()
        if type(module) in kinds
    ]
    run()
    for hook in hooks:
        hook.remove()
    return counted


def floor(cost: Mapping[str, float], rates: Mapping[str, float]) -> dict[str, float]:
    """Seconds that exact float32 arithmetic takes at the ceilings, by operations and by bytes."""
    return {
        "compute_s": cost["gflop"] / rates["float32_gflop_per_s"],
        "bandwidth_s": cost["recurrent_gb"] / rates["copy_gb_per_s"],
    }
