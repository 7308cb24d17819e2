import pytest
import torch
from torch import Tensor

from audiogen.codec import codebook as module
from audiogen.codec.codebook import (
    Codebook,
    cluster_sums,
    draw_rows,
    kmeans,
    nearest,
    orthogonality_loss,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make(**changes: object) -> Codebook:
    settings = {
        "dim": 4,
        "size": 8,
        "decay": 0.9,
        "kmeans_init": False,
        "kmeans_iters": 10,
        "dead_code_threshold": 0.0,
        "dead_code_unit": "mean",
        "generator": generator(),
    }
    return Codebook(**(settings | changes))


def test_nearest_is_the_smallest_distance(monkeypatch):
    latents, entries = torch.randn(100, 5).double(), torch.randn(13, 5).double()
    expected = torch.cdist(latents, entries).argmin(dim=1)
    torch.testing.assert_close(nearest(latents, entries), expected)
    monkeypatch.setattr(module, "CHUNK", 7)
    torch.testing.assert_close(nearest(latents, entries), expected)


def test_the_first_of_equal_entries_wins():
    entries = torch.tensor([[5.0], [1.0], [1.0], [-3.0]])
    assert nearest(torch.tensor([[0.9], [-1.1]]), entries).tolist() == [1, 3]


def test_cluster_sums_are_those_of_a_one_hot_product():
    latents, indices = torch.randn(50, 3), torch.randint(6, (50,))
    one_hot = torch.nn.functional.one_hot(indices, 7).float()
    counts, sums = cluster_sums(latents, indices, 7)
    torch.testing.assert_close(counts, one_hot.sum(dim=0))
    torch.testing.assert_close(sums, one_hot.T @ latents)


@pytest.mark.parametrize("iterations", [1, 5, 50])
def test_kmeans_matches_golden(golden, iterations):
    vq, _ = golden("vq")
    samples = vq["kmeans_samples"]
    means, counts = kmeans(samples, samples[:10], iterations=iterations)
    torch.testing.assert_close(means, vq[f"kmeans_means_it{iterations}"], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(counts.long(), vq[f"kmeans_bins_it{iterations}"])


def test_orthogonality_matches_golden(golden):
    vq, _ = golden("vq")
    loss = orthogonality_loss(vq["kmeans_samples"][:10])
    torch.testing.assert_close(loss, vq["orthogonal_loss"], rtol=1e-5, atol=1e-7)


def test_orthogonality_of_axes_and_of_copies():
    assert orthogonality_loss(3 * torch.eye(5)).item() == pytest.approx(0, abs=1e-7)
    assert orthogonality_loss(torch.ones(5, 2)).item() == pytest.approx(1 - 1 / 5)


def blobs(count: int, spread: float = 0.01) -> tuple[Tensor, Tensor]:
    """Points around ``count`` corners of a grid, 50 each."""
    corners = torch.cartesian_prod(torch.arange(float(count)), torch.arange(2.0))[:count]
    noise = torch.randn(count, 50, 2, generator=generator(3)) * spread
    return corners, (corners[:, None] + noise).reshape(-1, 2)


def test_kmeans_finds_separate_clusters_from_one_point_of_each():
    corners, points = blobs(6)
    means, counts = kmeans(points, points[::50], iterations=5)
    torch.testing.assert_close(means, corners, rtol=0, atol=0.01)
    assert counts.tolist() == [50] * 6


def test_kmeans_never_raises_the_error():
    points = torch.randn(300, 4, generator=generator(1))
    errors = []
    for iterations in range(1, 12):
        means, _ = kmeans(points, points[:20], iterations=iterations)
        errors.append((points - means[nearest(points, means)]).square().sum().item())
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.9 * errors[0]


def test_a_cluster_without_points_keeps_its_mean():
    points = torch.tensor([[0.0], [1.0]])
    means, counts = kmeans(points, torch.tensor([[0.5], [100.0]]), iterations=3)
    assert means.tolist() == [[0.5], [100.0]]
    assert counts.tolist() == [2, 0]


def test_rows_are_distinct_when_there_are_enough():
    assert len(draw_rows(30, 30, generator()).unique()) == 30
    many = draw_rows(30, 100, generator())
    assert many.shape == (100,)
    assert (many.min(), many.max()) == (0, 29)


def test_fewer_latents_than_entries_still_start():
    book = make(kmeans_init=True, size=64)
    latents = torch.randn(5, 4)
    book.start(latents, generator())
    assert book.is_inited
    assert book.embed.isfinite().all()
    found = book.decode(book.encode(latents))
    torch.testing.assert_close(found, latents, rtol=1e-5, atol=1e-6)


def test_a_start_is_where_averages_continue():
    """Fresh centroids are the fixed point of the latents they came from: a step moves nothing."""
    _, points = blobs(6)
    book = make(kmeans_init=True, size=6, dim=2, decay=0.5)
    means, _ = kmeans(points, points[::50], iterations=5)
    book.embed.copy_(means)
    book.start(points, generator(2))
    before = book.embed.clone()
    book.update(points, book.encode(points), generator())
    torch.testing.assert_close(book.embed, before, rtol=1e-3, atol=1e-3)


def test_averages_have_the_closed_form():
    """One step from known buffers: decay * old + (1 - decay) * new, and their ratio."""
    book = make(size=2, dim=1)
    book.embed.copy_(torch.tensor([[0.0], [10.0]]))
    book.embed_avg.copy_(torch.tensor([[0.0], [20.0]]))
    book.cluster_size.copy_(torch.tensor([1.0, 2.0]))
    latents = torch.tensor([[1.0], [2.0], [9.0]])
    book.update(latents, book.encode(latents), generator())
    torch.testing.assert_close(book.cluster_size, torch.tensor([1.1, 1.9]))
    torch.testing.assert_close(book.embed_avg, torch.tensor([[0.3], [18.9]]))
    torch.testing.assert_close(
        book.embed, torch.tensor([[0.3 / 1.1], [18.9 / 1.9]]), rtol=1e-4, atol=0
    )


def test_a_dead_entry_restarted_at_t_is_used_at_t_plus_1():
    """Entry 1 is far from all latents. After one step it is one of them, and is chosen."""
    book = make(size=2, dim=1, decay=0.5, dead_code_threshold=0.6)
    book.embed.copy_(torch.tensor([[0.0], [1000.0]]))
    book.embed_avg.copy_(torch.tensor([[0.0], [1000.0]]))
    latents = torch.tensor([[1.0], [-1.0], [3.0], [-3.0]])
    first = book.encode(latents)
    assert first.tolist() == [0, 0, 0, 0]
    restarted = book.update(latents, first, generator())
    assert restarted.item() == 1
    fresh = book.embed[1].clone()
    assert fresh in latents
    assert book.cluster_size[1] == pytest.approx(1.5)  # the mean of 2.5 and 0.5
    torch.testing.assert_close(book.embed_avg[1], fresh * 1.5)
    second = book.encode(latents)
    assert 1 in second[latents[:, 0] == fresh]
    book.update(latents, second, generator())
    assert (book.embed[1] - fresh).abs() < 3  # still among the latents: the averages agree with it


def test_threshold_units():
    """Counts 6, 3, 1 (mean 3.33) after the step: a share of the mean, or a number of latents."""
    latents = torch.tensor([[0.0]] * 6 + [[10.0]] * 3 + [[20.0]])

    def restarts(threshold: float, unit: str) -> int:
        book = make(size=3, dim=1, decay=0.0, dead_code_threshold=threshold, dead_code_unit=unit)
        book.embed.copy_(torch.tensor([[0.0], [10.0], [20.0]]))
        return int(book.update(latents, book.encode(latents), generator()))

    assert restarts(0.29, "mean") == 0
    assert restarts(0.31, "mean") == 1
    assert restarts(0.95, "mean") == 2
    assert restarts(1.0, "count") == 0
    assert restarts(2.0, "count") == 1
    assert restarts(4.0, "count") == 2
