"""Sets of embeddings and of logits for make_metric_packages.py, and for the tests of its numbers.

Beside ordinary sets: fewer rows than dimensions, two rows, points on a line, equal sets, rows that
are there twice, far from the origin, tiny, heavy-tailed, and two sets that share no direction.
"""

import numpy as np

SETS = {  # name -> references, generated, dimensions
    "plain": (200, 150, 16),
    "wide": (30, 40, 64),
    "half_wide": (300, 12, 24),
    "two_rows": (2, 2, 3),
    "line": (50, 60, 2),
    "equal": (80, 80, 8),
    "twice": (60, 60, 6),
    "far": (120, 90, 12),
    "tiny": (120, 90, 12),
    "heavy": (150, 150, 10),
    "apart": (100, 100, 8),
}
SEEDS = (0, 1, 2)
LOGITS = {  # name -> sounds, classes, spread
    "plain": (100, 527, 2.0),
    "uneven": (43, 9, 3.0),
    "sure": (60, 20, 300.0),
    "flat": (50, 20, 1e-6),
    "one_each": (10, 5, 2.0),
}
SPLITS = (1, 5, 10)
NEIGHBORS = (1, 3, 5)


def embeddings(name: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the references [N, D] and the generated rows [M, D] of a case, float64."""
    count, other, dim = SETS[name]
    numbers = np.random.default_rng([seed, *name.encode()])
    mix = numbers.standard_normal((dim, dim)) / np.sqrt(dim)
    a = numbers.standard_normal((count, dim)) @ mix
    b = 0.8 * numbers.standard_normal((other, dim)) @ mix + 0.3
    if name == "line":
        a[:, 1] = b[:, 1] = 0.7
    if name == "equal":
        b = a.copy()
    if name == "twice":
        a[1::2], b[1::2] = a[::2], b[::2]
    if name == "far":
        a, b = a + 1e3, b + 1e3
    if name == "tiny":
        a, b = 1e-4 * a, 1e-4 * b
    if name == "heavy":
        a = a * np.abs(numbers.standard_cauchy((count, 1)))
    if name == "apart":
        a[:, : dim // 2], b[:, dim // 2 :] = 0, 0
    return a, b


def logits(name: str, seed: int) -> np.ndarray:
    """Return the logits [N, C] of a case, float64."""
    count, classes, spread = LOGITS[name]
    return spread * np.random.default_rng([seed, *name.encode()]).standard_normal((count, classes))


def width(a: np.ndarray) -> float:
    """Return a bandwidth for a kernel on references [N, D]: the root of their total variance."""
    return float(np.sqrt(a.var(axis=0).sum()))
