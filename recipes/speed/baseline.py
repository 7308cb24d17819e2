"""The codec as it is usually written: what the benchmark compares with.

Written here from the published description, with the patterns of common EnCodec code, so that a
ratio has a denominator that anybody can run: README.md lists them. Weights come from our `Codec`,
and a test holds that outputs, codes and gradients are equal.
"""

import copy
import warnings
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from audiogen.codec.adversarial import (
    feature_matching_loss,
    hinge_discriminator_loss,
    hinge_generator_loss,
)
from audiogen.codec.conv import PaddedConv1d, PaddedConvTranspose1d, pad_reflect
from audiogen.codec.discriminator import MultiScaleSTFTDiscriminator
from audiogen.codec.model import Codec
from audiogen.codec.seanet import ResidualBlock, ResidualLSTM

KINDS = (nn.Conv1d, nn.ConvTranspose1d, nn.Conv2d)
OLDER = {  # names of the two halves of a weight under the older weight norm
    "parametrizations.weight.original0": "weight_g",
    "parametrizations.weight.original1": "weight_v",
}


def with_live_norm(conv: nn.Module) -> nn.Module:
    """Copy a convolution; its weight norm becomes the older one, computed before every call."""
    kind = next(kind for kind in KINDS if isinstance(conv, kind))
    fixed = {name: getattr(conv, name) for name in ("stride", "padding", "dilation")}
    copied = kind(conv.in_channels, conv.out_channels, conv.kernel_size, **fixed)
    if not parametrize.is_parametrized(conv, "weight"):
        copied.load_state_dict(conv.state_dict())
        return copied
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the older one is the point here
        nn.utils.weight_norm(copied)
    state = {OLDER.get(name, name): value for name, value in conv.state_dict().items()}
    copied.load_state_dict(state)
    return copied


class PlainConv(nn.Module):
    """Pads a copy of the signal, then convolves."""

    def __init__(self, ours: PaddedConv1d) -> None:
        super().__init__()
        self.conv = with_live_norm(ours.conv)
        self.norm = copy.deepcopy(ours.norm)
        self.stride, self.pad_mode = ours.stride, ours.pad_mode
        self.left, self.right = ours.pad_left, ours.pad_right

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, C, T] to [B, C', ceil(T / stride)]."""
        right = self.right + -x.shape[-1] % self.stride
        if self.pad_mode == "reflect":
            x = pad_reflect(x, left=self.left, right=right)
        else:
            x = F.pad(x, (self.left, right), mode=self.pad_mode)
        return self.norm(self.conv(x))


class PlainConvTranspose(nn.Module):
    """Computes everything, then trims."""

    def __init__(self, ours: PaddedConvTranspose1d) -> None:
        super().__init__()
        self.conv = with_live_norm(ours.conv)
        self.norm = copy.deepcopy(ours.norm)
        self.left, self.right = ours.trim_left, ours.trim_right

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, C, T] to [B, C', T * stride]."""
        y = self.norm(self.conv(x))
        return y[..., self.left : y.shape[-1] - self.right]


class PlainBlock(nn.Module):
    """A residual block of plain convolutions."""

    def __init__(self, ours: ResidualBlock) -> None:
        super().__init__()
        self.block = nn.Sequential(*(plain(layer) for layer in ours.block))
        self.shortcut = plain(ours.shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, D, T] to the same shape."""
        return self.shortcut(x) + self.block(x)


class PlainLSTM(nn.Module):
    """torch's LSTM in float32, with a skip."""

    def __init__(self, ours: ResidualLSTM) -> None:
        super().__init__()
        self.lstm = copy.deepcopy(ours.lstm)

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, D, T] to the same shape."""
        steps = x.permute(2, 0, 1)
        output, _ = self.lstm(steps)
        return (output + steps).permute(1, 2, 0)


PLAIN: Mapping[type[nn.Module], type[nn.Module]] = {
    PaddedConv1d: PlainConv,
    PaddedConvTranspose1d: PlainConvTranspose,
    ResidualBlock: PlainBlock,
    ResidualLSTM: PlainLSTM,
}


def plain(layer: nn.Module) -> nn.Module:
    """Rewrite one layer; activations are copied and never work in place."""
    return PLAIN.get(type(layer), copy.deepcopy)(layer)


class PlainCodec(nn.Module):
    """A `Codec` without renormalization, rewritten; the quantizer is a copy of ours."""

    def __init__(self, ours: Codec) -> None:
        super().__init__()
        self.encoder = nn.Sequential(*(plain(layer) for layer in ours.encoder.layers))
        self.decoder = nn.Sequential(*(plain(layer) for layer in ours.decoder.layers))
        self.quantizer = copy.deepcopy(ours.quantizer)

    @torch.no_grad()
    def encode(self, waveform: Tensor) -> Tensor:
        """Map float [B, C, T] to codes int64 [B, K, ceil(T / hop)]."""
        return self.quantizer.encode(self.encoder(waveform))

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """Map codes int64 [B, K, T] to float [B, C, T * hop], one clip after the other."""
        latents = self.quantizer.decode(codes)
        return torch.cat([self.decoder(item) for item in latents.split(1)])

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """Map float [B, C, T] to the decoded waveform and the commitment loss, float []."""
        quantized = self.quantizer(self.encoder(waveform))
        output = self.decoder(quantized.latents)[..., : waveform.shape[-1]]
        return output, quantized.commitment_loss


def plain_discriminator(ours: MultiScaleSTFTDiscriminator) -> MultiScaleSTFTDiscriminator:
    """Copy the discriminator with live weight norm."""
    copied = copy.deepcopy(ours)
    for judge in copied.discriminators:
        judge.convs = nn.ModuleList(with_live_norm(conv) for conv in judge.convs)
        judge.conv_post = with_live_norm(judge.conv_post)
    return copied


class PlainTraining:
    """One update of discriminator and codec, in the order of the published training.

    Args:
        codec: to train.
        discriminator: to train.
        losses: reconstruction losses by name, (output, target) -> float [].
        weights: of all losses by name, "adversarial" and "feature" included.
        decay: of the moving averages of gradient norms.
    """

    def __init__(
        self,
        codec: PlainCodec,
        discriminator: nn.Module,
        *,
        losses: Mapping[str, nn.Module],
        weights: Mapping[str, float],
        decay: float = 0.999,
    ) -> None:
        self.codec, self.discriminator = codec.train(), discriminator.train()
        self.losses, self.weights, self.decay = losses, weights, decay
        self.averages = dict.fromkeys(weights, (0.0, 0.0))
        self.optimizers = [
            torch.optim.Adam(module.parameters(), lr=3e-4, betas=(0.5, 0.9), foreach=False)
            for module in (codec, discriminator)
        ]

    def step(self, target: Tensor) -> None:
        """Update both on float [B, C, T]."""
        output, commitment = self.codec(target)
        real, _ = self.discriminator(target)
        fake, _ = self.discriminator(output.detach())
        self.optimizers[1].zero_grad()
        hinge_discriminator_loss(real, fake).backward()
        self.optimizers[1].step()
        losses = {name: loss(output, target) for name, loss in self.losses.items()}
        losses |= self._adversarial(output, target)
        self.optimizers[0].zero_grad()
        commitment.backward(retain_graph=True)
        output.backward(self._balanced(losses, output))
        self.optimizers[0].step()

    def _adversarial(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        self.discriminator.requires_grad_(False)
        fake, fake_features = self.discriminator(output)
        _, real_features = self.discriminator(target)
        self.discriminator.requires_grad_(True)
        return {
            "adversarial": hinge_generator_loss(fake),
            "feature": feature_matching_loss(fake_features, real_features),
        }

    def _balanced(self, losses: Mapping[str, Tensor], output: Tensor) -> Tensor:
        share = sum(self.weights[name] for name in losses)
        total = torch.zeros_like(output)
        for name, loss in losses.items():
            (gradient,) = torch.autograd.grad(loss, [output], retain_graph=True)
            norm = gradient.flatten(1).norm(dim=1).mean().item()
            sums, count = (self.decay * value for value in self.averages[name])
            self.averages[name] = sums + norm, count + 1
            total += gradient * (self.weights[name] / share / (1e-12 + (sums + norm) / (count + 1)))
        return total
