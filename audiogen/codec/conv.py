"""Convolutions that pad and trim themselves, so that frame counts are exact.

A convolution of stride s gives ceil(T / s) frames for T samples; a transposed one gives T * s.
Source of the geometry: EnCodec (arXiv:2210.13438), section 3.1.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from audiogen.codec.kept import Kept, may_keep, sources

NORMS = ("none", "weight_norm", "spectral_norm", "time_group_norm")
PAD_MODES = ("constant", "reflect", "replicate")


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvStyle:
    """What all convolutions of one network share."""

    norm: str = "weight_norm"
    causal: bool = False  # frame t sees no sample after its own hop
    pad_mode: str = "constant"
    norm_params: Mapping[str, Any] = field(default_factory=dict)  # of the group norm: eps, affine

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise ValueError(f"norm must be one of {', '.join(NORMS)}; got {self.norm!r}")
        if self.pad_mode not in PAD_MODES:
            raise ValueError(f"pad_mode must be one of {PAD_MODES}; got {self.pad_mode!r}")

    def after(self, channels: int) -> nn.Module:
        """Build what follows a convolution that gives so many channels."""
        if self.norm != "time_group_norm":
            return nn.Identity()
        return nn.GroupNorm(1, channels, **self.norm_params)


def pad_reflect(x: Tensor, *, left: int, right: int) -> Tensor:
    """Reflect-pad float [B, C, T], also when T is not longer than the padding.

    A short input first gets zeros on its right, which are reflected and then cut off again.
    """
    missing = max(0, max(left, right) - x.shape[-1] + 1)
    padded = F.pad(F.pad(x, (0, missing)), (left, right), mode="reflect")
    return padded[..., : padded.shape[-1] - missing]


def _normalize(conv: nn.Module, norm: str) -> None:
    """Reparametrize the weight of a convolution in place."""
    if norm == "weight_norm":
        weight_norm(conv)
    elif norm == "spectral_norm":
        spectral_norm(conv)


class _KeepsWeight(nn.Module):
    """Keeps what the weight of ``conv`` is computed to, in eval mode without gradients."""

    def __init__(self) -> None:
        super().__init__()
        self._kept = Kept()

    def train(self, mode: bool = True) -> Self:
        """Free the kept weight."""
        self._kept.forget()
        return super().train(mode)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._kept.forget()
        return cast(Self, super()._apply(fn, recurse))


class PaddedConv1d(_KeepsWeight):
    """Convolution of float [B, C, T] to [B, C', ceil(T / stride)]."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int,
        style: ConvStyle,
        stride: int = 1,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        if kernel_size < stride:
            raise ValueError(
                f"kernel_size {kernel_size} is below stride {stride}: samples would be skipped"
            )
        self.conv = nn.Conv1d(
            in_channels, out_channels, kernel_size, stride=stride, dilation=dilation
        )
        _normalize(self.conv, style.norm)
        self.norm = style.after(out_channels)
        self.pad_mode = style.pad_mode
        self.stride = stride
        self.dilation = dilation
        total = (kernel_size - 1) * dilation + 1 - stride
        self.pad_right = 0 if style.causal else total // 2
        self.pad_left = total - self.pad_right

    def forward(self, x: Tensor) -> Tensor:
        """Convolve float [B, C, T] to [B, C', ceil(T / stride)]."""
        extra = -x.shape[-1] % self.stride
        left, right = self.pad_left, self.pad_right + extra
        inside = 0
        if self.pad_mode == "constant":
            inside = min(left, right)  # the convolution pads zeros itself, without a copy
            if left != right:
                x = F.pad(x, (left - inside, right - inside))
        elif self.pad_mode == "reflect":
            x = pad_reflect(x, left=left, right=right)
        else:
            x = F.pad(x, (left, right), mode="replicate")
        return self.norm(self.convolve(x, padding=inside))

    def convolve(self, x: Tensor, *, padding: int = 0) -> Tensor:
        """Convolve float [B, C, T], already padded; ``padding`` adds zeros to both ends."""
        weight, bias = self._weight(), self.conv.bias
        return F.conv1d(x, weight, bias, self.stride, padding, self.dilation)

    def _weight(self) -> Tensor:
        if parametrize.is_parametrized(self.conv, "weight") and may_keep(self.conv):
            return self._kept.get(sources(self.conv), lambda: self.conv.weight)
        return self.conv.weight


class PaddedConvTranspose1d(_KeepsWeight):
    """Transposed convolution of float [B, C, T] to [B, C', T * stride]; its kernel is 2 * stride.

    ``trim_right_ratio`` is the share of the surplus cut from the right end; only a causal
    network may choose it.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int,
        style: ConvStyle,
        trim_right_ratio: float = 1.0,
    ) -> None:
        super().__init__()
        if not 0 <= trim_right_ratio <= 1:
            raise ValueError(f"trim_right_ratio must be in [0, 1], got {trim_right_ratio}")
        if trim_right_ratio != 1 and not style.causal:
            raise ValueError(
                f"trim_right_ratio {trim_right_ratio} needs causal=True: "
                "a non-causal network trims both ends evenly"
            )
        self.conv = nn.ConvTranspose1d(in_channels, out_channels, 2 * stride, stride=stride)
        _normalize(self.conv, style.norm)
        self.norm = style.after(out_channels)
        self.stride = stride
        trim_right = math.ceil(stride * trim_right_ratio) if style.causal else stride // 2
        self.trim_right = trim_right
        self.trim_left = stride - trim_right

    def forward(self, x: Tensor) -> Tensor:
        """Convolve float [B, C, T] to [B, C', T * stride]."""
        # Trimming inside the convolution saves computing what is cut off; a group norm, however,
        # averages over the surplus too.
        surplus_counts = not isinstance(self.norm, nn.Identity)
        inside = 0 if surplus_counts else min(self.trim_left, self.trim_right)
        left, right = self.trim_left - inside, self.trim_right - inside
        y = self.norm(self.convolve(x, trim=inside))
        return y[..., left : y.shape[-1] - right]

    def convolve(self, x: Tensor, *, trim: int = 0) -> Tensor:
        """Convolve float [B, C, T] to [B, C', (T + 1) * stride - 2 * trim].

        In evaluation on a CPU, a convolution of kernel 2 gives the ``stride`` samples of a step as
        channels, because a sample hears two inputs: torch's own is slower there, as long as the
        weight need not be rearranged at every call.
        """
        bias = self.conv.bias
        if x.device.type != "cpu" or not may_keep(self.conv):
            return F.conv_transpose1d(x, self.conv.weight, bias, self.stride, trim)
        weight = self._kept.get(sources(self.conv), self.phases)
        return self.from_phases(x, weight, bias, trim=trim)

    def from_phases(self, x: Tensor, weight: Tensor, bias: Tensor | None, *, trim: int) -> Tensor:
        """Do what `convolve` does, with the weight that `phases` gives."""
        bias = None if bias is None else bias.repeat_interleave(self.stride)
        y = F.conv1d(x, weight, bias, padding=1).unflatten(1, (-1, self.stride))
        y = y.transpose(2, 3).flatten(2)
        return y[..., trim : y.shape[-1] - trim]

    def phases(self) -> Tensor:
        """Weight [C, C', 2 * stride] as that of a convolution, [C' * stride, C, 2]."""
        halves = self.conv.weight.unflatten(2, (2, self.stride)).flip(2)
        return halves.permute(1, 3, 0, 2).flatten(0, 1)


def scale_weights(module: PaddedConv1d | PaddedConvTranspose1d, *, gain: float) -> None:
    """Draw weights from N(0, gain^2 / fan_in) and zero the bias.

    The fan-in of a transposed convolution is what one output sample sums over: channels in
    times kernel / stride. Draws from torch's global stream, as every constructor of torch does.
    """
    conv = module.conv
    shape = conv.weight.shape
    if isinstance(module, PaddedConvTranspose1d):
        fan_in = shape[0] * shape[2] / module.stride
    else:
        fan_in = shape[1] * shape[2]
    with torch.no_grad():
        weight = torch.randn(shape).mul_(gain / math.sqrt(fan_in)).to(conv.weight)
        if parametrize.is_parametrized(conv, "weight"):
            conv.weight = weight
        else:
            conv.weight.copy_(weight)
        if conv.bias is not None:
            conv.bias.zero_()
