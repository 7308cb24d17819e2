"""Run openl3 with random weights: python make_openl3.py FOLDER

FOLDER holds the package openl3 (0.4.2), unpacked from its source distribution, whose setup step
downloads weights. It needs tensorflow with Keras 2 (2.15.1 wrote the files here), kapre 0.3.7,
resampy 0.2.2, librosa 0.10.1, scikit-learn, scikit-image and soundfile, and no torch.

openl3_narrow.h5 is a file of `save_weights` of openl3's layers with few channels. openl3.npz has
- what resampy makes of two sounds (`rate__*`),
- a few points of what openl3's first layer draws of sound 4 of either set (`pictures__*`),
- embeddings of the narrow network in openl3's hands (`narrow__*`), of sounds of openl3_sounds.py,
- embeddings of sound 2 by openl3's own networks (`full__*`), whose numbers are those of the
  stand-in, hashed under the keys 3000 and up,
- and the Frechet distance between the sets, as stable-audio-metrics reckons it.
"""

import importlib.metadata
import json
import sys
from pathlib import Path

import numpy as np
import scipy.linalg
from hashed import unit
from openl3_sounds import LENGTHS, RATE, sound

NARROW = (2, 3, 4, 5)  # channels of the blocks
FULL = (64, 128, 256, 512)
POOLS = {"mel256": (32, 24), "mel128": (16, 24), "linear": (32, 24)}


def numbers(channels: tuple[int, ...]) -> list[list[np.ndarray]]:
    """Return the weights of normalizations and convolutions in turn, as Keras has them."""
    widths = [1, *(width for width in channels for _ in range(2))]
    norms, convs = [], []
    for index, width in enumerate(widths[:-1]):
        rows = [unit(width, 3000 + 5 * index + row) for row in range(4)]
        scales = ((1, 0.2), (0, 0.2), (-40, 10) if index == 0 else (0, 0.2),
                  (400, 100) if index == 0 else (1, 0.5))
        norms.append([np.float32(a) + row * np.float32(b) for row, (a, b) in zip(rows, scales)])
    for index, (inputs, outputs) in enumerate(zip(widths[:-1], widths[1:])):
        kernel = unit(9 * inputs * outputs, 3040 + 2 * index) * np.float32(np.sqrt(24 / 9 / inputs))
        kernel = kernel.reshape(outputs, inputs, 3, 3).transpose(2, 3, 1, 0)
        convs.append([kernel, unit(outputs, 3041 + 2 * index) * np.float32(0.2)])
    return [weights for pair in zip(norms, convs) for weights in pair]


def fill(model, weights: list[list[np.ndarray]]) -> None:
    """Put weights into the layers that have any."""
    layers = [layer for layer in model.layers if layer.get_weights()]
    for layer, values in zip(layers, weights, strict=True):
        layer.set_weights(values)


def narrow_layers(model):
    """Return openl3's front end with few channels behind it."""
    from tensorflow.keras import Model, layers

    source = layers.Input(shape=(1, 48000))
    flow = layers.BatchNormalization()(model.layers[1](source))
    for block, width in enumerate(NARROW):
        for half in range(2):
            last = (block, half) == (3, 1)
            name = {"name": "audio_embedding_layer"} if last else {}
            flow = layers.Conv2D(width, 3, padding="same", **name)(flow)
            if not last:
                flow = layers.Activation("relu")(layers.BatchNormalization()(flow))
        if block < 3:
            flow = layers.MaxPooling2D(2)(flow)
    return Model(source, flow)


def pooled(model, size: tuple[int, int]):
    """Return a model with the embedding behind it, in the way of openl3."""
    from tensorflow.keras import Model, layers

    flow = layers.MaxPooling2D(size, padding="same")(model.output)
    return Model(model.input, layers.Flatten()(flow))


def distance(first: np.ndarray, second: np.ndarray) -> float:
    """Return the Frechet distance in the way of stable-audio-metrics."""
    (mean_a, cov_a), (mean_b, cov_b) = (
        (rows.mean(axis=0), np.cov(rows, rowvar=False)) for rows in (first, second)
    )
    root = scipy.linalg.sqrtm(cov_a @ cov_b).real
    return ((mean_a - mean_b) ** 2).sum() + np.trace(cov_a + cov_b - 2 * root)


def run_narrow(models, openl3, here: Path) -> dict:
    """Embed sounds with few channels."""
    found = {}
    for sees, pool in POOLS.items():
        own = models.AUDIO_MODELS[sees]()
        narrow = narrow_layers(own)
        fill(narrow, numbers(NARROW))
        embed = pooled(narrow, pool)
        if sees == "mel256":
            narrow.save_weights(here / "openl3_narrow.h5")
            for kind in range(2):
                rows = []
                for index in range(len(LENGTHS)):
                    left, right = openl3.get_audio_embedding(
                        list(sound(index, kind=kind)), RATE, model=embed, hop_size=0.5, verbose=0
                    )[0]
                    rows.append(np.concatenate([left, right], axis=1))
                found[f"narrow__set{kind}"] = np.concatenate(rows)
                found[f"narrow__counts{kind}"] = [len(part) for part in rows]
            found["narrow__distance"] = distance(found["narrow__set0"], found["narrow__set1"])
        left = sound(3, kind=0)[0]
        for name, how in (("centered", {"center": True}), ("not", {"center": False})):
            found[f"narrow__{sees}_{name}"] = openl3.get_audio_embedding(
                left, RATE, model=embed, hop_size=0.1, verbose=0, **how
            )[0]
        for kind in range(2):
            seconds = openl3.core.preprocess_audio(sound(4, kind=kind)[0], RATE, hop_size=0.5)
            drawn = own.layers[1](seconds).numpy()[..., 0]
            found[f"pictures__{sees}_{kind}"] = drawn[:, ::5, ::7]
    return found


def run_full(models, openl3, folder: Path) -> dict:
    """Embed a sound with the real networks, read by openl3 from a file beside its code."""
    found = {}
    for sees in POOLS:
        own = models.AUDIO_MODELS[sees]()
        fill(own, numbers(FULL))
        own.save_weights(folder / "openl3" / f"openl3_audio_{sees}_env.h5")
        for size in (512, 6144):
            model = models.load_audio_embedding_model(sees, "env", size)
            left, right = openl3.get_audio_embedding(
                list(sound(2, kind=0)), RATE, model=model, hop_size=0.5, verbose=0
            )[0]
            rows = np.concatenate([left, right], axis=1) if size == 512 else left[:1]
            found[f"full__{sees}_{size}"] = rows
    return found


def main(folder: Path) -> None:
    """Write openl3.npz and openl3_narrow.h5 beside this file."""
    sys.path.insert(0, str(folder))
    import openl3
    import resampy
    from openl3 import models

    here = Path(__file__).parent
    arrays = {}
    for rate, length in ((44100, 3001), (16000, 777)):
        noise = unit(length, 5000)
        arrays[f"rate__{rate}"] = resampy.resample(noise, rate, 48000, filter="kaiser_best")
    arrays |= run_narrow(models, openl3, here) | run_full(models, openl3, folder)
    names = ("tensorflow-cpu", "kapre", "resampy", "librosa", "numpy", "scipy")
    versions = {name: importlib.metadata.version(name) for name in names}
    versions["openl3"] = openl3.__version__
    np.savez_compressed(here / "openl3.npz", versions=json.dumps(versions), **arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
