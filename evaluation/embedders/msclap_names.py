"""Weights of the package msclap under the names of transformers, and the sizes that they show.

Source: the names are those of both programs; which of them mean the same is a fact about them. The
published file keeps every number as a float, whole ones too, and masks that GPT-2 no longer has.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evaluation.embedders.clap_front import FFT
from evaluation.embedders.clap_names import audio_config, count_blocks, to_transformers
from evaluation.embedders.msclap_front import mel_bank
from evaluation.embedders.weight_file import WeightsError

HTSAT = "audio_encoder.base.htsat."
MOVED = (  # beginnings of names
    ("caption_encoder.base.", "text_model."),
    ("caption_encoder.projection.", "text_projection."),
    ("audio_encoder.projection.", "audio_projection."),
)
UNUSED = re.compile(r"logit_scale|caption_encoder\.base\.h\.\d+\.attn\.(bias|masked_bias)")
FRONT = f"{HTSAT}spectrogram_extractor.stft.conv_"
MEL_BANK = f"{HTSAT}logmel_extractor.melW"
HEAD_DIM = 64  # of the text tower; GPT-2's


def rename(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a state of msclap, split what it joins, and leave out what no score uses."""
    sound = {
        name.replace(HTSAT, "audio_branch.", 1): tensor
        for name, tensor in state.items()
        if name.startswith(HTSAT)
    }
    renamed = to_transformers(sound)
    for name, tensor in state.items():
        if name.startswith(HTSAT) or UNUSED.fullmatch(name):
            continue
        for old, new in MOVED:
            name = new + name.removeprefix(old) if name.startswith(old) else name
        renamed[name] = tensor
    return renamed


def whole_numbers(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state whose floats are whole numbers again where the network has such."""
    restored = dict(state)
    for name, tensor in own.items():
        given = restored.get(name)
        if tensor.is_floating_point() or given is None or not given.is_floating_point():
            continue
        if torch.equal(given, given.round()):
            restored[name] = given.to(tensor.dtype)
    return restored


def read_config(state: Mapping[str, Tensor], path: Path) -> dict[str, Any]:
    """Return the sizes of the network that fits a renamed state.

    Raises:
        WeightsError: if a tensor that tells a size is not there.
    """
    try:
        words = state["text_model.wte.weight"]
        (layers,) = count_blocks(state, r"text_model\.(h)\.(\d+)\..*")
        return {
            "audio": audio_config(state),
            "text": {
                "vocab_size": words.shape[0],
                "n_embd": words.shape[1],
                "n_layer": layers,
                "n_head": max(1, words.shape[1] // HEAD_DIM),
                "n_positions": len(state["text_model.wpe.weight"]),
            },
            "dim": len(state["audio_projection.linear1.weight"]),
        }
    except (KeyError, IndexError) as error:
        raise WeightsError(
            f"{path}: not the weights of Microsoft's CLAP of 2023, with HTSAT and GPT-2: no tensor "
            f"{error}. Is it the file of another network?"
        ) from error


def read_front_end(state: Mapping[str, Tensor], path: Path) -> Tensor:
    """Return the mel filters of a state of msclap, float64 [513, 64], which the package uses.

    Raises:
        WeightsError: if they are no such filters, or the windows before them are not Hann's.
    """
    expected = mel_bank()
    bank = state.get(MEL_BANK, expected).double()
    fits = bank.shape == expected.shape and bool(bank.isfinite().all())
    if not fits or not _is_fourier(state):
        raise WeightsError(
            f"{path}: trained with another front end than {expected.shape[1]} mel bands of Hann "
            f"windows of {FFT} samples. No published CLAP of Microsoft is like that"
        )
    return bank


def _is_fourier(state: Mapping[str, Tensor]) -> bool:
    """See that the windows of a state, if it has them, are those of a Fourier transform."""
    angle = torch.outer(torch.arange(FFT // 2 + 1), torch.arange(FFT)) % FFT * (2 * torch.pi / FFT)
    window = torch.hann_window(FFT, dtype=torch.float64)
    for part, wave in (("real", angle.cos()), ("imag", -angle.sin())):
        given = state.get(f"{FRONT}{part}.weight")
        if given is None:
            continue
        ours = (wave * window)[:, None]
        if given.shape != ours.shape or not torch.allclose(given.double(), ours, rtol=0, atol=1e-4):
            return False
    return True
