"""SEANet: the convolutional encoder and decoder around the quantizer.

Source: EnCodec (arXiv:2210.13438), section 3.1; SEANet (arXiv:2009.02095).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from audiogen.codec.conv import ConvStyle, PaddedConv1d, PaddedConvTranspose1d, scale_weights
from audiogen.codec.tiles import decode_in_tiles, encode_in_tiles, may_tile

# What torch.nn has that sees one sample at a time, by its name there, in any case: "LeakyReLU".
POINTWISE = (
    *(nn.CELU, nn.ELU, nn.GELU, nn.Hardshrink, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh),
    *(nn.Identity, nn.LeakyReLU, nn.LogSigmoid, nn.Mish, nn.PReLU, nn.ReLU, nn.ReLU6, nn.RReLU),
    *(nn.SELU, nn.SiLU, nn.Sigmoid, nn.Softplus, nn.Softshrink, nn.Softsign, nn.Tanh),
    *(nn.Tanhshrink, nn.Threshold),
)
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "elu": nn.ELU,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    **{kind.__name__.lower(): kind for kind in POINTWISE},
}


def make_activation(name: str, params: Mapping[str, Any]) -> nn.Module:
    """Build an activation by name, for example ``"elu"`` with ``{"alpha": 1.0}``."""
    if name.lower() not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}; got {name!r}")
    return ACTIVATIONS[name.lower()](**params)


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """The shape of one half of the network; `Codec` documents every field."""

    channels: int = 1
    dimension: int = 128
    num_filters: int = 64
    ratios: Sequence[int] = (8, 5, 4, 2)  # strides of the decoder, in its order
    num_residual_layers: int = 1
    kernel_size: int = 7
    last_kernel_size: int = 7
    residual_kernel_size: int = 3
    dilation_base: int = 2
    compress: int = 2
    lstm_layers: int = 2
    norm: str = "weight_norm"
    norm_params: Mapping[str, Any] = field(default_factory=dict)
    pad_mode: str = "constant"
    causal: bool = False
    true_skip: bool = True
    activation: str = "elu"
    activation_params: Mapping[str, Any] = field(default_factory=dict)
    disable_norm_outer_blocks: int = 0
    trim_right_ratio: float = 1.0  # decoder only
    final_activation: str | None = None  # decoder only
    final_activation_params: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("channels", "dimension", "num_filters", "compress", "dilation_base"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not self.ratios or min(self.ratios) < 1:
            raise ValueError(f"ratios must be strides of at least 1, got {list(self.ratios)}")
        if not 0 <= self.disable_norm_outer_blocks <= self.num_blocks:
            raise ValueError(
                f"disable_norm_outer_blocks must be in [0, {self.num_blocks}] "
                f"for {len(self.ratios)} ratios, got {self.disable_norm_outer_blocks}"
            )
        if self.num_filters < self.compress:
            raise ValueError(
                f"num_filters {self.num_filters} is below compress {self.compress}: "
                "a residual block would have no channels"
            )

    @property
    def num_blocks(self) -> int:
        """First convolution, stages, last convolution."""
        return len(self.ratios) + 2

    @property
    def widest(self) -> int:
        """Channels at the frame rate, where the LSTM sits."""
        return self.num_filters * 2 ** len(self.ratios)

    def style(self, outer_index: int) -> ConvStyle:
        """Style of a block; ``outer_index`` 1 is the block next to the waveform."""
        plain = outer_index <= self.disable_norm_outer_blocks
        norm = "none" if plain else self.norm
        return ConvStyle(
            norm=norm,
            norm_params=self.norm_params,
            causal=self.causal,
            pad_mode=self.pad_mode,
        )

    def act(self) -> nn.Module:
        """Build a fresh activation."""
        return make_activation(self.activation, self.activation_params)

    def residual_blocks(self, dim: int, style: ConvStyle) -> list[nn.Module]:
        """Build the residual blocks of one stage, with growing dilation."""
        return [
            ResidualBlock(dim, dilation=self.dilation_base**j, geometry=self, style=style)
            for j in range(self.num_residual_layers)
        ]

    def lstm(self) -> list[nn.Module]:
        """Build the LSTM, or nothing when ``lstm_layers`` is 0."""
        return [ResidualLSTM(self.widest, self.lstm_layers)] if self.lstm_layers else []


class ResidualBlock(nn.Module):
    """y = shortcut(x) + block(x), both float [B, D, T]."""

    def __init__(self, dim: int, *, dilation: int, geometry: Geometry, style: ConvStyle) -> None:
        super().__init__()
        hidden = dim // geometry.compress
        kernel = geometry.residual_kernel_size
        self.block = nn.Sequential(
            geometry.act(),
            PaddedConv1d(dim, hidden, kernel_size=kernel, dilation=dilation, style=style),
            geometry.act(),
            PaddedConv1d(hidden, dim, kernel_size=1, style=style),
        )
        self.shortcut: nn.Module = (
            nn.Identity()
            if geometry.true_skip
            else PaddedConv1d(dim, dim, kernel_size=1, style=style)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, D, T] to the same shape."""
        return self.shortcut(x) + self.block(x)


class ResidualLSTM(nn.Module):
    """One-directional LSTM over time whose input is added to its output, float [B, D, T]."""

    def __init__(self, dim: int, num_layers: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(dim, dim, num_layers)

    def forward(self, x: Tensor) -> Tensor:
        """Map float [B, D, T] to the same shape, from a zero state."""
        return self.resume(x, None)[0]

    def resume(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Go on from a state; None is zero. Returns the output and the state behind it."""
        steps = x.permute(2, 0, 1)
        if steps.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            # Backwards, a bfloat16 LSTM takes twice the time of a float32 one on a CPU.
            with torch.autocast("cpu", enabled=False):
                read, state = self.lstm(steps.float(), state)
        else:
            read, state = self.lstm(steps, state)
        return (read + steps).permute(1, 2, 0), state


class Encoder(nn.Module):
    """Waveform float [B, C, T] to latents [B, D, ceil(T / hop)]."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        g = geometry
        dim = g.num_filters
        layers: list[nn.Module] = [
            PaddedConv1d(g.channels, dim, kernel_size=g.kernel_size, style=g.style(1))
        ]
        for i, ratio in enumerate(reversed(g.ratios)):
            style = g.style(i + 2)
            layers += [*g.residual_blocks(dim, style), g.act()]
            layers += [PaddedConv1d(dim, 2 * dim, kernel_size=2 * ratio, stride=ratio, style=style)]
            dim *= 2
        last = g.style(g.num_blocks)
        layers += [*g.lstm(), g.act()]
        layers += [PaddedConv1d(dim, g.dimension, kernel_size=g.last_kernel_size, style=last)]
        self.layers = nn.Sequential(*layers)

    def forward(self, waveform: Tensor) -> Tensor:
        """Encode float [B, C, T] to [B, D, ceil(T / hop)]."""
        if may_tile(self, waveform):
            return encode_in_tiles(list(self.layers), waveform)
        return self.layers(waveform)


class Decoder(nn.Module):
    """Latents float [B, D, T] to waveform [B, C, T * hop]."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        g = geometry
        dim = g.widest
        first = g.style(g.num_blocks)
        layers: list[nn.Module] = [
            PaddedConv1d(g.dimension, dim, kernel_size=g.kernel_size, style=first)
        ]
        layers += g.lstm()
        for i, ratio in enumerate(g.ratios):
            style = g.style(g.num_blocks - 1 - i)
            up = PaddedConvTranspose1d(
                dim, dim // 2, stride=ratio, style=style, trim_right_ratio=g.trim_right_ratio
            )
            dim //= 2
            layers += [g.act(), up, *g.residual_blocks(dim, style)]
        last = PaddedConv1d(dim, g.channels, kernel_size=g.last_kernel_size, style=g.style(1))
        layers += [g.act(), last]
        if g.final_activation is not None:
            layers += [make_activation(g.final_activation, g.final_activation_params)]
        self.layers = nn.Sequential(*layers)

    def forward(self, latents: Tensor) -> Tensor:
        """Decode float [B, D, T] to [B, C, T * hop]."""
        if may_tile(self, latents):
            return decode_in_tiles(list(self.layers), latents)
        return self.layers(latents)


def init_scaled(encoder: Encoder, decoder: Decoder) -> None:
    """Give every convolution unit gain, so that latents start with a spread worth quantizing.

    torch's default shrinks the signal at every layer; after a few of them the latents are nearly
    constant and the codebooks collapse to one entry. The first convolution is raised because
    sound is quiet (RMS near 0.1), the tails of residual blocks lowered because they add up, the
    last one lowered so that the first outputs are no louder than sound is.
    """
    gains = {id(_convolutions(encoder)[0]): 5.0, id(_convolutions(decoder)[-1]): 0.3}
    for network in (encoder, decoder):
        for module in network.modules():
            if isinstance(module, ResidualBlock):
                gains[id(module.block[-1])] = 0.5
        for conv in _convolutions(network):
            scale_weights(conv, gain=gains.get(id(conv), 1.0))


def _convolutions(network: nn.Module) -> list[PaddedConv1d | PaddedConvTranspose1d]:
    kinds = (PaddedConv1d, PaddedConvTranspose1d)
    return [module for module in network.modules() if isinstance(module, kinds)]


def hop_length(ratios: Sequence[int]) -> int:
    """Samples per frame."""
    return math.prod(ratios)
