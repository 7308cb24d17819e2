"""The Frechet distance straight from embeddings, by our computation or by that of another tool."""

import warnings

import numpy as np
import torch
from torch import Tensor

from evaluation.metrics.gaussian import finite_distance, frechet_distance, gaussian_root

METHODS = ("auto", "features", "covariances", "scipy_sqrtm", "eigenvalues")
STATISTICS = ("float64", "float32")
IMAGINARY = 1e-3  # an imaginary part on the diagonal of a root above this is an error, not noise


def frechet_from_features(
    reference: Tensor,
    generated: Tensor,
    *,
    method: str = "auto",
    statistics: str = "float64",
    epsilon: float = 1e-6,
) -> Tensor:
    """Frechet distance between Gaussians fitted to two sets of embeddings.

    Args:
        reference: float [N, D], N >= 2; computed in float64 whatever it comes in.
        generated: float [M, D], M >= 2.
        method: "auto" takes for each set the root of its covariance that costs less: the centered
            embeddings themselves with fewer of them than dimensions ("features"), else its
            eigenvectors ("covariances"). Both are exact, singular covariances included.
            "scipy_sqrtm" is the root of the product as google's and most other tools take it,
            "eigenvalues" the sum of square roots of the product's eigenvalues, as fadtk does.
        statistics: "float32" rounds mean and covariance before the distance, as google's tool
            stores them; only with the methods that form a covariance, and "auto" then does.
        epsilon: added to the diagonals where scipy's root is not finite, as the tools do.

    Returns:
        float64 scalar, at least zero up to rounding with our own methods; it is not clamped.

    Raises:
        ValueError: if there are fewer than two embeddings, a value is not finite, the widths
            differ, an option is unknown, or the distance is above the largest number.

    >>> rows = torch.tensor([[0.0, 0.0], [2.0, 0.0]])
    >>> round(float(frechet_from_features(rows, rows + torch.tensor([3.0, 4.0]))), 9)
    25.0
    """
    check_method(method, statistics)
    reference, generated = _check(reference, generated)
    if statistics == "float64" and method in ("auto", "features", "covariances"):
        return _from_roots(reference, generated, method)
    gaussians = []
    for rows in (reference, generated):
        mean, cov = rows.mean(dim=0), torch.cov(rows.T).view(rows.shape[1], rows.shape[1])
        if statistics == "float32":
            mean, cov = mean.float().double(), cov.float().double()
        gaussians += [mean, cov]
    return frechet_by_method(*gaussians, method=method, epsilon=epsilon)


def frechet_by_method(
    mean_a: Tensor,
    cov_a: Tensor,
    mean_b: Tensor,
    cov_b: Tensor,
    *,
    method: str = "auto",
    epsilon: float = 1e-6,
) -> Tensor:
    """Frechet distance of two Gaussians by one of the methods of `frechet_from_features`."""
    if method in ("auto", "covariances"):
        return frechet_distance(mean_a, cov_a, mean_b, cov_b)
    roots = {"scipy_sqrtm": _trace_by_sqrtm, "eigenvalues": _trace_by_eigenvalues}
    if method not in roots:
        raise ValueError(f"method {method!r} needs embeddings, here are only their statistics")
    trace = roots[method](cov_a.double(), cov_b.double(), epsilon)
    shift = (mean_a.double() - mean_b.double()).square().sum()
    return finite_distance(shift + cov_a.double().trace() + cov_b.double().trace() - 2 * trace)


def check_method(method: str, statistics: str) -> None:
    """Check the options of `frechet_from_features`.

    Raises:
        ValueError: if one is unknown, or they exclude each other.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    if statistics not in STATISTICS:
        raise ValueError(f"statistics must be one of {', '.join(STATISTICS)}, got {statistics!r}")
    if method == "features" and statistics == "float32":
        raise ValueError("method features forms no covariance to store as float32: use auto")


def _from_roots(reference: Tensor, generated: Tensor, method: str) -> Tensor:
    mean_a, root_a, total_a = _root(reference, method)
    mean_b, root_b, total_b = _root(generated, method)
    scale_a, scale_b = len(reference) - 1, len(generated) - 1
    cross = torch.linalg.svdvals(root_a.T @ root_b).sum() / (scale_a * scale_b) ** 0.5
    shift = (mean_a - mean_b).square().sum()
    return finite_distance(shift + total_a / scale_a + total_b / scale_b - 2 * cross)


def _root(rows: Tensor, method: str) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean [D]; a root [D, R] of the scatter, R the smaller of N and D; and its trace."""
    mean = rows.mean(dim=0)
    centered = rows - mean
    count, dim = rows.shape
    if method == "features" or (method == "auto" and count < dim):
        return mean, centered.T, centered.square().sum()
    scatter = centered.T @ centered
    return mean, gaussian_root(scatter), scatter.trace()


def _trace_by_sqrtm(cov_a: Tensor, cov_b: Tensor, epsilon: float) -> Tensor:
    from scipy.linalg import sqrtm

    # numpy multiplies as the tools do: of a singular product the last bit moves the root visibly.
    a, b = cov_a.numpy(), cov_b.numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a singular product, which is looked at below
        root = torch.as_tensor(sqrtm(a.dot(b)))
        if not root.isfinite().all():
            more = epsilon * np.eye(len(a))
            root = torch.as_tensor(sqrtm((a + more).dot(b + more)))
    diagonal = root.diagonal()
    if root.is_complex():
        worst = float(diagonal.imag.abs().max())
        if not worst <= IMAGINARY:
            raise ValueError(
                f"scipy's root of the covariances has an imaginary part of {worst:.3g}: "
                "there is no distance by method scipy_sqrtm, use auto"
            )
        diagonal = diagonal.real
    if not diagonal.isfinite().all():
        raise ValueError("scipy found no root of the covariances: use method auto")
    return diagonal.double().sum()


def _trace_by_eigenvalues(cov_a: Tensor, cov_b: Tensor, epsilon: float) -> Tensor:
    return torch.linalg.eigvals(cov_a @ cov_b).sqrt().sum().real


def _check(reference: Tensor, generated: Tensor) -> tuple[Tensor, Tensor]:
    for side, rows in (("reference", reference), ("generated", generated)):
        if rows.ndim != 2 or rows.shape[1] == 0:
            raise ValueError(f"expected {side} embeddings [N, D], got {list(rows.shape)}")
        if len(rows) < 2:
            raise ValueError(f"{side}: a covariance needs two or more embeddings, got {len(rows)}")
        if not rows.isfinite().all():
            raise ValueError(f"{side} embeddings hold NaN or infinite values: check the sounds")
    if reference.shape[1] != generated.shape[1]:
        raise ValueError(
            f"expected two sets of one width, got {reference.shape[1]} and {generated.shape[1]}: "
            "embed both with the same network"
        )
    return reference.detach().double(), generated.detach().double()
