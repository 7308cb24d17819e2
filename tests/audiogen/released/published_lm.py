"""Small published models: their configurations, files and folders."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from .conftest import build_plain, published_config
from .plain_lm import build_plain_lm

GOLDEN = Path(__file__).parents[2] / "golden"
T5 = GOLDEN / "t5_tiny"  # states of width 32
SMALL = {"dim": 16, "num_heads": 2, "num_layers": 2, "n_q": 3, "card": 16}


def golden(name: str) -> dict[str, np.ndarray]:
    return dict(np.load(GOLDEN / f"{name}.npz"))


def golden_config(name: str = "audiogen_tiny") -> str:
    """The text of a configuration that AudioCraft exported, references and all."""
    return str(golden("pipeline")[f"xp.cfg::{name}"])


def lm_config(**changes: Any) -> dict[str, Any]:
    """Of a language model for the codec of `published_config`; ``a__b=1`` sets a.b."""
    tree = yaml.safe_load(golden_config())
    tree["transformer_lm"] |= SMALL
    tree["codebooks_pattern"]["delay"]["delays"] = [0, 1, 2]
    for path, value in changes.items():
        *parents, last = path.split("__")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        if value is KeyError:
            del node[last]
        else:
            node[last] = value
    return tree


def write_lm(
    folder: Path,
    config: Any = None,
    state: Any = None,
    *,
    name: str = "state_dict.bin",
    **more: Any,
) -> Path:
    """Write a published language model; what is left out is that of `lm_config`."""
    config = lm_config() if config is None else config
    state = build_plain_lm(config).state_dict() if state is None else state
    text = yaml.safe_dump(config, sort_keys=False) if isinstance(config, dict) else config
    package = {"best_state": state, "xp.cfg": text, "version": "1.4.0a2", "exported": True}
    folder.mkdir(exist_ok=True)
    torch.save(package | more, folder / name)
    return folder / name


def write_model(folder: Path, config: Any = None, state: Any = None, **codec: Any) -> Path:
    """Write a whole published model, its T5 beside it; ``codec`` changes that one."""
    write_lm(folder, config, state)
    tree = published_config(**codec)
    write_lm(folder, tree, build_plain(tree).state_dict(), name="compression_state_dict.bin")
    shutil.copytree(T5, folder / "t5_tiny")
    return folder


def write_golden(folder: Path) -> Path:
    """Write the model of lm.npz and pipeline.npz with a random codec that takes its codes."""
    state = {
        name.removeprefix("state::"): torch.from_numpy(value)
        for name, value in golden("lm").items()
        if name.startswith("state::")
    }
    codec = {"rvq__n_q": 4, "rvq__bins": 32, "seanet__ratios": [8, 5, 4, 2]}
    return write_model(folder, golden_config(), state, **codec)


def texts(name: str) -> list[str | None]:
    return json.loads(str(golden(name)["texts_json"]))
