"""Write clap.npz with laion_clap itself: python make_clap.py [WEIGHTS_FOLDER].

Run with laion-clap 1.1.7, torch 2.11.0, torchvision 0.26.0, transformers 5.23.0 and numpy 1.26.4,
in an environment of their own: laion_clap wants an old numpy. What it would fetch is made here: a
RoBERTa of one layer and 512 words. All weights are hashed, tensor i of the state dict with key
3000 + i; the front end's constants are laion's. Sounds are hashed noise, louder and softer.

Where laion_clap draws crops from numpy's global stream, the draws are the hash of the sound, as in
evaluation/embedders/clap_front.py. The shrunken spectrogram of fusion is made without antialiasing,
which is what torchvision did with tensors when the checkpoints were published.

With WEIGHTS_FOLDER, the checkpoints are also written there as training scripts write them.
"""

import functools
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import torch
import torchvision
import transformers
from hashed import like, unit

WORDS = 512
CASES = {"tiny": ("HTSAT-tiny", False), "fusion": ("HTSAT-tiny", True), "base": ("HTSAT-base", False)}
SECONDS = {"short": 3.1, "whole": 10.0, "frame": 10.005, "long": 25.3}
CONSTANT = ("spectrogram_extractor", "logmel_extractor", "logit_scale", "position_ids", "attn_mask")


def sound(seconds, key):
    """Noise whose level goes up and down, and which is louder than full scale here and there."""
    samples = round(seconds * 48000)
    level = np.float32(1.2) * (1 + np.sin(np.arange(samples, dtype=np.float64) / 9000)).astype(np.float32)
    return unit(samples, key) * level


def roberta(*_, **__):
    config = transformers.RobertaConfig(
        vocab_size=WORDS, num_hidden_layers=1, max_position_embeddings=514, layer_norm_eps=1e-5,
        type_vocab_size=1, pad_token_id=1,
    )
    return transformers.RobertaModel(config)


def nothing(*_, **__):
    return None


for kind in ("BertTokenizer", "RobertaTokenizer", "BartTokenizer"):
    getattr(transformers, kind).from_pretrained = nothing
transformers.RobertaModel.from_pretrained = roberta
torchvision.transforms.Resize = functools.partial(torchvision.transforms.Resize, antialias=False)

import laion_clap  # noqa: E402


class Draws:
    """Numpy's global draws, by the hash of the sound that is being embedded."""

    def __init__(self, waveform):
        self.digest = hashlib.sha256(waveform.tobytes()).digest()
        self.choices = 0

    def number(self, i, below):
        return int.from_bytes(self.digest[8 * i : 8 * i + 8], "little") % below

    def choice(self, values):
        self.choices += 1
        return values[self.number(self.choices - 1, len(values))]

    def randint(self, low, high):
        return low + self.number(0, high - low)


def fill(network):
    for i, (name, tensor) in enumerate(network.state_dict().items()):
        if not tensor.is_floating_point() or any(part in name for part in CONSTANT):
            continue
        numbers = like(tensor, 3000 + i)
        if tensor.ndim < 2:
            one = 1.0 if name.endswith(("weight", "running_var")) else 0.0
            numbers = one + numbers * np.float32(0.2)
        tensor.copy_(numbers)


def embed(clap, waveform, use_tensor):
    draws = Draws(waveform)
    choice, randint = np.random.choice, np.random.randint
    np.random.choice, np.random.randint = draws.choice, draws.randint
    try:
        batch = torch.from_numpy(waveform)[None] if use_tensor else waveform[None]
        return np.asarray(clap.get_audio_embedding_from_data(batch, use_tensor=use_tensor)[0])
    finally:
        np.random.choice, np.random.randint = choice, randint


def tokens():
    """Ids of four captions of 3 to 77 tokens, padded to 77 as laion_clap does, and their mask."""
    ids, mask = np.ones((4, 77), np.int64), np.zeros((4, 77), np.int64)
    for row, length in enumerate((3, 8, 30, 77)):
        words = 4 + (unit(length, 50 + row) + 0.5) * (WORDS - 5)
        ids[row, :length] = words.astype(np.int64)
        ids[row, 0], ids[row, length - 1] = 0, 2
        mask[row, :length] = 1
    return ids, mask


def write_checkpoint(clap, path):
    parameters = [torch.nn.Parameter(torch.ones(3))]
    optimizer = torch.optim.AdamW(parameters, betas=(0.9, np.float64(0.98)))
    parameters[0].grad = torch.ones(3)
    optimizer.step()
    state = {f"module.{name}": tensor for name, tensor in clap.model.state_dict().items()}
    state["module.text_branch.embeddings.position_ids"] = torch.arange(514)[None]
    content = {
        "epoch": 15, "name": "clap", "state_dict": state, "optimizer": optimizer.state_dict(),
        "scores": {"val": np.float64(0.9), "all": np.arange(3.0)},
    }
    torch.save(content, path)


@torch.no_grad()
def main(folder):
    ids, mask = tokens()
    stored = {"ids": ids, "mask": mask}
    for case, (tower, fusion) in CASES.items():
        clap = laion_clap.CLAP_Module(enable_fusion=fusion, amodel=tower, device="cpu")
        clap.model.eval()
        fill(clap.model)
        if folder:
            write_checkpoint(clap, folder / f"{case}.pt")
        shapes = {name: list(t.shape) for name, t in clap.model.state_dict().items()}
        stored[f"{case}__shapes"] = np.array(json.dumps(shapes))
        text = clap.model.get_text_embedding(
            {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        )
        stored[f"{case}__text"] = text.numpy()
        for key, (name, seconds) in enumerate(SECONDS.items()):
            waveform = sound(seconds, 60 + key)
            stored[f"{case}__{name}"] = embed(clap, waveform, True)
            if name == "short":  # by the 16-bit round trip of arrays
                stored[f"{case}__quantized"] = embed(clap, waveform, False)
    np.savez_compressed(Path(__file__).parent / "clap.npz", **stored)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
