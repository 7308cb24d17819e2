"""Two sets of stereo sounds at 44.1 kHz, of odd lengths, for make_openl3.py and the tests."""

import numpy as np

RATE = 44100  # Hz
LENGTHS = (8191, 22051, 30011, 44100, 57331, 66151)  # samples


def sound(index: int, *, kind: int) -> np.ndarray:
    """Return float32 [2, T]: a tone that glides, in noise; sound 1 has one channel twice."""
    numbers = np.random.default_rng([index, kind])
    times = np.arange(LENGTHS[index]) / RATE
    channels = []
    for _ in range(2):
        low, high = (80, 2000) if kind == 0 else (300, 9000)
        frequency = np.exp(numbers.uniform(np.log(low), np.log(high)))
        tone = np.sin(2 * np.pi * frequency * (1 + kind * times) * times)
        noise = numbers.uniform(-1, 1, len(times)) * np.exp(-2 * kind * times)
        channels.append(numbers.uniform(0.1, 0.6) * tone + numbers.uniform(0.01, 0.2) * noise)
    if index == 1:
        channels[1] = channels[0]
    return np.stack(channels).astype(np.float32)
