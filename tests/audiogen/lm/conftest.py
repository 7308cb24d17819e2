"""The published model's language model in small, and ours with its weights."""

from pathlib import Path

import numpy as np
import pytest
import torch

from audiogen.lm.model import TokenLM

GOLDEN = Path(__file__).parents[2] / "golden" / "lm.npz"  # written by golden/make_lm.py
LAYER_KEYS = {
    "self_attn.in_proj_weight": "self_attention.in_proj.weight",
    "self_attn.out_proj.weight": "self_attention.out_proj.weight",
    "cross_attention.in_proj_weight": "cross_attention.in_proj.weight",
    "cross_attention.out_proj.weight": "cross_attention.out_proj.weight",
    "linear1.weight": "mlp_in.weight",
    "linear2.weight": "mlp_out.weight",
    **{
        f"{theirs}.{part}": f"{ours}.{part}"
        for theirs, ours in {
            "norm1": "norm_self",
            "norm_cross": "norm_cross",
            "norm2": "norm_mlp",
        }.items()
        for part in ("weight", "bias")
    },
}


def our_state(state):
    """Rename the reference's tensors; every one is used once."""
    state = dict(state)
    text = "condition_provider.conditioners.description.output_proj."
    ours = {f"text_projection.{part}": state.pop(text + part) for part in ("weight", "bias")}
    ours |= {f"norm.{part}": state.pop(f"out_norm.{part}") for part in ("weight", "bias")}
    ours["embedding.weight"] = torch.cat([state.pop(f"emb.{k}.weight") for k in range(4)])
    ours["head.weight"] = torch.cat([state.pop(f"linears.{k}.weight") for k in range(4)])
    for layer in range(3):
        for theirs, name in LAYER_KEYS.items():
            ours[f"blocks.{layer}.{name}"] = state.pop(f"transformer.layers.{layer}.{theirs}")
    assert not state
    return ours


@pytest.fixture(scope="session")
def golden():
    return {name: torch.from_numpy(array) for name, array in np.load(GOLDEN).items()}


@pytest.fixture
def golden_lm(golden):
    """A `TokenLM` with the weights that made the golden arrays, in evaluation mode."""
    lm = TokenLM(
        num_codebooks=4,
        codebook_size=32,
        text_dim=32,
        dim=64,
        num_layers=3,
        num_heads=4,
        delays=[0, 1, 2, 3],
    )
    prefix = "state::"
    state = {key[len(prefix) :]: v for key, v in golden.items() if key.startswith(prefix)}
    lm.load_state_dict(our_state(state), strict=True)
    return lm.eval()


@pytest.fixture
def tiny_lm():
    """A small random `TokenLM` whose weights are wide enough for captions to matter."""
    lm = TokenLM(
        num_codebooks=3,
        codebook_size=16,
        text_dim=6,
        dim=24,
        num_layers=2,
        num_heads=2,
        delays=[0, 2, 1],
        embedding_std=0.5,
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in lm.parameters():
            if parameter.ndim == 2:
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.copy_(noise * 2 / parameter.shape[1] ** 0.5)
    return lm.eval()


@pytest.fixture
def captions(tiny_lm):
    """Projected text [3, 5, D] and its mask: a long caption, a short one, and none."""
    generator = torch.Generator().manual_seed(1)
    mask = torch.arange(5) < torch.tensor([[5], [2], [0]])
    states = torch.randn(3, 5, 6, generator=generator)
    return tiny_lm.project_text(states, mask).detach(), mask
