"""The reference's language models in small, and ours with their weights."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from audiogen.lm.model import TokenLM

GOLDEN = Path(__file__).parents[2] / "golden"  # its lm*.npz are written by make_lm.py
SIZES = {"num_codebooks": 4, "codebook_size": 32, "text_dim": 32, "num_heads": 4}
MODELS = {
    "lm": SIZES | {"dim": 64, "num_layers": 3, "delays": [0, 1, 2, 3]},
    "lm_alt": SIZES
    | {
        "dim": 32,
        "num_layers": 2,
        "pattern": {"name": "parallel"},
        "norm_first": False,
        "bias_ff": True,
        "bias_attn": True,
        "bias_proj": True,
    },
}
TINY = {  # of no reference
    "num_codebooks": 2,
    "codebook_size": 16,
    "text_dim": 6,
    "dim": 64,
    "num_layers": 3,
    "num_heads": 4,
    "delays": [0, 1],
}
RENAMED = {  # in this order, written out here because the loader has a table of its own
    r"condition_provider\.conditioners\.description\.output_proj": "text_projection",
    r"out_norm": "norm",
    r"transformer\.layers": "blocks",
    r"\.mha\.": ".",
    r"in_proj_(weight|bias)": r"in_proj.\1",
    r"self_attn": "self_attention",
    r"norm1": "norm_self",
    r"norm2": "norm_mlp",
    r"linear1": "mlp_in",
    r"linear2": "mlp_out",
}


def our_state(state):
    """Rename the reference's tensors, and join those of the codebooks."""
    ours = {}
    for name, value in state.items():
        for theirs, name_of_ours in RENAMED.items():
            name = re.sub(theirs, name_of_ours, name)
        if found := re.fullmatch(r"(emb|linears)\.(\d)\.(\w+)", name):
            part, codebook, kind = found.groups()
            name = f"{ {'emb': 'embedding', 'linears': 'head'}[part] }.{kind}"
            assert int(codebook) == len(ours.setdefault(name, []))
            ours[name].append(value)
        else:
            ours[name] = value
    return {name: torch.cat(v) if isinstance(v, list) else v for name, v in ours.items()}


@dataclass(frozen=True)
class Reference:
    """One model of the reference: what it computed, and ours with its weights."""

    name: str
    arrays: dict[str, Tensor]
    lm: TokenLM

    def __getitem__(self, name):
        return self.arrays[name]


def load_reference(name):
    arrays = np.load(GOLDEN / f"{name}.npz")
    tensors = {key: torch.from_numpy(arrays[key]) for key in arrays}
    state = {key[7:]: value for key, value in tensors.items() if key.startswith("state::")}
    lm = TokenLM(**MODELS[name])
    lm.load_state_dict(our_state(state), strict=True)
    return Reference(name, tensors, lm.eval())


@pytest.fixture
def golden_lm(golden):
    """Ours with the weights that made the arrays of ``golden``, in evaluation mode."""
    return load_reference("lm").lm


@pytest.fixture(scope="session")
def golden():
    """The arrays of the reference's model of the published kind."""
    return load_reference("lm").arrays


@pytest.fixture(scope="session", params=MODELS)
def reference(request):
    """Each model of the reference in turn; not to be changed."""
    return load_reference(request.param)


@pytest.fixture
def tiny_lm(make_lm):
    """A small random `TokenLM` whose weights are wide enough for captions to matter."""
    lm = make_lm(text_dim=6, dim=24, delays=[0, 2, 1], embedding_std=0.5)
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
