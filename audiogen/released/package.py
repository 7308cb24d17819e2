"""What a published file or a training checkpoint holds: configuration, weights, kind."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from audiogen.model_folder.layout import CheckpointError
from audiogen.released.xp_cfg import XpCfg

TRAINING_FILE = "checkpoint.th"
SHARD = re.compile(r"\.th\.\d+$")  # what every process but the first writes
WRAPPER = "module."  # before every name of a model that was saved inside of DataParallel or DDP
LM_PREFIXES = ("transformer.", "emb.", "condition_provider.", "out_norm.", "linears.")

Weights = Literal["best", "ema", "last"]
WEIGHTS = ("best", "ema", "last")


def check_weights(weights: str) -> None:
    """Refuse a set of weights that no checkpoint has, by a ValueError."""
    if weights not in WEIGHTS:
        raise ValueError(f"weights must be one of {', '.join(WEIGHTS)}; got {weights!r}")


def read_config(package: Mapping[str, Any], path: Path) -> XpCfg:
    """Return the configuration of a published file or a training checkpoint.

    Raises:
        CheckpointError: if there is none.
    """
    if SHARD.search(path.name):
        first = SHARD.sub(".th", str(path))
        raise CheckpointError(
            f"{path} is one piece of a training that was cut over several processes (FSDP): give "
            f"{first}, of the first process, whose fsdp_best_state is whole"
        )
    if "pytorch-lightning_version" in package:
        raise CheckpointError(
            f"{path} is a checkpoint of our own training: make a model folder of its run by "
            "scripts/export.py run=RUN_FOLDER out=FOLDER"
        )
    if "xp.cfg" not in package:
        raise CheckpointError(
            f"{path} has no xp.cfg, without which nobody knows how its model is built (it has "
            f"{_names(package)}): give the file that AudioCraft exported"
        )
    return XpCfg(package["xp.cfg"], source=path)


def chosen_state(package: Mapping[str, Any], weights: Weights, path: Path) -> dict[str, Tensor]:
    """Return the flat state dict that is asked for.

    The prefix ``module.`` is left out where all names have it; where only some do, it is refused.

    Raises:
        CheckpointError: if there is none, or it is no state dict.
    """
    best = package.get("best_state")
    if not is_training_checkpoint(package):
        if weights != "best":
            raise CheckpointError(
                f"{path} holds one set of weights and no {weights!r} beside it: leave weights out"
            )
        return _checked(best, path)
    sharded = package.get("fsdp_best_state")
    average = package.get("ema")
    sets = {
        "best": _inside(sharded, "model") or _inside(best, "model"),
        "ema": _inside(average, "state", "model"),
        "last": package.get("model"),
    }
    if sharded and weights != "best":
        raise CheckpointError(
            f"{path} is of a training that was cut over several processes (FSDP): its {weights!r} "
            "weights lie in pieces in as many files, and only the best are whole in this one; "
            "leave weights out"
        )
    if not sets[weights]:
        there = [name for name, state in sets.items() if state]
        raise CheckpointError(
            f"{path} has no {weights!r} weights, only {', '.join(there) or 'none at all'} (it has "
            f"{_names(package)}): choose others by weights=, or give a file of a later epoch"
        )
    return _checked(sets[weights], path)


def is_training_checkpoint(package: Mapping[str, Any]) -> bool:
    """Tell a checkpoint with several sets of weights from an exported file, which has one."""
    best = package.get("best_state")
    return not (isinstance(best, dict) and best) or "model" in best


def _inside(value: object, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _checked(state: object, path: Path) -> dict[str, Tensor]:
    if not isinstance(state, dict):
        raise CheckpointError(f"{path} holds a {type(state).__name__} where tensors should be")
    wrong = [str(key) for key, value in state.items() if not isinstance(value, Tensor)]
    if wrong:
        raise CheckpointError(
            f"{path}: {', '.join(wrong[:3])} of its state is no tensor: the file is of another "
            "program"
        )
    return _unwrapped({str(key): value for key, value in state.items()}, path)


def _unwrapped(state: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    wrapped = [key for key in state if key.startswith(WRAPPER)]
    if wrapped and len(wrapped) < len(state):
        bare = next(key for key in state if not key.startswith(WRAPPER))
        raise CheckpointError(
            f"{path}: {len(wrapped)} of {len(state)} tensors have the prefix {WRAPPER!r} of "
            f"DataParallel, as {wrapped[0]}, and others have not, as {bare}: save the state of one "
            "model, the wrapped one's own"
        )
    return {key.removeprefix(WRAPPER): value for key, value in state.items()}


def is_language_model(state: Mapping[str, Tensor]) -> bool:
    """Tell the state dict of a language model from that of a codec."""
    return any(key.startswith(LM_PREFIXES) for key in state)


def _names(package: Mapping[str, Any]) -> str:
    return ", ".join(sorted(map(str, package))[:6]) or "nothing"
