"""Four adversarial training steps beside the reference's: all parts of the codec at once."""

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
from audiogen.codec.losses import LogMelLoss, MultiScaleMelLoss, SISNRLoss
from audiogen.codec.model import Codec


def gradient_norm(codec: Codec) -> Tensor:
    """Global norm of the gradients so far."""
    gradients = [p.grad.flatten() for p in codec.parameters() if p.grad is not None]
    return torch.cat(gradients).norm()


class Training:
    """The reference's order of a step: discriminator, commitment, balanced losses."""

    def __init__(self, codec: Codec, discriminator: MultiScaleSTFTDiscriminator) -> None:
        self.codec = codec
        self.discriminator = discriminator
        self.msspec = MultiScaleMelLoss(sample_rate=16000)
        self.mel = LogMelLoss(sample_rate=16000)
        self.sisnr = SISNRLoss(sample_rate=16000)
        self.balancer = Balancer({"adv": 4.0, "feat": 4.0, "l1": 0.1, "msspec": 2.0})
        adam = {"lr": 3e-4, "betas": (0.5, 0.9)}
        self.generator_optimizer = torch.optim.Adam(codec.parameters(), **adam)
        self.discriminator_optimizer = torch.optim.Adam(discriminator.parameters(), **adam)

    def step(self, x: Tensor) -> dict[str, float]:
        """Update both players; what the reference logs, by its names."""
        output = self.codec(x)
        d_loss = self.train_discriminator(x, output.waveform)
        losses = self.losses(output.waveform, x)
        self.generator_optimizer.zero_grad()
        output.commitment_loss.backward(retain_graph=True)
        ratio1 = gradient_norm(self.codec)
        g_loss = self.balancer.backward(losses, output.waveform)
        ratio2 = gradient_norm(self.codec)
        self.generator_optimizer.step()
        named = {
            **losses,
            "penalty": output.commitment_loss,
            "g_loss": g_loss,
            "d_loss": d_loss,
            "d_msstftd": d_loss,
            "adv_msstftd": losses["adv"],
            "feat_msstftd": losses["feat"],
            "ratio1": ratio1,
            "ratio2": ratio2,
            "bandwidth": torch.tensor(output.bandwidth),
            "mel": self.mel(output.waveform, x),
            "sisnr": self.sisnr(output.waveform, x),
        }
        return {name: value.item() for name, value in named.items()}

    def train_discriminator(self, x: Tensor, y: Tensor) -> Tensor:
        real, fake = self.discriminator(x)[0], self.discriminator(y.detach())[0]
        loss = hinge_discriminator_loss(real, fake)
        self.discriminator_optimizer.zero_grad()
        loss.backward()
        self.discriminator_optimizer.step()
        return loss

    def losses(self, y: Tensor, x: Tensor) -> dict[str, Tensor]:
        fake, fake_features = self.discriminator(y)
        _, real_features = self.discriminator(x)
        return {
            "adv": hinge_generator_loss(fake),
            "feat": feature_matching_loss(fake_features, real_features),
            "l1": (y - x).abs().mean(),
            "msspec": self.msspec(y, x),
        }


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


def test_four_steps(training, golden, golden_text, our_name):
    """Every number that the reference logged, and all of its weights, buffers and outputs after."""
    expected, _ = golden("codec_steps")
    logged = {name for name in expected if name.startswith("metric_")}
    for i, batch in enumerate(expected["batches"]):
        values = training.step(batch)
        assert {f"metric_{name}" for name in values} == logged
        for name, value in values.items():
            reference = expected[f"metric_{name}"][i].item()
            assert value == pytest.approx(reference, rel=1e-3), (i, name)
    state = training.codec.state_dict()
    for name in expected:
        if name.startswith("after::"):
            ours = state[our_name(name.removeprefix("after::"))]
            torch.testing.assert_close(ours, expected[name], rtol=1e-3, atol=1e-5, msg=name)
    names = golden_text("codec_steps", "param_names_json")
    _, before = golden("codec_base")
    for k, name in enumerate(names):
        norm = state[our_name(name)].norm().item()
        assert norm == pytest.approx(expected["param_norms_after"][k].item(), rel=1e-3), name
        start = before[our_name(name)].norm().item()
        assert start == pytest.approx(expected["param_norms_before"][k].item(), rel=1e-5), name
    gain = training.discriminator.state_dict()[
        "discriminators.0.conv_post.parametrizations.weight.original0"
    ]
    torch.testing.assert_close(gain, expected["msstftd_conv_post_g_after"], rtol=1e-4, atol=0)
    training.codec.eval()
    with torch.no_grad():
        waveform = training.codec(expected["batches"][0]).waveform[..., :2000]
    torch.testing.assert_close(waveform, expected["after_forward"], rtol=1e-3, atol=1e-4)
