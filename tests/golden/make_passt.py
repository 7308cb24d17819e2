"""Write passt.npz with hear21passt itself: python make_passt.py (hear21passt 0.0.26, torch 2.11.0).

The waveform is hashed noise of 0.9 s at 32 kHz, as tests/evaluation/embedders/test_passt.py makes
it again. The weights are hashed: tensor number i of the state dict has key 1000 + i. Shapes of the
states of the three variants are stored beside the numbers.
"""

import contextlib
import io
import json
from pathlib import Path

import hear21passt.models.passt as library
import numpy as np
import torch
from hashed import like, unit
from hear21passt.models.preprocess import AugmentMelSTFT
from hear21passt.wrapper import PasstBasicWrapper

TOKENS = ("cls_token", "dist_token", "new_pos_embed", "freq_new_pos_embed", "time_new_pos_embed")
FRAMES = {"passt_s_swa_p16_128_ap476": 998, "passt_20sec": 2000, "passt_30sec": 3000}


def fill(network):
    for i, (name, tensor) in enumerate(network.state_dict().items()):
        if name in TOKENS:
            numbers = torch.from_numpy(unit(tensor.numel(), 1000 + i)).reshape(tensor.shape)
            tensor.copy_(numbers * np.float32(0.2))
        elif tensor.ndim > 1:
            tensor.copy_(like(tensor, 1000 + i))
        else:
            one = 1.0 if name.endswith("weight") else 0.0
            tensor.copy_(like(tensor, 1000 + i) * np.float32(0.2) + one)


def make(arch):
    with contextlib.redirect_stdout(io.StringIO()):
        return library.get_model(arch=arch, pretrained=False, input_tdim=FRAMES[arch]).eval()


@torch.no_grad()
def main():
    waveform = torch.from_numpy(unit(28800, 7))[None]
    with contextlib.redirect_stdout(io.StringIO()):
        mel = AugmentMelSTFT(
            n_mels=128, sr=32000, win_length=800, hopsize=320, n_fft=1024, freqm=48, timem=192,
            htk=False, fmin=0.0, fmax=None, norm=1, fmin_aug_range=10, fmax_aug_range=2000,
        ).eval()
        network = make("passt_s_swa_p16_128_ap476")
        fill(network)
        both = PasstBasicWrapper(mel=mel, net=network, mode="all").eval()(waveform)[0]
    shapes = {
        arch: {name: list(t.shape) for name, t in make(arch).state_dict().items()}
        for arch in FRAMES
    }
    np.savez_compressed(
        Path(__file__).parent / "passt.npz",
        mel=mel(waveform)[0].numpy(),
        logits=both[:527].numpy(),
        features=both[527:].numpy(),
        shapes=np.array(json.dumps(shapes)),
    )


if __name__ == "__main__":
    main()
