"""Numbers that are a function of their position and a key alone, for the scripts beside this file.

Written for itself, not taken from evaluation/embedders/hashed.py, so that each can be held against
the other.
"""

import numpy as np


def mix(x):
    """Mix the bits of each uint32 ("lowbias32")."""
    x = x ^ (x >> np.uint32(16))
    x = x * np.uint32(0x7FEB352D)
    x = x ^ (x >> np.uint32(15))
    x = x * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def unit(count, key):
    """Return float32 numbers in [-0.5, 0.5)."""
    bits = mix(np.arange(count, dtype=np.uint32) ^ mix(np.uint32([key + 1])))
    return (bits >> np.uint32(8)).astype(np.float32) * np.float32(2**-24) - np.float32(0.5)


def like(tensor, key):
    """Return numbers of a tensor's shape; a matrix' have the variance 1 / fan-in."""
    import torch  # not where TensorFlow is

    numbers = torch.from_numpy(unit(tensor.numel(), key)).reshape(tensor.shape)
    scale = (12 / tensor[0].numel()) ** 0.5 if tensor.ndim > 1 else 1
    return numbers * np.float32(scale)
