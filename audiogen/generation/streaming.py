"""Decode codes piece by piece, to what decoding them at once gives."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from audiogen.codec.model import Codec
from audiogen.codec.seanet import ResidualLSTM


class StreamDecoder:
    """Decoder of a `Codec` for codes that are still arriving.

    A convolution sees a few frames to either side, so each piece is decoded with a margin that is
    then cut off, and the newest frames wait until their margin is there. The LSTM sees the whole
    past, so its state is kept. The concatenated pieces equal ``codec.decode(all codes)`` up to
    the rounding of float32, in time and memory that grow with the pieces only.

    Args:
        codec: in evaluation mode.
    """

    def __init__(self, codec: Codec) -> None:
        if any(isinstance(module, nn.GroupNorm) for module in codec.decoder.modules()):
            raise ValueError(
                "this codec normalizes over the whole sound (time_group_norm), so its first sample "
                "depends on the last code: decode all codes at once"
            )
        layers = list(codec.decoder.layers)
        self.codec = codec
        config = _overrides(codec)
        widest = config["num_filters"] * 2 ** len(config["ratios"])
        self.first = _Margined(layers[0], margin=_first_margin(config), hop=1, width=widest)
        self.lstm = layers[1] if isinstance(layers[1], ResidualLSTM) else None
        rest = nn.Sequential(*layers[1 + (self.lstm is not None) :])
        self.rest = _Margined(
            rest, margin=_rest_margin(config), hop=codec.hop_length, width=codec.channels
        )
        self.state: tuple[Tensor, Tensor] | None = None

    @torch.no_grad()
    def push(self, codes: Tensor, *, last: bool = False) -> Tensor:
        """Add codes int64 [B, K, t], t at least 1, and return what is now certain.

        Args:
            codes: the frames that follow those already pushed.
            last: nothing follows: also return what was waiting.

        Returns:
            float32 [B, C, n], n at least 0.
        """
        hidden = self.first.push(self.codec.decode_latents(codes), last=last)
        if self.lstm is not None and hidden.shape[-1]:
            steps = hidden.permute(2, 0, 1)
            read, self.state = self.lstm.lstm(steps, self.state)
            hidden = (read + steps).permute(1, 2, 0)
        return self.rest.push(hidden, last=last)


class _Margined:
    """A convolutional network run on a growing input: float [B, D, T] to [B, width, T * hop]."""

    def __init__(self, network: nn.Module, *, margin: int, hop: int, width: int) -> None:
        self.network = network
        self.width = width
        self.margin = margin  # frames to either side that one frame depends on, at most
        self.hop = hop
        self.kept: Tensor | None = None  # what is still needed of the input
        self.start = 0  # position of ``kept`` in the whole input
        self.done = 0  # frames already given out

    def push(self, new: Tensor, *, last: bool) -> Tensor:
        self.kept = new if self.kept is None else torch.cat([self.kept, new], dim=-1)
        arrived = self.start + self.kept.shape[-1]
        certain = arrived if last else max(self.done, arrived - self.margin)
        if certain == self.done:
            return new.new_zeros(len(new), self.width, 0)
        output = self.network(self.kept)
        piece = output[..., (self.done - self.start) * self.hop : (certain - self.start) * self.hop]
        self.done = certain
        start = max(0, self.done - self.margin)
        self.kept = self.kept[..., start - self.start :]
        self.start = start
        return piece


def _overrides(codec: Codec) -> dict[str, Any]:
    return {**codec.config, **(codec.config["decoder_overrides"] or {})}


def _reach(kernel_size: int, config: Mapping[str, Any]) -> int:
    """Steps to one side that a kernel covers; a causal one covers only one side, but all of it."""
    return kernel_size - 1 if config["causal"] else kernel_size // 2


def _first_margin(config: Mapping[str, Any]) -> int:
    return _reach(config["kernel_size"], config)


def _rest_margin(config: Mapping[str, Any]) -> int:
    """Frames that reach a sample through the upsampling stages, from the last one backwards."""
    dilations = [config["dilation_base"] ** j for j in range(config["num_residual_layers"])]
    residual = _reach(config["residual_kernel_size"], config) * sum(dilations)
    reach = _reach(config["last_kernel_size"], config)
    for ratio in reversed(config["ratios"]):
        reach = math.ceil((reach + residual) / ratio) + 1  # a transposed kernel spans two strides
    return reach


@torch.no_grad()
def decode_pieces(
    decoder: StreamDecoder, frames: Iterable[Tensor], *, size: int
) -> Iterator[Tensor]:
    """Decode frames int64 [B, K] as they come, ``size`` together.

    Yields:
        float32 [B, C, t], t at least 1, on the codec's device.
    """
    for codes, last in _pieces(frames, size):
        piece = decoder.push(codes, last=last)
        if piece.shape[-1]:
            yield piece


def _pieces(frames: Iterable[Tensor], size: int) -> Iterator[tuple[Tensor, bool]]:
    """Gather frames [B, K] into codes [B, K, size]; the last piece, maybe shorter, comes marked."""
    gathered: list[Tensor] = []
    for frame in frames:
        if len(gathered) == size:
            yield torch.stack(gathered, dim=-1), False
            gathered = []
        gathered.append(frame)
    yield torch.stack(gathered, dim=-1), True
