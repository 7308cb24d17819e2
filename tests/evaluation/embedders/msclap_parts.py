"""The small network, the words and the sounds that golden/make_msclap.py gave to msclap itself."""

import json
from pathlib import Path

import numpy as np
import torch

from evaluation.embedders.hashed import hashed_uniform
from evaluation.embedders.msclap_front import mel_bank
from evaluation.preparation.resample import resample

GOLDEN = Path(__file__).parents[2] / "golden" / "msclap.npz"
SEED = 2036
RATE = 44100
SOUNDS = {  # name: seconds, channels, rate of the file
    "short": (2.3, 1, RATE),
    "exact": (7.0, 1, RATE),
    "long": (9.1, 1, RATE),
    "stereo": (4.4, 2, RATE),
    "other_rate": (7.9, 1, 16000),
}
WINDOWS = "audio_encoder.base.htsat.spectrogram_extractor.stft.conv_"
MEL_BANK = "audio_encoder.base.htsat.logmel_extractor.melW"
LAYERS, POSITIONS = 2, 160  # of the small text tower


def read_golden():
    with np.load(GOLDEN) as arrays:
        return dict(arrays)


def shapes(golden, name="shapes"):
    return {key: tuple(shape) for key, shape in json.loads(str(golden[name])).items()}


def captions(golden):
    return json.loads(str(golden["captions"]))


def noise(name):
    """A sound of `SOUNDS`, float32 [C, T] at its own rate."""
    seconds, channels, rate = SOUNDS[name]
    key = 60 + list(SOUNDS).index(name)
    count = round(seconds * rate)
    level = (1 + torch.sin(torch.arange(count, dtype=torch.float64) / 9000)).float()
    return torch.stack(
        [hashed_uniform((count,), key=key + 20 * c) * level for c in range(channels)]
    )


def waveform(name):
    """The same as the network takes it, float32 [T] at 44.1 kHz."""
    return resample(noise(name), SOUNDS[name][2], RATE, method="sinc_hann6").reshape(-1)


def windows(part):
    """Hann windows of a Fourier transform, as torchlibrosa keeps them among the weights."""
    grid = torch.outer(torch.arange(513), torch.arange(1024)).double() * (2 * torch.pi / 1024)
    wave = grid.cos() if part == "real" else -grid.sin()
    return (wave * torch.hann_window(1024, dtype=torch.float64)).float()[:, None]


def neighbors():
    """Which entry of a table of 15 x 15 places stands for each pair of an 8 x 8 window."""
    rows, columns = torch.arange(64) // 8, torch.arange(64) % 8
    apart = [place[:, None] - place[None] + 7 for place in (rows, columns)]
    return 15 * apart[0] + apart[1]


def constant(name, shape):
    """What the package makes itself; None for what is filled with hashed numbers."""
    if name.startswith(WINDOWS):
        return windows(name.removeprefix(WINDOWS).removesuffix(".weight"))
    if name == MEL_BANK:
        return mel_bank().float()
    if name.endswith("relative_position_index"):
        return neighbors().float()  # all is floats in the published file
    if name.endswith(("attn_mask", "num_batches_tracked", "logit_scale")):
        return torch.zeros(shape)
    return None


def small_state(golden):
    """The checkpoint as make_msclap.py fills it: tensor i has key 5000 + i."""
    state = {}
    for i, (name, shape) in enumerate(shapes(golden).items()):
        made = constant(name, shape)
        if made is None and len(shape) > 1:
            scale = (12 / np.prod(shape[1:])) ** 0.5
            made = hashed_uniform(shape, key=5000 + i, scale=scale)
        elif made is None:
            one = 1.0 if name.endswith(("weight", "running_var")) else 0.0
            made = one + hashed_uniform(shape, key=5000 + i, scale=0.2)
        assert made.shape == shape
        state[name] = made
    for layer in range(LAYERS):
        state[f"caption_encoder.base.h.{layer}.attn.bias"] = torch.ones(1, 1, 160, 160).tril()
        state[f"caption_encoder.base.h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    return state


def write_words(golden, folder, **changed):
    """GPT-2's kind of vocabulary, with ids changed or added."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = json.loads(str(golden["vocab"])) | changed
    merges = json.loads(str(golden["merges"]))
    (folder / "vocab.json").write_text(json.dumps(ids))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]))
    return folder
