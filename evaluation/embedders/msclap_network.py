"""The two towers of Microsoft's CLAP, built by transformers, with published or hashed weights.

Source: Elizalde et al. 2023 (arXiv:2309.05767), HTSAT for sound and GPT-2 for text.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import ClapAudioConfig, ClapAudioModel, GPT2Config, GPT2Model
from transformers.initialization import no_init_weights

from evaluation.embedders.clap_network import TOWERS, check_two, fill_clap, two_mels
from evaluation.embedders.msclap_front import FRAMES, mel_bank
from evaluation.embedders.msclap_names import read_config, read_front_end, rename, whole_numbers
from evaluation.embedders.msclap_text import FILLING
from evaluation.embedders.weight_file import (
    check_tensors,
    load_strict,
    read_torch_file,
    weights_sha256,
)

FIRST_KEY = 4000  # of the hashed weights, so that no network shares numbers with another
PUBLISHED: dict[str, Any] = {"audio": TOWERS["tiny"], "text": {}, "dim": 1024}  # GPT-2's defaults


class Projection(nn.Module):
    """Into the space of both towers: a layer, a second one on top of it, and their sum's norm."""

    def __init__(self, *, width: int, dim: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(width, dim, bias=False)
        self.linear2 = nn.Linear(dim, dim, bias=False)
        self.layer_norm = nn.LayerNorm(dim)

    def forward(self, states: Tensor) -> Tensor:
        """Map [n, width] to [n, dim]."""
        first = self.linear1(states)
        found: Tensor = self.layer_norm(first + self.linear2(nn.functional.gelu(first)))
        return found


class MsClapTowers(nn.Module):
    """HTSAT for sound, GPT-2 for text, and a projection behind each."""

    def __init__(self, *, audio: Mapping[str, Any], text: Mapping[str, Any], dim: int) -> None:
        """Take the sizes, as transformers calls them, and that of the common space."""
        super().__init__()
        self.audio_model = ClapAudioModel(ClapAudioConfig(**audio))
        self.text_model = GPT2Model(GPT2Config(bos_token_id=None, eos_token_id=None, **text))
        self.audio_projection = Projection(width=self.audio_model.config.hidden_size, dim=dim)
        self.text_projection = Projection(width=self.text_model.config.n_embd, dim=dim)
        self.dim = dim


def build_towers(config: Mapping[str, Any]) -> MsClapTowers:
    """Build a network whose numbers, other than constants, are still to be written."""
    with no_init_weights():
        network = MsClapTowers(**config)
    return network.eval().requires_grad_(False)


def load_msclap(path: Path) -> tuple[MsClapTowers, Tensor, str]:
    """Load and test published weights.

    Args:
        path: CLAP_weights_2023.pth.

    Returns:
        the network, its mel filters float64 [513, 64], and the sha256 of the file.

    Raises:
        WeightsError: if it is another file, or its audio tower does not tell sounds apart.
    """
    content = read_torch_file(path, mapped=True)
    sha256 = weights_sha256(path)
    if isinstance(content, Mapping) and "model" in content:
        content = content["model"]
    original = check_tensors(content, path)
    state = rename(original)
    network = build_towers(read_config(state, path))
    load_strict(network, whole_numbers(state, network.state_dict()), path)
    bank = read_front_end(original, path)
    check_two(embed_audio(network, two_mels(FRAMES)), path)
    return network, bank, sha256


def hash_msclap() -> tuple[MsClapTowers, Tensor]:
    """Make a network of hashed random numbers, of the published sizes, with its mel filters."""
    network = build_towers(PUBLISHED)
    fill_clap(network, first_key=FIRST_KEY)
    return network, mel_bank()


@torch.inference_mode()
def embed_audio(network: MsClapTowers, mels: Tensor) -> Tensor:
    """Map float32 [n, 1, 965, 64] to [n, D] of length 1."""
    states = network.audio_model(input_features=mels).pooler_output
    return nn.functional.normalize(network.audio_projection(states).float(), dim=-1)


@torch.inference_mode()
def embed_text(network: MsClapTowers, ids: Tensor, mask: Tensor) -> Tensor:
    """Map token ids [n, L] and their mask to [n, D] of length 1.

    The package takes the state of the last token, which it finds by counting all that are not "!".
    So a caption with exclamation marks is read at an earlier word, and here too.

    Raises:
        ValueError: if there are more tokens than the tower has places.
    """
    places = network.text_model.config.n_positions
    if ids.shape[1] > places:
        raise ValueError(
            f"a caption has {ids.shape[1]} tokens, and the text tower of Microsoft's CLAP takes "
            f"{places} at most: shorten it"
        )
    states = network.text_model(input_ids=ids, attention_mask=mask).last_hidden_state
    last = (ids != FILLING).sum(dim=1) - 1
    found = network.text_projection(states[torch.arange(len(ids), device=ids.device), last])
    return nn.functional.normalize(found.float(), dim=-1)
