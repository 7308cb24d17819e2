"""Published language models and training checkpoints of them -> `TokenLM`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiogen.files import given_path
from audiogen.lm.model import TokenLM
from audiogen.model_folder.build import build_on_meta
from audiogen.model_folder.hub import CODEC_FILE, LM_FILE
from audiogen.model_folder.layout import CheckpointError
from audiogen.released.archive import read_archive
from audiogen.released.lm_config import LMConfig, read_lm_config
from audiogen.released.lm_names import TEXT, plain_names, published_places
from audiogen.released.package import (
    TRAINING_FILE,
    Weights,
    check_weights,
    chosen_state,
    is_language_model,
    read_config,
)
from audiogen.released.strict import check_finite, check_tensors

WHAT = "language model"


@dataclass(frozen=True, kw_only=True, slots=True)
class LMFile:
    """A file of a language model, read and not yet built."""

    path: Path
    config: LMConfig
    state: Mapping[str, Tensor]  # under published names, mapped from the file
    package: Mapping[str, Any]  # all that the file holds

    @property
    def keywords(self) -> dict[str, Any]:
        """Those of `TokenLM`; the width of the text is that of its projection."""
        weight = self.state.get(f"{TEXT}.weight")
        text_dim = weight.shape[-1] if weight is not None and weight.ndim == 2 else 1
        return {"text_dim": text_dim, **self.config.keywords}


def load_language_model(
    path: str | Path,
    *,
    weights: Weights = "best",
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
) -> TokenLM:
    """Read a published language model alone, in eval mode.

    Args:
        path: ``state_dict.bin``; a training checkpoint such as ``checkpoint.th``; or a folder with
            one of the two.
        weights: of a training checkpoint; see `audiogen.released.load_released`.
        dtype: of the result; files hold half precision, usually.
        device: where it is put, tensor by tensor.

    Raises:
        FileNotFoundError: if there is no such file.
        CheckpointError: if it is damaged, hostile, of another model, or does not fit; every
            missing, unexpected and mis-shaped key is listed.
    """
    return build_lm(read_lm_file(given_path(path), weights), dtype=dtype, device=device)


def lm_file(path: Path) -> Path | None:
    """Return the file of a published language model that a path names, if there is one."""
    if path.is_file():
        return path
    files = (path / LM_FILE, path / TRAINING_FILE)
    return next((file for file in files if file.is_file()), None)


def read_lm_file(path: Path, weights: Weights = "best") -> LMFile:
    """Read a language model's file without building the model; raises as its loader does."""
    check_weights(weights)
    file = lm_file(path)
    if file is None:
        found = ", ".join(sorted(e.name for e in path.iterdir())[:4]) if path.is_dir() else ""
        raise FileNotFoundError(
            f"there is no {LM_FILE} and no {TRAINING_FILE} at {path}"
            + (f" (it holds {found}): give another folder" if found else ": give another path")
        )
    package = read_archive(file)
    if "pretrained" not in package:
        cfg = read_config(package, file)
        state = plain_names(chosen_state(package, weights, file))
        if is_language_model(state):
            return LMFile(path=file, config=read_lm_config(cfg), state=state, package=package)
    raise CheckpointError(
        f"{file} is no language model, it is of a codec: that is published as {CODEC_FILE} beside "
        f"{LM_FILE}. Were the two files swapped?"
    )


def build_lm(
    file: LMFile, *, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu"
) -> TokenLM:
    """Build a language model with the tensors of its file; raises as `load_language_model` does.

    Every tensor is made once, as what it shall be: no more memory is taken than for the result.
    """
    lm = build_on_meta(TokenLM, file.keywords, file.path, said_in="xp.cfg")
    own, places = lm.state_dict(), published_places(lm)
    wanted = {theirs: place.of(own[place.name]).shape for theirs, place in places.items()}
    check_tensors(file.state, wanted, source=file.path, what=WHAT)
    tensors = {
        name: torch.empty(value.shape, dtype=dtype, device=device) for name, value in own.items()
    }
    filled = {theirs: place.of(tensors[place.name]) for theirs, place in places.items()}
    for theirs, target in filled.items():
        target.copy_(file.state[theirs].detach())  # saved with keep_vars, they want gradients
    check_finite(filled, source=file.path, what=WHAT)
    lm.load_state_dict(tensors, assign=True)
    return lm.eval()
