import importlib.util
from pathlib import Path

import numpy as np
import torch
from torch import nn

from evaluation.embedders.hashed import BLOCK, fill_hashed, hashed_uniform

MASK = 0xFFFFFFFF
GOLDEN = Path(__file__).parents[2] / "golden" / "hashed.py"


def mix(x):
    """The recipe once more, number by number in Python's integers."""
    x ^= x >> 16
    x = x * 0x7FEB352D & MASK
    x ^= x >> 15
    x = x * 0x846CA68B & MASK
    return x ^ x >> 16


def test_it_is_the_recipe():
    got = hashed_uniform((BLOCK + 5,), key=17, scale=0.3).numpy()
    for i in (0, 1, 2, 999, BLOCK - 1, BLOCK, BLOCK + 4):  # across the seam of two blocks
        unit = np.float32((mix(i ^ mix(18)) >> 8) * 2.0**-24 - 0.5)
        assert got[i] == unit * np.float32(0.3)


def test_the_scripts_of_the_golden_arrays_have_the_same_numbers():
    spec = importlib.util.spec_from_file_location("hashed", GOLDEN)
    theirs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(theirs)
    assert hashed_uniform((1000,), key=1003).equal(torch.from_numpy(theirs.unit(1000, 1003)))
    matrix = torch.empty(40, 5, 5)
    scale = float(np.float32((12 / 25) ** 0.5))
    expected = hashed_uniform((40, 5, 5), key=7, scale=scale)
    assert expected.equal(theirs.like(matrix, 7))


def test_rows_are_filled_one_after_the_other():
    flat = hashed_uniform((12,), key=3)
    assert hashed_uniform((3, 4), key=3).equal(flat.view(3, 4))
    assert hashed_uniform((), key=3).item() == flat[0]


def test_it_is_uniform_and_keys_differ():
    x, y = (hashed_uniform((200_000,), key=key, scale=2.0).double() for key in (0, 1))
    assert abs(x.mean()) < 0.005
    assert abs(x.var() - 4 / 12) < 0.003
    assert abs((x * y).mean()) < 0.003
    assert x.min() >= -1
    assert x.max() < 1


def test_filling_a_network_leaves_the_global_stream_alone():
    before = torch.random.get_rng_state()
    network = nn.utils.skip_init(nn.Linear, 3, 2)
    fill_hashed(network, lambda name, tensor: (5.0, 0.1) if name == "bias" else (0.0, 1.0))
    assert network.weight.equal(hashed_uniform((2, 3), key=0))
    assert network.bias.equal(5 + hashed_uniform((2,), key=1, scale=0.1))
    assert torch.random.get_rng_state().equal(before)
