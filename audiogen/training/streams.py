"""Global random streams, left as they were found."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def streams_kept() -> Iterator[None]:
    """Give the streams of python, numpy and torch back as they were, on every device.

    What a library draws inside, knowing or not, then changes nothing of the training around it.
    """
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  # what is to be kept
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002  # as above
