"""Four adversarial training steps beside the reference's: all parts of the codec at once."""

import json

import numpy as np
import pytest
import torch
from torch import Tensor

from audiogen.codec.adversarial import (
    feature_matching_loss,
    hinge_discriminator_loss,
    hinge_generator_loss,
)
from audiogen.codec.balancer import Balancer
from audiogen.codec.discriminator import MultiScaleSTFTDiscriminator
from audiogen.codec.losses import MultiScaleMelLoss
from audiogen.codec.model import Codec


class Training:
    """The reference's order of a step: discriminator, commitment, balanced losses."""

    def __init__(self, codec: Codec, discriminator: MultiScaleSTFTDiscriminator) -> None:
        self.codec = codec
        self.discriminator = discriminator
        self.mel = MultiScaleMelLoss(sample_rate=16000)
        self.balancer = Balancer({"adv": 4.0, "feat": 4.0, "l1": 0.1, "msspec": 2.0})
        adam = {"lr": 3e-4, "betas": (0.5, 0.9)}
        self.generator_optimizer = torch.optim.Adam(codec.parameters(), **adam)
        self.discriminator_optimizer = torch.optim.Adam(discriminator.parameters(), **adam)

    def step(self, x: Tensor) -> dict[str, float]:
        output = self.codec(x)
        y = output.waveform
        real, fake = self.discriminator(x)[0], self.discriminator(y.detach())[0]
        d_loss = hinge_discriminator_loss(real, fake)
        self.discriminator_optimizer.zero_grad()
        d_loss.backward()
        self.discriminator_optimizer.step()
        fake, fake_features = self.discriminator(y)
        _, real_features = self.discriminator(x)
        losses = {
            "adv": hinge_generator_loss(fake),
            "feat": feature_matching_loss(fake_features, real_features),
            "l1": (y - x).abs().mean(),
            "msspec": self.mel(y, x),
        }
        self.generator_optimizer.zero_grad()
        output.commitment_loss.backward(retain_graph=True)
        g_loss = self.balancer.backward(losses, y)
        self.generator_optimizer.step()
        named = losses | {"penalty": output.commitment_loss, "g_loss": g_loss, "d_loss": d_loss}
        return {name: value.item() for name, value in named.items()}


@pytest.fixture
def training(make_codec, golden):
    codec = make_codec("codec_base")
    for book in codec.quantizer.codebooks:
        book.dead_code_threshold = 0.0  # the reference had restarts off
    discriminator = MultiScaleSTFTDiscriminator(
        num_filters=4,
        n_ffts=(256, 512, 128),
        hop_lengths=(64, 128, 32),
        win_lengths=(256, 512, 128),
    )
    discriminator.load_state_dict(golden("msstftd")[1])
    return Training(codec.train(), discriminator)


def test_four_steps(training, reference_folder):
    expected = np.load(reference_folder / "training" / "codec_steps.npz")
    keys = {"adv": "adv_msstftd", "feat": "feat_msstftd"}
    for i, batch in enumerate(torch.from_numpy(expected["batches"])):
        for name, value in training.step(batch).items():
            reference = expected[f"metric_{keys.get(name, name)}"][i]
            assert value == pytest.approx(reference, rel=1e-3), (i, name)
    state = training.codec.state_dict()
    torch.testing.assert_close(
        state["quantizer.codebooks.0.embed"],
        torch.from_numpy(expected["after::quantizer.vq.layers.0._codebook.embed"]),
        rtol=1e-3,
        atol=1e-5,
    )
    norms = dict(
        zip(
            json.loads(str(expected["param_names_json"])),
            expected["param_norms_after"],
            strict=True,
        )
    )
    first = state["encoder.layers.0.conv.parametrizations.weight.original1"].norm()
    assert first.item() == pytest.approx(norms["encoder.model.0.conv.conv.weight_v"], rel=1e-4)
    training.codec.eval()
    with torch.no_grad():
        waveform = training.codec(torch.from_numpy(expected["batches"][0])).waveform[..., :2000]
    reference = torch.from_numpy(expected["after_forward"])
    torch.testing.assert_close(waveform, reference, rtol=1e-3, atol=1e-4)
