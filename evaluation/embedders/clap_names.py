"""Weights of laion_clap under the names of transformers, and the sizes that they show.

Source: the names are those of both programs; which of them mean the same is a fact about them.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evaluation.embedders.clap_front import mel_bank
from evaluation.embedders.weight_file import WeightsError

RENAMED = (  # in this order
    ("text_branch", "text_model"),
    ("audio_branch", "audio_model.audio_encoder"),
    ("attn", "attention.self"),
    ("self.proj", "output.dense"),
    ("attention.self_mask", "attn_mask"),
    ("mlp.fc1", "intermediate.dense"),
    ("mlp.fc2", "output.dense"),
    ("norm1", "layernorm_before"),
    ("norm2", "layernorm_after"),
    ("bn0", "batch_norm"),
    ("_projection.0.", "_projection.linear1."),
    ("_projection.2.", "_projection.linear2."),
)
# What a score never uses: constants of the front end, tasks beside the embedding, buffers.
UNUSED = re.compile(
    r"audio_branch\.(spectrogram_extractor|logmel_extractor|tscam_conv|head)\..*|"
    r"(audio|text)_transform\..*|(.*\.)?attn_mask|text_branch\.embeddings\.(position|token_type)_ids"
)
MEL_BANK = "audio_branch.logmel_extractor.melW"
AUDIO = "audio_model.audio_encoder"
HEAD_DIM = 64  # of the text tower; RoBERTa's


def strip_module(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take off the prefix that training on several devices puts before every name."""
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}


def to_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a state of laion_clap, split what it joins, and leave out what no score uses."""
    renamed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if UNUSED.fullmatch(name):
            continue
        for old, new in RENAMED:
            name = name.replace(old, new)
        if "qkv" in name:
            for part, piece in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                renamed[name.replace("qkv", part)] = piece
        else:
            renamed[name] = tensor
    return renamed


def read_config(state: Mapping[str, Tensor], path: Path) -> dict[str, Any]:
    """Return the configuration of a ClapModel that fits a renamed state.

    Raises:
        WeightsError: if a tensor that tells a size is not there.
    """
    try:
        return {
            "audio_config": audio_config(state),
            "text_config": _text_config(state),
            "projection_dim": len(state["audio_projection.linear2.weight"]),
        }
    except (KeyError, IndexError) as error:
        raise WeightsError(
            f"{path}: not the weights of CLAP with HTSAT and RoBERTa: no tensor {error}. "
            "Is it the file of another network?"
        ) from error


def check_mel_bank(state: Mapping[str, Tensor], path: Path) -> None:
    """Refuse weights that come with a filter bank of their own.

    Raises:
        WeightsError: if it is not the one of the published networks.
    """
    bank, ours = state.get(MEL_BANK), mel_bank(False)
    if bank is None:
        return
    if bank.shape != ours.shape or (bank - ours).abs().max() > 0.01 * ours.max():
        raise WeightsError(
            f"{path}: trained with another front end than 64 mel bands from 50 to 14000 Hz at "
            "48 kHz: its filter bank is another. No published CLAP is like that"
        )


def audio_config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the configuration of a ClapAudioModel that fits a renamed state.

    Raises:
        KeyError: naming the tensor that tells a size and is not there.
    """
    width = len(state[f"{AUDIO}.patch_embed.proj.weight"])
    depths = count_blocks(state, rf"{AUDIO}\.layers\.(\d+)\.blocks\.(\d+)\..*")
    table = "attention.self.relative_position_bias_table"
    heads = [
        state[f"{AUDIO}.layers.{stage}.blocks.0.{table}"].shape[1] for stage in range(len(depths))
    ]
    fused = state.get(f"{AUDIO}.patch_embed.fusion_model.local_att.0.weight")
    return {
        "patch_embeds_hidden_size": width,
        "depths": depths,
        "num_attention_heads": heads,
        "num_hidden_layers": len(depths),
        "hidden_size": width * 2 ** (len(depths) - 1),
        "enable_fusion": fused is not None,
        "fusion_type": None if fused is None else "aff_2d",
        "aff_block_r": 4 if fused is None else width // len(fused),
    }


def _text_config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    words = state["text_model.embeddings.word_embeddings.weight"]
    inner = state["text_model.encoder.layer.0.intermediate.dense.weight"]
    (layers,) = count_blocks(state, r"text_model\.encoder\.(layer)\.(\d+)\..*")
    return {
        "vocab_size": words.shape[0],
        "hidden_size": words.shape[1],
        "num_hidden_layers": layers,
        "num_attention_heads": max(1, words.shape[1] // HEAD_DIM),
        "intermediate_size": inner.shape[0],
        "max_position_embeddings": len(state["text_model.embeddings.position_embeddings.weight"]),
        "layer_norm_eps": 1e-5,  # RoBERTa's; the class would take 1e-12
    }


def count_blocks(state: Mapping[str, Tensor], pattern: str) -> list[int]:
    """Return how many second numbers there are to each first one of a pattern.

    Raises:
        KeyError: if no name fits it.
    """
    found: dict[str, int] = {}
    for name in state:
        match = re.fullmatch(pattern, name)
        if match:
            found[match[1]] = max(found.get(match[1], 0), int(match[2]) + 1)
    if not found:
        raise KeyError(pattern)
    return [found[key] for key in sorted(found)]


def buffers(config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the constants that transformers keeps among the weights, and laion_clap need not."""
    positions = config["text_config"]["max_position_embeddings"]
    return {
        "text_model.embeddings.position_ids": torch.arange(positions)[None],
        "text_model.embeddings.token_type_ids": torch.zeros(1, positions, dtype=torch.long),
    }
