"""Parts are built without drawing the weights that are about to be replaced."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import init

from audiogen.model_folder.build import NoInit, build_part
from audiogen.model_folder.layout import CheckpointError


@pytest.mark.parametrize(
    "draw",
    [
        *(init.uniform_, init.normal_, init.kaiming_uniform_),
        *(init.kaiming_normal_, init.xavier_uniform_, init.xavier_normal_),
        *(torch.Tensor.uniform_, torch.Tensor.normal_),
    ],
)
def test_draws_do_nothing(draw):
    before = torch.get_rng_state()
    with NoInit():
        value = draw(torch.full((3, 3), 7.0))
    assert torch.equal(value, torch.full((3, 3), 7.0))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.Linear])
def test_layers_draw_nothing(kind):
    with torch.random.fork_rng(devices=[]), NoInit():
        before = torch.get_rng_state()
        kind(4, 4)
        nn.Conv1d(4, 4, 3)
        assert torch.equal(torch.get_rng_state(), before)


def test_constants_stay():
    with NoInit():
        norm = nn.LayerNorm(3)
    assert norm.weight.tolist() == [1, 1, 1]


def test_what_cannot_be_built_is_an_error_of_the_file():
    with pytest.raises(CheckpointError, match=r"x/y: xp.cfg describes a part .*: .*no_such"):
        build_part(nn.Linear, {"no_such": 3}, Path("x/y"), said_in="xp.cfg")
