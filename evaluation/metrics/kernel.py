"""Kernel audio distance: how far two sets are apart, without a Gaussian being fitted to them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from evaluation.metrics.distances import NOISE, squared_distances

ROWS = 1024  # of a block of distances
SAMPLED = 50_000  # pairs that tell where the median is
SMALL = 1e-8  # added to the kernel's denominator, as kadtk does
SIDES = ("reference", "generated")


@dataclass(frozen=True, kw_only=True, slots=True)
class KernelSums:
    """Sums of the kernel over the windows of every two clips: all that resamples of clips need."""

    reference: np.ndarray  # float64 [A, A]; the diagonal leaves out each window with itself
    generated: np.ndarray  # float64 [B, B], likewise
    cross: np.ndarray  # float64 [A, B]
    windows: tuple[np.ndarray, np.ndarray]  # int [A] and [B], windows per clip
    bandwidth: float

    def halves(self, counts: np.ndarray) -> np.ndarray:
        """Return the distance of some references from the others, float64 [R].

        Args:
            counts: int [R, A], one for those on the one side, zero for the others.
        """
        references = KernelSums(
            reference=self.reference,
            generated=self.reference,
            cross=self.reference,  # a clip is on one side only: the diagonal is not read
            windows=(self.windows[0], self.windows[0]),
            bandwidth=self.bandwidth,
        )
        return references.distance(counts, 1 - counts)

    def distance(self, counts_a: np.ndarray, counts_b: np.ndarray) -> np.ndarray:
        """Return the unbiased squared discrepancy, float64 [R], under counts int [R, clips].

        Pairs of copies of one clip are left out: a clip is not evidence of how alike two are. NaN
        where a side has no two windows left.
        """
        within_a = _within(self.reference, self.windows[0], counts_a.astype(float))
        within_b = _within(self.generated, self.windows[1], counts_b.astype(float))
        sizes = (counts_a @ self.windows[0]) * (counts_b @ self.windows[1])
        cross = ((counts_a @ self.cross) * counts_b).sum(axis=1)
        return within_a + within_b - 2 * _share(cross, sizes)


def kernel_distance(
    reference: Tensor,
    generated: Tensor,
    *,
    bandwidth: float | str = "reference",
    scale: float = 100.0,
) -> Tensor:
    """Kernel audio distance: the unbiased squared maximum mean discrepancy, times ``scale``.

    Args:
        reference: float [N, D] embeddings, N >= 2; computed in float64.
        generated: float [M, D], M >= 2.
        bandwidth: b of the kernel exp(-d^2 / (2 b^2 + 1e-8)); or the side whose median distance
            between two embeddings it is: "reference", as the paper has it, or "generated", as its
            tool kadtk has it.
        scale: 100 by convention.

    Returns:
        float64 scalar; negative by chance where the sets are as good as one.

    Raises:
        ValueError: if there are fewer than two embeddings, a value is not finite, the widths
            differ, or the bandwidth is zero because most embeddings of that side are the same.

    Source: Chung et al. 2025 (arXiv:2502.15602); Gretton et al. 2012, equation 3.
    """
    reference, generated = _check("reference", reference), _check("generated", generated)
    sums = kernel_sums(list(reference[:, None]), list(generated[:, None]), bandwidth=bandwidth)
    ones = [np.ones((1, len(side)), dtype=int) for side in (reference, generated)]
    return scale * torch.tensor(sums.distance(*ones)[0], dtype=torch.float64)


def kernel_sums(
    reference: Sequence[Tensor], generated: Sequence[Tensor], *, bandwidth: float | str
) -> KernelSums:
    """Sum the kernel over the windows of every two clips; arguments as in `kernel_distance`.

    Args:
        reference: float [n, D] embeddings per clip.
        generated: likewise.
        bandwidth: a number, or the side it is the median distance of.
    """
    check_bandwidth(bandwidth)
    lengths = [np.array([len(clip) for clip in side]) for side in (reference, generated)]
    rows = [
        _check(side, torch.cat(list(clips)))
        for side, clips in zip(SIDES, (reference, generated), strict=True)
    ]
    if rows[0].shape[1] != rows[1].shape[1]:
        raise ValueError(
            f"expected two sets of one width, got {rows[0].shape[1]} and {rows[1].shape[1]}"
        )
    shift = rows[0].mean(dim=0)
    a, b = rows[0] - shift, rows[1] - shift
    if isinstance(bandwidth, str):
        side = bandwidth
        bandwidth = median_distance(a if side == "reference" else b)
        if bandwidth == 0:
            raise ValueError(f"half of the {side} embeddings or more are the same: no bandwidth")
    gamma = 1 / (2 * bandwidth**2 + SMALL)
    return KernelSums(
        reference=_block_sums(a, a, lengths[0], lengths[0], gamma, own=True),
        generated=_block_sums(b, b, lengths[1], lengths[1], gamma, own=True),
        cross=_block_sums(a, b, lengths[0], lengths[1], gamma),
        windows=(lengths[0], lengths[1]),
        bandwidth=bandwidth,
    )


def median_distance(rows: Tensor) -> float:
    """Median Euclidean distance between two different rows of float64 [N, D], N >= 2.

    Of an even number of pairs it is the lower of the middle two, as `torch.median` has it. Exact,
    but the distances of 18,000 windows are not held at once: those of some pairs tell where the
    median must be, and only what lies there is kept.
    """
    pairs = len(rows) * (len(rows) - 1) // 2
    target = (pairs - 1) // 2
    for margin in (0.01, 0.1, 0.5):
        low, high = _bracket(rows, margin) if pairs > SAMPLED else (0.0, torch.inf)
        below, kept = 0, []
        for block in _pairs(rows):
            below += int((block < low).sum())
            kept.append(block[(block >= low) & (block <= high)])
        inside = torch.cat(kept)
        if below <= target < below + len(inside):
            median = float(inside.kthvalue(target - below + 1).values)
            break
    noise = NOISE * float(rows.square().sum(dim=1).max())
    return median**0.5 if median > noise else 0.0


def check_bandwidth(bandwidth: float | str) -> None:
    """Check the bandwidth option of `kernel_distance`."""
    is_side = isinstance(bandwidth, str) and bandwidth in SIDES
    is_number = isinstance(bandwidth, int | float) and not isinstance(bandwidth, bool)
    if not is_side and not (is_number and 0 < float(bandwidth) < np.inf):
        raise ValueError(
            f"bandwidth must be above 0 or one of {', '.join(SIDES)}, got {bandwidth!r}"
        )


def _within(sums: np.ndarray, windows: np.ndarray, counts: np.ndarray) -> np.ndarray:
    own, sizes = np.diag(sums), counts * windows
    total = ((counts @ sums) * counts).sum(axis=1) + (counts - counts**2) @ own
    pairs = sizes.sum(axis=1) ** 2 - (sizes**2).sum(axis=1) + counts @ (windows * (windows - 1.0))
    return _share(total, pairs)


def _share(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    return np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)


def _block_sums(
    a: Tensor,
    b: Tensor,
    counts_a: np.ndarray,
    counts_b: np.ndarray,
    gamma: float,
    *,
    own: bool = False,
) -> np.ndarray:
    """Sum exp(-gamma d^2) over the windows of every two clips: float64 [clips, clips].

    A set with itself is its ``own``: each window with itself is left out, whatever rounding makes
    of its distance.
    """
    columns = np.zeros((len(a), len(counts_b)))
    for start in range(0, len(a), ROWS):
        kernel = squared_distances(a[start : start + ROWS], b).mul_(-gamma).exp_()
        if own:
            kernel.diagonal(offset=start).zero_()
        columns[start : start + ROWS] = _clip_sums(kernel.numpy().T, counts_b).T
    return _clip_sums(columns, counts_a)


def _clip_sums(rows: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Add up consecutive rows [N, ...] by clip: [clips, ...]."""
    sums = np.zeros((len(counts), *rows.shape[1:]))
    filled = np.flatnonzero(counts)
    starts = np.concatenate([[0], counts.cumsum()[:-1]])[filled]
    sums[filled] = np.add.reduceat(rows, starts, axis=0)
    return sums


def _pairs(rows: Tensor) -> Iterator[Tensor]:
    """Yield the squared distances of all pairs of rows, each pair once, in pieces."""
    for start in range(0, len(rows), ROWS):
        piece = rows[start : start + ROWS]
        own = squared_distances(piece, piece)
        yield own[torch.ones_like(own, dtype=torch.bool).triu(diagonal=1)]
        yield squared_distances(piece, rows[start + ROWS :]).flatten()


def _bracket(rows: Tensor, margin: float) -> tuple[float, float]:
    """Return squared distances between which the median is, by some pairs; all at the end."""
    if margin >= 0.5:
        return 0.0, torch.inf
    rng = np.random.default_rng(0)
    left, right = (torch.from_numpy(rng.integers(0, len(rows), SAMPLED)) for _ in range(2))
    squares = (rows[left] - rows[right])[left != right].square().sum(dim=1)
    low, high = squares.quantile(torch.tensor([0.5 - margin, 0.5 + margin], dtype=torch.float64))
    return float(low), float(high)


def _check(side: str, rows: Tensor) -> Tensor:
    if rows.ndim != 2 or len(rows) < 2:
        raise ValueError(f"expected two or more {side} embeddings [N, D], got {list(rows.shape)}")
    if not rows.isfinite().all():
        raise ValueError(f"{side} embeddings hold NaN or infinite values: check the sounds")
    return rows.detach().double()
