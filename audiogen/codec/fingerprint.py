"""What tells one codec from another: a hash of all that decides its codes."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

# Keywords younger than the first fingerprints: at these values they change nothing, and a
# fingerprint leaves them out, so that a codec saved before them is still itself.
ADDED_LATER: Mapping[str, Any] = {
    "norm_params": None,
    "final_activation_params": None,
    "paper_exact": False,
}
TRAINING_NOTES = ("quantizer._extra_state", "quantizer.restarts")  # they change no code


def fingerprint(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> str:
    """Hash the keywords of a codec, as JSON values, and its state dict: sha256 in hex.

    The generator's state and the count of restarts are left out: they are notes of training and
    do not change what a codec computes.
    """
    told = {k: v for k, v in config.items() if k not in ADDED_LATER or v != ADDED_LATER[k]}
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for name, value in sorted(state.items()):
        if name in TRAINING_NOTES:
            continue
        array = value.detach().cpu().contiguous()
        digest.update(f"\n{name} {array.dtype} {list(array.shape)}\n".encode())
        digest.update(array.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
