"""Learning of odd quantizers beside a second implementation: plain loops in float64."""

import numpy as np
import pytest
import torch

from audiogen.codec import codebook
from audiogen.codec.quantizer import ResidualVectorQuantizer


class Book:
    """One codebook as the formulas say; the first rows are drawn where chance would draw."""

    def __init__(self, size: int, dim: int, **settings: object) -> None:
        self.size, self.dim = size, dim
        self.settings = settings
        self.embed: np.ndarray | None = None

    def nearest(self, x: np.ndarray) -> np.ndarray:
        return ((x[:, None] - self.embed[None]) ** 2).sum(axis=2).argmin(axis=1)

    def sums(self, x: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        one_hot = np.eye(self.size)[codes]
        return one_hot.sum(axis=0), one_hot.T @ x

    def start(self, x: np.ndarray) -> None:
        self.embed = x[: self.size].copy()
        for _ in range(self.settings["iterations"]):
            counts, sums = self.sums(x, self.nearest(x))
            filled = counts > 0
            self.embed[filled] = sums[filled] / counts[filled, None]
        self.counts = counts
        self.averages = self.embed * (1 if self.settings["paper_exact"] else counts[:, None])

    def learn(self, x: np.ndarray, codes: np.ndarray) -> int:
        decay = self.settings["decay"]
        counts, sums = self.sums(x, codes)
        self.counts = decay * self.counts + (1 - decay) * counts
        self.averages = decay * self.averages + (1 - decay) * sums
        total = self.counts.sum()
        smoothed = (self.counts + 1e-5) / (total + self.size * 1e-5) * total
        self.embed = self.averages / smoothed[:, None]
        if self.settings["paper_exact"]:
            return 0  # what was replaced before the average is gone
        limit = self.settings["threshold"]
        if self.settings["unit"] == "mean":
            limit = limit * self.counts.mean()
        dead = self.counts < limit
        mean = self.counts.mean()
        self.counts[dead] = mean
        self.embed[dead] = x[: self.size][dead]
        self.averages[dead] = x[: self.size][dead] * mean
        return int(dead.sum())


@pytest.mark.parametrize("paper_exact", [True, False])
@pytest.mark.parametrize(
    ("dim", "books", "size", "decay", "iterations", "threshold", "unit"),
    [
        (3, 5, 7, 0.9, 1, 0.5, "mean"),
        (16, 1, 64, 0.5, 7, 0.99, "mean"),
        (1, 2, 2, 0.0, 3, 39.0, "count"),
        (10, 3, 33, 0.999, 20, 1.5, "count"),
    ],
)
def test_five_steps(monkeypatch, dim, books, size, decay, iterations, threshold, unit, paper_exact):
    monkeypatch.setattr(codebook, "draw_rows", lambda total, count, generator: torch.arange(count))
    ours = ResidualVectorQuantizer(
        dim=dim,
        num_codebooks=books,
        codebook_size=size,
        decay=decay,
        kmeans_iters=iterations,
        dead_code_threshold=threshold,
        dead_code_unit=unit,
        paper_exact=paper_exact,
    )
    settings = {"decay": decay, "iterations": iterations, "threshold": threshold, "unit": unit}
    theirs = [Book(size, dim, paper_exact=paper_exact, **settings) for _ in range(books)]
    rng = np.random.default_rng(dim)
    restarts = np.zeros(books, dtype=int)
    for step in range(5):
        x = rng.standard_normal((2, dim, 40)) * (1 + step)
        flat = x.transpose(0, 2, 1).reshape(-1, dim)
        residual, codes, losses = flat, [], []
        for k, book in enumerate(theirs):
            if step == 0:
                book.start(residual)
            indices = book.nearest(residual)
            chosen = book.embed[indices]
            losses.append(((residual - chosen) ** 2).mean())
            restarts[k] += book.learn(residual, indices)
            residual = residual - chosen
            codes.append(indices.reshape(2, 40))
        output = ours(torch.from_numpy(x).float())
        assert np.array_equal(output.codes.numpy(), np.stack(codes, axis=1)), step
        expected = (flat - residual).reshape(2, 40, dim).transpose(0, 2, 1)
        np.testing.assert_allclose(output.latents.numpy(), expected, rtol=1e-4, atol=1e-4)
        assert output.commitment_loss.item() == pytest.approx(np.mean(losses), rel=1e-4)
    for mine, book in zip(ours.codebooks, theirs, strict=True):
        np.testing.assert_allclose(mine.embed.numpy(), book.embed, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(mine.cluster_size.numpy(), book.counts, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(mine.embed_avg.numpy(), book.averages, rtol=1e-4, atol=1e-4)
    assert ours.restarts.tolist() == restarts.tolist()
    assert (restarts.sum() > 0) != paper_exact
