"""The layers of a codec, fed piece by piece: what each gives, joined, is what the whole gives.

A convolution keeps the end of its input until the samples behind it are there, and pads only the
two ends of the whole. Nothing is computed twice, but for one frame per piece of an upsampling.
"""

from collections.abc import Iterable
from fractions import Fraction
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiogen.codec.conv import PaddedConv1d, PaddedConvTranspose1d, pad_reflect
from audiogen.codec.seanet import POINTWISE, ResidualBlock, ResidualLSTM

WIDEST = 1 << 20  # bytes of one layer at the waveform's rate: a few of them stay in the cache


class LayerStream(Protocol):
    """A layer somewhere in a stream; float [B, C, t] with t of any size, 0 included."""

    rate: Fraction  # outputs per input
    wait: Fraction  # inputs that must follow those an output belongs to, before it is given

    def push(self, x: Tensor, *, last: bool) -> Tensor:
        """Add what follows; return what is now certain, and everything if nothing more comes."""
        ...


def stream_of(layer: nn.Module) -> LayerStream:
    """Return a fresh stream through a layer; its weights stay where they are.

    Raises:
        ValueError: if an output of the layer depends on the whole input.
    """
    if isinstance(layer, nn.Sequential):
        return Chain(stream_of(inner) for inner in layer)
    if isinstance(layer, ResidualBlock):
        return Sum(stream_of(layer.shortcut), stream_of(layer.block))
    if isinstance(layer, ResidualLSTM):
        return Recurrence(layer)
    if isinstance(layer, PaddedConv1d | PaddedConvTranspose1d):
        if not isinstance(layer.norm, nn.Identity):
            raise ValueError(
                "this codec normalizes over the whole sound (time_group_norm), so its first "
                "output depends on the last input: encode and decode at once"
            )
        return Convolution(layer) if isinstance(layer, PaddedConv1d) else Upsampling(layer)
    if isinstance(layer, POINTWISE):
        return Pointwise(layer)
    raise ValueError(f"no stream is known through a layer of type {type(layer).__name__}")


def encoder_stream(layers: nn.Sequential) -> "Chain":
    """Return a stream through an encoder, in short parts up to its last strided convolution.

    Near the waveform a layer holds far more signal than weights, near the frames far less.
    """
    sequence = list(layers)
    strided = [i for i, x in enumerate(sequence) if isinstance(x, PaddedConv1d) and x.stride > 1]
    split = strided[-1] if strided else 0
    steps = WIDEST // (4 * _channels(sequence[0], "out_channels"))
    early = Chain(map(stream_of, sequence[:split]), steps=steps)
    return Chain([early, *map(stream_of, sequence[split:])])


def decoder_stream(layers: nn.Sequential) -> "Chain":
    """Return a stream through a decoder, in short parts from its first upsampling on."""
    sequence = list(layers)
    split = next(i for i, x in enumerate(sequence) if isinstance(x, PaddedConvTranspose1d)) + 1
    last = next(x for x in reversed(sequence) if isinstance(x, PaddedConv1d))
    late = Chain(map(stream_of, sequence[split:]))
    late.steps = max(1, int(WIDEST // (4 * _channels(last, "in_channels")) / late.rate))
    return Chain([*map(stream_of, sequence[:split]), late])


def _channels(layer: nn.Module, end: str) -> int:
    assert isinstance(layer, PaddedConv1d)
    return int(getattr(layer.conv, end))


class Chain:
    """Layers one behind the other; what is longer than ``steps`` goes through them in parts."""

    def __init__(self, layers: Iterable[LayerStream], *, steps: int | None = None) -> None:
        self.layers = list(layers)
        self.steps = steps
        self.rate, self.wait = Fraction(1), Fraction(0)
        for layer in self.layers:
            self.wait += layer.wait / self.rate
            self.rate *= layer.rate

    def push(self, x: Tensor, *, last: bool) -> Tensor:
        """Hand every part through all layers."""
        if self.steps is None or len(x) * x.shape[-1] <= self.steps:
            return self._push(x, last=last)
        *parts, end = x.split(max(1, self.steps // len(x)), dim=-1)
        done = [*(self._push(part, last=False) for part in parts), self._push(end, last=last)]
        return torch.cat([part for part in done if part.shape[-1]] or done[-1:], dim=-1)

    def _push(self, x: Tensor, *, last: bool) -> Tensor:
        for layer in self.layers:
            x = layer.push(x, last=last)
        return x


class Pointwise:
    """A layer that sees one sample at a time."""

    rate = Fraction(1)
    wait = Fraction(0)

    def __init__(self, layer: nn.Module) -> None:
        self.layer = layer

    def push(self, x: Tensor, *, last: bool) -> Tensor:
        """Apply the layer."""
        return self.layer(x)


class Recurrence:
    """An LSTM; its state is all it knows of the past."""

    rate = Fraction(1)
    wait = Fraction(0)

    def __init__(self, layer: ResidualLSTM) -> None:
        self.layer = layer
        self.state: tuple[Tensor, Tensor] | None = None

    def push(self, x: Tensor, *, last: bool) -> Tensor:
        """Go on from the state behind the previous piece."""
        if x.shape[-1] == 0:
            return x
        y, self.state = self.layer.resume(x, self.state)
        return y


class Sum:
    """A shortcut around a block; what comes early waits for the other."""

    rate = Fraction(1)

    def __init__(self, shortcut: LayerStream, block: LayerStream) -> None:
        self.shortcut = shortcut
        self.block = block
        self.wait = block.wait
        self.waiting: Tensor | None = None  # what the shortcut is ahead by

    def push(self, x: Tensor, *, last: bool) -> Tensor:
        """Add the two where both are there."""
        ahead = _join(self.waiting, self.shortcut.push(x, last=last))
        y = self.block.push(x, last=last)
        self.waiting = ahead[..., y.shape[-1] :].clone()
        return ahead[..., : y.shape[-1]] + y


class Convolution:
    """A convolution, strided or dilated; padding goes to the two ends of the whole."""

    def __init__(self, layer: PaddedConv1d) -> None:
        self.layer = layer
        self.rate, self.wait = Fraction(1, layer.stride), Fraction(layer.pad_right)
        self.span = (layer.conv.kernel_size[0] - 1) * layer.dilation + 1
        # A reflected beginning is made of the samples behind the first one.
        self.least = layer.pad_left + 1 if layer.pad_mode == "reflect" else 1
        self.length = 0  # of the input so far
        self.begun = False  # the left padding is on
        self.kept: Tensor | None = None  # input that is still needed
        self.end: Tensor | None = None  # the last samples, of which the right padding is made

    def push(self, x: Tensor, *, last: bool) -> Tensor:
        """Convolve what is complete."""
        self.length += x.shape[-1]
        if self.layer.pad_mode != "constant":
            known = _join(self.end, x)
            self.end = known[..., -(self.layer.pad_right + self.layer.stride) :].clone()
        x = _join(self.kept, x)
        if self.length >= self.least or last:
            x = self._pad(x, last=last)
        count = (x.shape[-1] - self.span) // self.layer.stride + 1 if self.begun else 0
        if count <= 0:
            self.kept = x
            return x.new_zeros(len(x), self.layer.conv.out_channels, 0)
        self.kept = x[..., count * self.layer.stride :].clone()
        return self.layer.convolve(x[..., : (count - 1) * self.layer.stride + self.span])

    def _pad(self, x: Tensor, *, last: bool) -> Tensor:
        """Put on the left padding, once, and the right one if this is the end."""
        mode, stride = self.layer.pad_mode, self.layer.stride
        left = 0 if self.begun else self.layer.pad_left
        right = self.layer.pad_right + -self.length % stride if last else 0
        begun, self.begun = self.begun, True
        if not begun or mode == "constant":
            return _padded(x, left=left, right=right, mode=mode)
        if right == 0:
            return x
        assert self.end is not None
        return _join(x, _padded(self.end, left=0, right=right, mode=mode)[..., -right:])


class Upsampling:
    """A transposed convolution, whose kernel spans two strides: a frame mixes with the next."""

    def __init__(self, layer: PaddedConvTranspose1d) -> None:
        self.layer = layer
        self.rate, self.wait = Fraction(layer.stride), Fraction(layer.trim_left, layer.stride)
        self.previous: Tensor | None = None  # the last frame

    def push(self, x: Tensor, *, last: bool) -> Tensor:
        """Give all but the last stride, which the next frame adds to."""
        if x.shape[-1] == 0 and not last:
            return x.new_zeros(len(x), self.layer.conv.out_channels, 0)
        stride = self.layer.stride
        begin = self.layer.trim_left if self.previous is None else stride
        x = _join(self.previous, x)
        self.previous = x[..., -1:].clone()
        y = self.layer.convolve(x)
        return y[..., begin : y.shape[-1] - (self.layer.trim_right if last else stride)]


def _join(kept: Tensor | None, x: Tensor) -> Tensor:
    """Join along time; what is empty has no say in the dtype."""
    if kept is None or kept.shape[-1] == 0:
        return x
    return torch.cat([kept, x], dim=-1) if x.shape[-1] else kept


def _padded(x: Tensor, *, left: int, right: int, mode: str) -> Tensor:
    if mode == "reflect":
        return pad_reflect(x, left=left, right=right)
    return F.pad(x, (left, right), mode=mode)
