"""Long signals in pieces that fit into the cache of a CPU, with the result of the whole.

At the waveform's rate a layer of the codec fills tens of megabytes; a piece of half a second
passes through all layers without leaving the cache, two to four times as fast. Every piece is read
with a margin on both sides that is cut off again, so that no kept value has seen an inner edge:
the result differs by float noise only.
"""

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from audiogen.codec.conv import PaddedConv1d, PaddedConvTranspose1d

PIECE = 1 << 22  # bytes of the widest layer per piece: a few of them share the cache of a core
LONGER = 16  # such pieces together are one piece of the convolution next to the LSTM

Network = Callable[[Tensor], Tensor]


def may_tile(module: nn.Module, x: Tensor) -> bool:
    """Whether ``module`` may take ``x`` in pieces: a CPU, no gradients, no norm over all time."""
    if module.training or torch.is_grad_enabled() or torch.compiler.is_compiling():
        return False
    averages = any(isinstance(layer, nn.GroupNorm) for layer in module.modules())
    return x.device.type == "cpu" and not averages


def run_layers(layers: Iterable[nn.Module]) -> Network:
    """Return the composition of layers."""
    sequence = list(layers)

    def run(x: Tensor) -> Tensor:
        for layer in sequence:
            x = layer(x)
        return x

    return run


def margin(layers: Iterable[nn.Module], *, down: int) -> int:
    """Steps of each side that a piece loses at an inner edge.

    A step is ``down`` samples of the input: one where layers lengthen the signal, their whole
    stride where they shorten it. An upper bound: no kernel is taken to be centered.
    """
    step, lost = float(down), 0.0  # positions of the present layer per step; steps lost so far
    for layer in layers:
        for conv in layer.modules():
            if isinstance(conv, PaddedConv1d):
                lost += (conv.conv.kernel_size[0] - 1) * conv.dilation / step
                step /= conv.stride
            elif isinstance(conv, PaddedConvTranspose1d):
                lost += 2 / step
                step *= conv.stride
    return math.ceil(lost) + 1


def in_tiles(network: Network, x: Tensor, *, down: int, up: int, tile: int, margin: int) -> Tensor:
    """Apply ``network`` to float [B, C, T], one clip and one piece of time after the other.

    Args:
        network: makes ``up`` positions of every ``down`` samples, [B, C', ceil(T / down) * up].
        x: float [B, C, T].
        down: samples per step before the network.
        up: positions per step behind it.
        tile: steps per piece; raised where the margins would cost more than a quarter of it.
        margin: steps that a piece loses on each side.

    Returns:
        float [B, C', ceil(T / down) * up]: what ``network(x)`` is.
    """
    steps = -(-x.shape[-1] // down)
    tile = max(tile, 8 * margin)
    if len(x) * steps <= tile + tile // 2:
        return network(x)
    tile = math.ceil(steps / math.ceil(steps / tile))  # pieces of one size
    whole: Tensor | None = None
    for item in range(len(x)):
        for begin in range(0, steps, tile):
            end = min(begin + tile, steps)
            first = max(0, begin - margin)
            piece = network(x[item : item + 1, :, first * down : (end + margin) * down])
            kept = piece[..., (begin - first) * up : (end - first) * up]
            if whole is None:
                whole = kept.new_empty(len(x), kept.shape[1], steps * up)
            whole[item, :, begin * up : end * up] = kept[0]
    assert whole is not None
    return whole


def encode_in_tiles(layers: Sequence[nn.Module], waveform: Tensor) -> Tensor:
    """Run the layers of an encoder on [B, C, T]: up to the LSTM in pieces, from there on whole.

    The last strided convolution reads more weights than signal, so it takes longer pieces.
    """
    strided = [i for i, x in enumerate(layers) if isinstance(x, PaddedConv1d) and x.stride > 1]
    if not strided:
        return run_layers(layers)(waveform)
    first = _convolution(layers[0])
    early, deep = layers[: strided[-1]], layers[: strided[-1] + 1]
    down, hop = _stride(early), _stride(deep)
    samples = PIECE // (4 * first.conv.out_channels)

    def shallow(x: Tensor) -> Tensor:
        return in_tiles(
            run_layers(early),
            x,
            down=down,
            up=1,
            tile=samples // down,
            margin=margin(early, down=down),
        )

    hidden = in_tiles(
        lambda x: layers[strided[-1]](shallow(x)),
        waveform,
        down=hop,
        up=1,
        tile=LONGER * samples // hop,
        margin=margin(deep, down=hop),
    )
    return run_layers(layers[len(deep) :])(hidden)


def decode_in_tiles(layers: Sequence[nn.Module], latents: Tensor) -> Tensor:
    """Run the layers of a decoder on [B, D, T]: up to the LSTM whole, from there on in pieces."""
    kinds = [i for i, x in enumerate(layers) if isinstance(x, PaddedConvTranspose1d)]
    if not kinds:
        return run_layers(layers)(latents)
    begin = kinds[0]
    late = layers[begin + 1 :]
    up, hop = _stride(late), _stride(layers[begin:])
    last = [x for x in layers if isinstance(x, PaddedConv1d)][-1]
    samples = PIECE // (4 * last.conv.in_channels)

    def rest(x: Tensor) -> Tensor:
        return in_tiles(
            run_layers(late), x, down=1, up=up, tile=samples // up, margin=margin(late, down=1)
        )

    return in_tiles(
        lambda x: rest(layers[begin](x)),
        run_layers(layers[:begin])(latents),
        down=1,
        up=hop,
        tile=LONGER * samples // hop,
        margin=margin(layers[begin:], down=1),
    )


def _convolution(layer: nn.Module) -> PaddedConv1d:
    assert isinstance(layer, PaddedConv1d)
    return layer


def _stride(layers: Iterable[nn.Module]) -> int:
    """By how much layers shorten, or lengthen, the signal."""
    kinds = (PaddedConv1d, PaddedConvTranspose1d)
    return math.prod(x.stride for x in layers if isinstance(x, kinds))
