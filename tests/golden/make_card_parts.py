"""Score odd_sounds.py's files with what published tools are made of: python make_card_parts.py

    make_card_parts.py sounds FOLDER OUT.npz    # what reaches the networks, thinned out
    make_card_parts.py scores FOLDER OUT.npz    # all the way to scores; minutes

FOLDER is of odd_sounds.py: sounds, or the two sides, captions.csv and `weights`.

stable-audio-metrics, av-benchmark and audioldm_eval's branch with PaSST are in no package registry,
but what they are made of is: librosa 0.11.0, pyloudnorm 0.2.0, torchaudio 2.11.0 (its reader by
soundfile, as before 2.9), hear21passt 0.0.26, laion-clap 1.1.7, panns-inference 0.1.1, torchvggish
0.2, torch-fidelity 0.4.0. They are put together here as those tools are known to, in an environment
of their own (numpy 1.26.4, transformers 5.23.0). Weights are hashed; CLAP's are written to
FOLDER/weights. Where laion_clap would draw a crop, it takes the middle one; `...__antialias` is
with the shrunken spectrogram as torchvision makes it today. One tool is there as it is: the CLAP
score of frechet-audio-distance 0.3.4.
"""

import contextlib
import functools
import io
import json
import os
import sys
import types
from importlib.metadata import version
from pathlib import Path

import librosa
import numpy as np
import pyloudnorm
import soundfile
import torch
import torchaudio

PEAK = -1.0  # dB
THIN = 991  # every so many samples are kept
SIDES = ("reference", "generated")
CLAP = {  # card -> file, tower, fusion
    "stable_audio_metrics": ("630k-audioset-fusion-best.pt", "HTSAT-tiny", True),
    "av_benchmark": ("music_speech_audioset_epoch_15_esc_89.98.pt", "HTSAT-base", False),
    "audioldm_eval_passt": ("music_speech_audioset_epoch_15_esc_89.98.pt", "HTSAT-base", False),
}
PACKAGES = (
    "librosa", "pyloudnorm", "torchaudio", "hear21passt", "laion-clap", "panns-inference",
    "torchvggish", "torch-fidelity", "frechet-audio-distance", "torch", "numpy", "soundfile",
    "soxr",
)


def stable_audio(path, rate):
    """Read as stable-audio-metrics does, float32 [T]."""
    samples, _ = librosa.load(path, sr=rate, mono=True)
    return pyloudnorm.normalize.peak(samples, PEAK).astype(np.float32)


def av_benchmark(path, rate, *, seconds=10, fill=False):
    """Read as av-benchmark does, float32 [T]."""
    samples, source = soundfile.read(path, dtype="float32", always_2d=True)
    sound = torch.from_numpy(samples.T.copy()).mean(dim=0)
    sound = torchaudio.transforms.Resample(source, rate)(sound - sound.mean())[: rate * seconds]
    return torch.nn.functional.pad(sound, (0, (rate * seconds - len(sound)) * fill)).numpy()


def audioldm(path, rate, *, least=0, exactly=None):
    """Read as audioldm_eval does since June 2023, float32 [T]; lengths in samples."""
    samples, source = soundfile.read(path, dtype="float32", always_2d=True)
    sound = torch.from_numpy(samples.T.copy())[:1]
    sound = torchaudio.functional.resample(sound - sound.mean(), source, rate)[0][:exactly]
    return torch.nn.functional.pad(sound, (0, max(0, (exactly or least) - len(sound)))).numpy()


def laion(path):
    """Read as laion_clap reads files, float32 [T]."""
    samples, _ = librosa.load(path, sr=48000)
    return quantized(samples)


def quantized(samples):
    """Return the sound after laion_clap's 16-bit round trip."""
    return ((np.clip(samples, -1, 1) * 32767.0).astype(np.int16) / 32767.0).astype(np.float32)


def twice(path):
    """Read for CLAP as audioldm_eval's branch does: by way of 32 kHz."""
    sound = torch.from_numpy(audioldm(path, 32000, least=32000))
    return torchaudio.functional.resample(sound, 32000, 48000).numpy()


READERS = {  # card__features -> reader of a file
    "stable_audio_metrics__passt": lambda path: stable_audio(path, 32000),
    "stable_audio_metrics__clap": lambda path: quantized(stable_audio(path, 48000)),
    "av_benchmark__vggish": lambda path: av_benchmark(path, 16000),
    "av_benchmark__panns": lambda path: av_benchmark(path, 16000),
    "av_benchmark__passt": lambda path: av_benchmark(path, 32000, fill=True),
    "av_benchmark__clap": lambda path: av_benchmark(path, 48000),
    "audioldm_eval_passt__vggish": lambda path: audioldm(path, 16000, least=32000),
    "audioldm_eval_passt__passt": lambda path: audioldm(path, 32000, exactly=320000),
    "audioldm_eval_passt__clap": twice,
    "laion_clap": laion,
}


def passt():
    """Return a function from float32 [T] at 32 kHz to logits and features."""
    from hear21passt.models.preprocess import AugmentMelSTFT
    from hear21passt.wrapper import PasstBasicWrapper
    from make_passt import fill, make

    with contextlib.redirect_stdout(io.StringIO()):
        network = make("passt_s_swa_p16_128_ap476")
        fill(network)
        mel = AugmentMelSTFT(
            n_mels=128, sr=32000, win_length=800, hopsize=320, n_fft=1024, freqm=48, timem=192,
            htk=False, fmin=0.0, fmax=None, norm=1, fmin_aug_range=10, fmax_aug_range=2000,
        )
        both = PasstBasicWrapper(mel=mel, net=network, mode="all").eval()

    def run(sound):
        with contextlib.redirect_stdout(io.StringIO()):
            found = both(torch.from_numpy(sound)[None])[0].numpy()
        return found[:527], found[527:]

    return run


def windows(sound, length=320000, hop=160000, unpadded=48000):
    """Cut as stable-audio-metrics does."""
    for start in range(0, max(hop, len(sound) - hop), hop):
        part = sound[start : start + length]
        yield part if len(part) <= unpadded else np.pad(part, (0, length - len(part)))


def panns(weights):
    """Return a function from float32 [T] at 16 kHz to logits and features."""
    sys.modules["panns_inference.config"] = config = types.ModuleType("config")  # it downloads
    config.labels, config.classes_num = [], 527
    from panns_inference.models import Cnn14

    network = Cnn14(16000, 512, 160, 64, 50, 8000, 527).eval()
    state = torch.load(weights / "Cnn14_16k_mAP=0.438.pth")["model"]
    network.load_state_dict(network.state_dict() | state)
    seen = []
    network.fc_audioset.register_forward_hook(lambda *call: seen.append(call[2]))

    def run(sound):
        found = network(torch.from_numpy(sound)[None])
        return seen.pop()[0].numpy(), found["embedding"][0].numpy()

    return run


def vggish(weights):
    """Return a function from float32 [T] at 16 kHz to vectors [n, 128]."""
    from torchvggish import vggish_input
    from torchvggish.torchvggish import VGG, make_layers

    network = VGG(make_layers(), postprocess=False)
    network.load_state_dict(torch.load(weights / "vggish-10086976.pth"))
    network.embeddings = network.embeddings[:-1]  # without the last rectification

    def run(sound):
        return network.eval()(vggish_input.waveform_to_examples(sound, 16000)).numpy()

    return run


class Clap:
    """laion_clap with hashed weights, which are written as its training writes them."""

    def __init__(self, weights, file, tower, fusion):
        import make_clap
        import transformers

        from_files = transformers.PreTrainedTokenizerBase.from_pretrained.__func__
        self.words = from_files(transformers.RobertaTokenizer, str(weights / "roberta-base"))
        self.clap = make_clap.laion_clap.CLAP_Module(fusion, device="cpu", amodel=tower)
        self.clap.tokenize = self.words
        self.clap.model.eval()
        make_clap.fill(self.clap.model)
        if not (weights / file).exists():
            make_clap.write_checkpoint(self.clap, weights / file)

    def sound(self, samples):
        """Return the embedding of float32 [T] at 48 kHz."""
        batch = torch.from_numpy(samples)[None]
        return self.clap.get_audio_embedding_from_data(batch, use_tensor=True)[0].numpy()

    def file(self, path):
        """Return the embedding of a file that laion_clap reads itself."""
        return self.clap.get_audio_embedding_from_filelist([str(path)])[0]

    def text(self, captions):
        """Return the embeddings of captions, [n, 512]."""
        padded = self.clap.get_text_embedding([*captions, ""])  # it wants two or more
        return padded[:-1]


def softmax(logits):
    """Return probabilities of float [C] in float64."""
    raised = np.exp(logits.astype(np.float64) - logits.max())
    return raised / raised.sum()


def divergence(first, second, epsilon):
    """Return KL(first || second) of logits, epsilon within the second logarithm."""
    p, q = softmax(first), softmax(second)
    return float(np.sum(p * (np.log(p) - np.log(q + epsilon))))


def frechet(a, b):
    """Return torch-fidelity's distance of two sets of vectors."""
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    stats = [fid_features_to_statistics(torch.from_numpy(np.stack(rows))) for rows in (a, b)]
    return fid_statistics_to_metric(*stats, verbose=False)["frechet_inception_distance"]


def inception(logits):
    """Return torch-fidelity's score of logits [N, C]."""
    from torch_fidelity.metric_isc import isc_features_to_metric

    return isc_features_to_metric(torch.from_numpy(np.stack(logits)))["inception_score_mean"]


def cosines(clap, embeddings, captions):
    """Return the mean cosine of sounds and captions, over all captions."""
    values = [
        float(text @ row / np.linalg.norm(text) / np.linalg.norm(row))
        for row, own in zip(embeddings, captions, strict=True)
        for text in clap.text(own)
    ]
    return np.mean(values)


def score(folder, files, captions):
    """Return all scores by card__metric."""
    found, weights = {}, folder / "weights"
    heard = {"passt": passt(), "panns": panns(weights), "vggish": vggish(weights)}

    def features(key):
        network = heard[key.split("__")[1]]
        return [[network(READERS[key](path)) for path in files[side]] for side in SIDES]

    rows = [
        [
            np.mean([heard["passt"](part)[0] for part in windows(reader(path))], axis=0)
            for path in files[side]
        ]
        for reader in [READERS["stable_audio_metrics__passt"]]
        for side in SIDES
    ]
    found["stable_audio_metrics__kld_passt_reverse"] = np.mean(
        [divergence(g, r, 1e-6) for r, g in zip(*rows, strict=True)]
    )
    for key, epsilon in (
        ("av_benchmark__passt", 0.0), ("av_benchmark__panns", 0.0),
        ("audioldm_eval_passt__passt", 1e-6),
    ):
        card, network = key.split("__")
        sides = features(key)
        logits, vectors = ([[pair[i] for pair in side] for side in sides] for i in (0, 1))
        found[f"{card}__kld_{network}"] = np.mean(
            [divergence(r, g, epsilon) for r, g in zip(*logits, strict=True)]
        )
        found[f"{card}__fd_{network}"] = frechet(*vectors)
        if card == "av_benchmark":
            found[f"{card}__inception_{network}"] = inception(logits[1])
    for card in ("av_benchmark", "audioldm_eval_passt"):
        rows = [np.concatenate(side) for side in features(f"{card}__vggish")]
        found[f"{card}__fad_vggish"] = frechet(*rows)
    found |= score_clap(folder, files["generated"], captions)
    return found


def score_clap(folder, files, captions):
    """Return the CLAP scores of all cards."""
    import make_clap

    np.random.choice = lambda values: values[len(values) // 2]
    np.random.randint = lambda low, high: low + (high - low) // 2
    found = {}
    for card, kind in CLAP.items():
        clap = Clap(folder / "weights", *kind)
        rows = [clap.sound(READERS[f"{card}__clap"](path)) for path in files]
        found[f"{card}__clap_score"] = cosines(clap, rows, captions)
        if card != "stable_audio_metrics":
            continue
        rows = [clap.file(path) for path in files]
        found["laion_clap__clap_score"] = cosines(clap, rows, captions)
        make_clap.torchvision.transforms.Resize = make_clap.torchvision.transforms.Resize.func
        rows = [clap.sound(READERS[f"{card}__clap"](path)) for path in files]
        found[f"{card}__antialias"] = cosines(clap, rows, captions)
    return found | score_package(folder)


def score_package(folder):
    """Return the CLAP score of frechet-audio-distance, which pairs files and captions by order."""
    kind = ("630k-audioset-best.pt", "HTSAT-tiny", False)
    words = Clap(folder / "weights", *kind).words
    from frechet_audio_distance import CLAPScore

    listed, read = os.listdir, torch.load
    os.listdir = lambda path: sorted(listed(path))
    torch.load = functools.partial(read, weights_only=False)
    with contextlib.redirect_stdout(io.StringIO()):
        tool = CLAPScore(ckpt_dir=str(folder / "weights"), audio_load_worker=1)
        tool.model.tokenize = words
        mean, _ = tool.score(str(folder / "first.csv"), str(folder / "generated"))
    os.listdir, torch.load = listed, read
    return {"frechet_audio_distance__clap_score": mean}


def thin(files):
    """Return the length, the energy and some samples of every sound that reaches a network."""
    found = {}
    for key, reader in READERS.items():
        for path in files:
            sound = reader(path)
            head = [len(sound), np.square(sound, dtype=np.float64).sum()]
            found[f"{key}__{path.stem}"] = np.array([*head, *sound[::THIN]])
    return found


@torch.no_grad()
def main(what: str, folder: Path, out: Path) -> None:
    """Write the numbers of a folder of sounds."""
    if what == "sounds":
        found = thin(sorted(folder.iterdir()))
    else:
        files = {side: sorted((folder / side).iterdir()) for side in SIDES}
        lines = (folder / "captions.csv").read_text().splitlines()[1:]
        captions = [
            [line.split(",")[1] for line in lines if line.split(",")[0] == path.stem]
            for path in files["generated"]
        ]
        found = score(folder, files, captions)
    versions = json.dumps({name: version(name) for name in PACKAGES})
    np.savez_compressed(out, versions=versions, **found)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
