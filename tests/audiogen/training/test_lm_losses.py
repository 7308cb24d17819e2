"""The losses of parts, processes and codebooks, as those of one update."""

import math

import pytest
import torch
import torch.distributed as dist

from audiogen.lm.model import TokenLM
from audiogen.training.lm_losses import count_targets, read_steps, shares, with_means

PATTERNS = [
    {"name": "delay", "delays": [0, 1, 2, 3]},
    {"name": "delay", "delays": [0, 2, 1, 5], "flatten_first": 2, "empty_initial": 1},
    {"name": "parallel"},
    {"name": "unroll", "flattening": [0, 1, 1, 1], "delays": [0, 1, 1, 1]},
    {"name": "coarse_first"},
    {"name": "musiclm", "group_by": 2},
]


def make_lm(pattern):
    torch.manual_seed(0)
    sizes = {"num_codebooks": 4, "codebook_size": 8, "text_dim": 4}
    return TokenLM(**sizes, dim=8, num_layers=1, num_heads=2, pattern=pattern)


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern["name"])
def test_targets_are_counted_as_they_are_predicted(pattern, complete):
    """Beside the valid positions of `predict`, for full and short items."""
    lm = make_lm(pattern)
    frames = 7
    codes = torch.randint(8, (2, 4, frames))
    mask = torch.arange(frames) < torch.tensor([frames, 3])[:, None, None]
    mask = mask.expand(2, 4, frames)
    read = []
    lm.register_forward_pre_hook(lambda module, args: read.append(args[0].shape[-1]))
    with torch.no_grad():
        _, valid = lm.predict(codes, torch.zeros(2, 1, 8), complete=complete)
    counts = count_targets(lm, mask, complete=complete)
    assert counts.tolist() == (valid & mask).sum(dim=(0, 2)).tolist()
    assert read == [read_steps(lm, frames, complete=complete)]


def test_shares_make_parts_weigh_as_their_targets():
    counts = [torch.tensor([3.0, 1.0]), torch.tensor([1.0, 1.0])]
    assert torch.equal(torch.stack(shares(counts, of_all=True)).sum(dim=0), torch.ones(2))
    assert shares(counts, of_all=True)[0].tolist() == [0.75, 0.5]


@pytest.mark.parametrize(("of_all", "expected"), [(True, [0.6, 1.0]), (False, [1.0, 1.0])])
def test_shares_of_processes_average_to_one(monkeypatch, of_all, expected):
    """This one has 3 and 5 targets, the other 7 and 5: 2 * 3 / 10 and 2 * 5 / 10."""
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    other = torch.tensor([7.0, 5.0]).double()
    monkeypatch.setattr(dist, "all_reduce", lambda total: total.add_(other))
    (share,) = shares([torch.tensor([3.0, 5.0]).double()], of_all=of_all)
    assert share.tolist() == pytest.approx(expected)


def test_means_and_perplexities_of_every_kind():
    values = with_means(
        {
            "loss_codebook_0": 1.0,
            "loss_codebook_1": 3.0,
            "loss_no_captions_codebook_0": 2.0,
            "loss_no_captions_codebook_1": 800.0,
            "gradient_norm": 5.0,
        }
    )
    assert values["loss"] == 2.0
    assert values["perplexity"] == pytest.approx(math.exp(2))
    assert values["perplexity_codebook_1"] == pytest.approx(math.exp(3))
    assert values["loss_no_captions"] == 401.0
    assert values["perplexity_no_captions_codebook_0"] == pytest.approx(math.exp(2))
    assert values["perplexity_no_captions_codebook_1"] == math.inf
    assert values["gradient_norm"] == 5.0
