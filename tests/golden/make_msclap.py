"""Write msclap.npz with msclap itself: python make_msclap.py [WEIGHTS_FILE].

Run with msclap 1.3.4, torch and torchaudio 2.11.0, torchlibrosa 0.1.0, transformers 4.57.6 and
numpy 1.26.4, in an environment of their own: msclap wants an old numpy. What it would fetch is made
here: weights, and the words of GPT-2, as few as the captions need. Beside the small network, whose
sounds and captions go all the way through the package, the names and shapes of the published
network are stored.

All weights are hashed: tensor i of the state dict has key 5000 + i; constants are the package's.
Sounds are hashed noise, louder and softer, written to files. Where msclap draws a crop from
Python's global stream, the draw is the hash of the seed and the sound, as in
evaluation/embedders/msclap_front.py.

With WEIGHTS_FILE, the small checkpoint is also written there: every tensor as floats, and with the
masks that transformers kept among the weights of GPT-2 then, as the published file has them.
"""

import hashlib
import json
import random
import sys
import tempfile
from argparse import Namespace
from pathlib import Path

import numpy as np
import soundfile
import torch
import torchaudio
import transformers
import yaml
from hashed import like, unit
from msclap.CLAPWrapper import CLAPWrapper
from msclap.models import clap as models
from msclap.models import config as htsat_config
from msclap.models.htsat import HTSAT_Swin_Transformer

RATE = 44100
SEED = 2036
WIDTH, LAYERS, POSITIONS = 64, 2, 160  # of the small text tower
WORDS = ("dog", "barks", "twice", "in", "the", "distance", "rain", "falls", "tin", "roof", "a")
SMALL = {"embed_dim": 16, "depths": [1, 2, 1, 1], "num_heads": [4, 8, 16, 32]}
JOINT = 48  # of the space of the small network
SOUNDS = {  # name: seconds, channels, rate of the file
    "short": (2.3, 1, RATE),
    "exact": (7.0, 1, RATE),
    "long": (9.1, 1, RATE),
    "stereo": (4.4, 2, RATE),
    "other_rate": (7.9, 1, 16000),
}
CAPTIONS = [
    "a dog barks twice in the distance",
    "Heavy rain falls on a tin roof.",
    "Look out!! a dog",
    "",
    " ".join(["rain falls"] * 60),
]
CONSTANT = ("spectrogram_extractor", "logmel_extractor", "logit_scale", "attn_mask")


def noise(seconds, channels, rate, key):
    """Noise float32 [C, T] whose level goes up and down, channel after channel of other keys."""
    count = round(seconds * rate)
    level = (1 + np.sin(np.arange(count, dtype=np.float64) / 9000)).astype(np.float32)
    rows = [unit(count, key + 20 * channel) * level for channel in range(channels)]
    return np.stack(rows)


def words():
    """Words as GPT-2 numbers them: bytes in its order, so that "!" is 0, merges, and the end."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    tokens = [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]
    merges = [("!", "!")]
    for word in WORDS:
        marked = f"Ġ{word}"
        merges += [(marked[:i], marked[i]) for i in range(1, len(marked))]
    merges = list(dict.fromkeys(merges))
    tokens += [first + second for first, second in merges]
    ids = {token: i for i, token in enumerate(dict.fromkeys([*tokens, "<|endoftext|>"]))}
    return ids, [" ".join(pair) for pair in merges]


def write_words(folder):
    ids, merges = words()
    (folder / "vocab.json").write_text(json.dumps(ids))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]))
    return len(ids)


def fill(network):
    for i, (name, tensor) in enumerate(network.state_dict().items()):
        if not tensor.is_floating_point() or any(part in name for part in CONSTANT):
            continue
        if tensor.ndim > 1:
            tensor.copy_(like(tensor, 5000 + i))
        else:
            one = 1.0 if name.endswith(("weight", "running_var")) else 0.0
            tensor.copy_(one + like(tensor, 5000 + i) * np.float32(0.2))


def build(args, count=None):
    """The package's network: of the published sizes, or small with that many words."""
    sizes = {}
    if count is not None:
        sizes = {"n_embd": WIDTH, "n_layer": LAYERS, "n_head": 1, "n_positions": POSITIONS}
        sizes["vocab_size"] = count

    def gpt2(*_, **__):
        return transformers.GPT2Model(transformers.GPT2Config(**sizes))

    models.AutoModel = Namespace(from_pretrained=gpt2)
    small = count is not None
    network = models.CLAP(
        audioenc_name=args.audioenc_name,
        sample_rate=args.sampling_rate,
        window_size=args.window_size,
        hop_size=args.hop_size,
        mel_bins=args.mel_bins,
        fmin=args.fmin,
        fmax=args.fmax,
        classes_num=args.num_classes,
        out_emb=8 * SMALL["embed_dim"] if small else args.out_emb,
        text_model=args.text_model,
        transformer_embed_dim=WIDTH if small else args.transformer_embed_dim,
        d_proj=JOINT if small else args.d_proj,
    )
    if small:
        network.audio_encoder.base.htsat = HTSAT_Swin_Transformer(config=htsat_config, **SMALL)
    return network.eval()


def make_tool(folder):
    """The package's user class, without the downloads of its constructor."""
    tool = object.__new__(CLAPWrapper)
    text = (Path(models.__file__).parents[1] / "configs" / "config_2023.yml").read_text()
    tool.args = Namespace(**yaml.safe_load(text))
    tool.use_cuda = False
    tool.token_keys = ["input_ids", "attention_mask"]
    tool.np_str_obj_array_pattern = None
    tool.clap = build(tool.args, write_words(folder))
    tool.tokenizer = transformers.GPT2TokenizerFast.from_pretrained(str(folder))
    tool.tokenizer.add_special_tokens({"pad_token": "!"})
    fill(tool.clap)
    return tool


def embed_sound(tool, waveform, path, rate):
    """The embedding of a file, and the spectrogram behind it."""
    soundfile.write(path, waveform.T, rate, subtype="FLOAT")
    samples = torch.from_numpy(waveform)
    if rate != RATE:
        samples = torchaudio.transforms.Resample(rate, RATE)(samples)
    one = samples.reshape(-1).numpy()
    digest = hashlib.sha256(SEED.to_bytes(8, "little") + one.tobytes()).digest()
    drawn = random.randrange
    random.randrange = lambda below: int.from_bytes(digest[:8], "little") % below
    try:
        sound = tool.preprocess_audio([str(path)], resample=True)
    finally:
        random.randrange = drawn
    htsat = tool.clap.audio_encoder.base.htsat
    mel = htsat.logmel_extractor(htsat.spectrogram_extractor(sound.reshape(1, -1)))
    return tool._get_audio_embeddings(sound)[0], mel[0, 0]


def load(path):
    """What torchaudio.load gives; its own needs another package here."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return torch.from_numpy(samples.T.copy()), rate


def write_checkpoint(network, path):
    state = {name: tensor.float() for name, tensor in network.state_dict().items()}
    for layer in range(LAYERS):
        name = f"caption_encoder.base.h.{layer}.attn"
        state[f"{name}.bias"] = torch.ones(1, 1, POSITIONS, POSITIONS).tril()
        state[f"{name}.masked_bias"] = torch.tensor(-1e4)
    torch.save({"model": state}, path)


def shapes(network):
    return np.array(json.dumps({name: list(t.shape) for name, t in network.state_dict().items()}))


@torch.no_grad()
def main(weights):
    torchaudio.load = load
    ids, merges = words()
    stored = {
        "vocab": np.array(json.dumps(ids)), "merges": np.array(json.dumps(merges)),
        "captions": np.array(json.dumps(CAPTIONS)),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        tool = make_tool(folder)
        rows = []
        for key, (name, (seconds, channels, rate)) in enumerate(SOUNDS.items()):
            waveform = noise(seconds, channels, rate, 60 + key)
            row, mel = embed_sound(tool, waveform, folder / "sound.wav", rate)
            rows.append(row)
            stored[f"mel__{name}"] = mel[::40].numpy()
        stored["audio"] = torch.stack(rows).numpy()
        tokens = [tool.preprocess_text([caption])["input_ids"][0] for caption in CAPTIONS]
        for i, row in enumerate(tokens):
            stored[f"ids__{i}"] = row.numpy()
        text = torch.cat([tool.get_text_embeddings([caption]) for caption in CAPTIONS])
        together = tool.get_text_embeddings(CAPTIONS[:4])
        assert (together - text[:4]).abs().max() < 1e-5
        similarity = tool.compute_similarity(torch.stack(rows), text)
        stored |= {"text": text.numpy(), "scale": tool.clap.logit_scale.exp().numpy()}
        stored |= {"similarity": similarity.numpy(), "shapes": shapes(tool.clap)}
        if weights:
            write_checkpoint(tool.clap, weights)
        stored["published"] = shapes(build(tool.args))
        stored["melW"] = tool.clap.audio_encoder.base.htsat.logmel_extractor.melW.numpy()[::8]
    np.savez_compressed(Path(__file__).parent / "msclap.npz", **stored)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
