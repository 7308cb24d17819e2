"""What a quantizer learns: averages, restarts, starts, and steps of several passes."""

import copy
from contextlib import suppress

import pytest
import torch
from torch import Tensor

from audiogen.codec.health import code_statistics
from audiogen.codec.quantizer import ResidualVectorQuantizer


def make(**changes: object) -> ResidualVectorQuantizer:
    settings = {"dim": 4, "num_codebooks": 3, "codebook_size": 8, "decay": 0.9, "kmeans_iters": 5}
    return ResidualVectorQuantizer(**(settings | changes))


def latents(seed: int = 0, batch: int = 2, dim: int = 4, frames: int = 30) -> Tensor:
    return torch.randn(batch, dim, frames, generator=torch.Generator().manual_seed(seed))


def test_codebooks_follow_moving_latents():
    """A codebook learned on one cloud finds another one: error falls by averaging alone."""
    rvq = make(num_codebooks=1, dead_code_threshold=0.0, decay=0.8)
    rvq(latents())
    far = latents(1) + 5
    first = rvq(far).commitment_loss.item()
    for _ in range(60):
        last = rvq(far).commitment_loss.item()
    assert last < 0.1 * first


def test_restarts_revive_a_collapsed_codebook():
    x = latents(frames=200)
    perplexity = {}
    for threshold in (0.0, 0.3):
        rvq = make(num_codebooks=1, kmeans_init=False, dead_code_threshold=threshold)
        rvq.codebooks[0].embed[1:] += 100  # one entry in reach
        rvq.codebooks[0].embed_avg[1:] += 100
        for _ in range(60):
            codes = rvq(x).codes
        counts = torch.bincount(codes.flatten(), minlength=8)
        perplexity[threshold] = code_statistics(counts)["perplexity"].item()
        assert (rvq.restarts.item() > 0) == (threshold > 0)
    assert perplexity[0.0] == 1
    assert perplexity[0.3] > 5


def test_bypass_changes_nothing_and_learns_nothing():
    rvq = make()
    before = copy.deepcopy(rvq.state_dict())
    rvq.bypass = True
    x = latents().requires_grad_()
    output = rvq(x)
    assert torch.equal(output.latents, x)
    assert output.codes.shape == (2, 3, 30)
    assert output.commitment_loss == 0
    assert all(torch.equal(v, before[k]) for k, v in rvq.state_dict().items())


def test_start_weighs_as_one_update_whatever_its_size():
    """Entries are the means of the start at first, and follow the data at the rate of the decay."""
    x, elsewhere = latents(frames=400), latents(frames=30, seed=5) + 3
    rvq = make(codebook_size=16, num_codebooks=1, decay=0.9, dead_code_threshold=0.0)
    rvq.start(x, per_update=60)
    book = rvq.codebooks[0]
    torch.testing.assert_close(book.cluster_size.sum(), torch.tensor(60.0))
    torch.testing.assert_close(book.embed_avg, book.embed * book.cluster_size[:, None])
    rvq.train()(elsewhere)
    assert book.cluster_size.sum() == pytest.approx(60)
    newest = int(rvq.encode(elsewhere).flatten().mode().values)
    before = make(codebook_size=16, num_codebooks=1, decay=0.9, dead_code_threshold=0.0)
    before.start(x)
    before.train()(elsewhere)  # 800 latents of the start against 60 of an update
    target = elsewhere.mean(dim=(0, 2))
    far = (before.codebooks[0].embed[newest] - target).norm()
    assert (book.embed[newest] - target).norm() < far


def test_start_runs_kmeans_on_every_residual():
    rvq = make(codebook_size=16)
    rvq.start(latents(frames=400))
    usage = rvq.usage()
    assert all(book.is_inited for book in rvq.codebooks)
    assert (usage["perplexity"] > 8).all()
    entries = [book.embed.clone() for book in rvq.codebooks]
    assert entries[2].norm() < entries[0].norm()
    rvq.eval()
    rvq(latents(1))
    assert all(torch.equal(a, b.embed) for a, b in zip(entries, rvq.codebooks, strict=True))


@pytest.mark.parametrize("parts", [2, 4])
def test_a_step_of_several_passes_is_a_step_of_one(parts):
    """Averages, restarts and codebook dropout are of the whole batch, however it is cut."""
    settings = {"codebook_dropout": True, "dead_code_threshold": 0.9}
    whole, cut = make(**settings), make(**settings)
    for step in range(4):
        x = torch.randn(4, whole.dim, 30, generator=torch.Generator().manual_seed(step))
        if step == 0:
            for rvq in (whole, cut):
                rvq.start(x)
        with whole.one_step():
            expected = whole(x)
        with cut.one_step():
            with torch.no_grad():
                cut(x[:1])  # a rehearsal learns nothing
            codes = torch.cat([cut(part).codes for part in x.chunk(parts)])
        assert torch.equal(codes, expected.codes)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(cut.state_dict()[name], value, rtol=0, atol=0)
    assert whole.restarts.sum() > 0


def test_paper_exact_learns_on_the_way():
    """The training averages buffers after the backward pass, which has to find them moved."""
    inside, outside = make(paper_exact=True), make(paper_exact=True)
    outside(latents())
    with inside.one_step():
        inside(latents())
        assert torch.equal(inside.codebooks[0].embed_avg, outside.codebooks[0].embed_avg)
    for name, value in outside.state_dict().items():
        assert torch.equal(inside.state_dict()[name], value), name


def test_a_step_that_fails_learns_nothing():
    rvq = make(kmeans_init=False)
    before = rvq.codebooks[0].embed.clone()
    with suppress(KeyError), rvq.one_step():
        rvq(latents())
        raise KeyError
    assert torch.equal(rvq.codebooks[0].embed, before)
    rvq(latents())
    assert not torch.equal(rvq.codebooks[0].embed, before)
