"""Options that trade a known error of a codec for speed: for inference, and only when asked for.

| option | what it changes |
|---|---|
| ``lstm="bfloat16"`` | the LSTM computes in bfloat16 |
| ``lstm="int8"`` | its weights become int8, its inputs int8 at every step; on a CPU |
| ``convolutions="bfloat16"`` | convolutions and activations compute in bfloat16 |

"near" is the first, "fast" the second and the third, with bfloat16 in place of int8 where there is
no CPU. Take "near" to make codes for training: int8 in the encoder changes more of them.

Waveforms, latents, codes and the quantizer stay as they are. What each option gains, and by how
much it moves sounds and codes, is measured by `recipes/speed`. Gains that change no value beyond
float noise (kept weights, pieces that fit the cache) need no option.
"""

import copy
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Literal, NoReturn, Self, cast

import torch
from torch import Tensor, nn

from audiogen.codec.conv import PaddedConv1d, PaddedConvTranspose1d
from audiogen.codec.kept import Kept
from audiogen.codec.model import Codec, CodecOutput
from audiogen.codec.seanet import ResidualLSTM

Fast = Literal["near", "fast"] | Mapping[str, str]
State = tuple[Tensor, Tensor]
CONVOLUTIONS = ("float32", "bfloat16")
LSTMS = ("float32", "bfloat16", "int8")
PRESETS = {
    "near": {"convolutions": "float32", "lstm": "bfloat16"},
    "fast": {"convolutions": "bfloat16", "lstm": "int8"},
}


def accelerate(
    codec: Codec,
    *,
    convolutions: Literal["float32", "bfloat16"] = "float32",
    lstm: Literal["float32", "bfloat16", "int8"] = "float32",
) -> "FastCodec":
    """Copy a codec, on its device, for faster inference; what stays exact is shared with it.

    Raises:
        ValueError: if an option is unknown, the codec is not in float32, or int8 is asked for on a
            device other than a CPU.
    """
    if convolutions not in CONVOLUTIONS or lstm not in LSTMS:
        raise ValueError(
            f"convolutions must be one of {', '.join(CONVOLUTIONS)} and lstm one of "
            f"{', '.join(LSTMS)}; got {convolutions!r} and {lstm!r}"
        )
    if isinstance(codec, FastCodec):
        raise ValueError("this codec is a fast one already: start from the one it was made from")
    if codec.dtype != torch.float32:
        raise ValueError(f"a fast codec is made from a float32 one, got {codec.dtype}: .float() it")
    device = next(codec.parameters()).device
    if lstm == "int8" and device.type != "cpu":
        raise ValueError(f"lstm='int8' runs on a CPU, the codec is on {device}: take 'bfloat16'")
    return FastCodec(codec, convolutions=convolutions, lstm=lstm)


def accelerated(codec: Codec, fast: Fast | None) -> Codec:
    """Apply a preset, "near" or "fast", or the keywords of `accelerate`; None changes nothing."""
    if fast is None:
        return codec
    if fast not in PRESETS if isinstance(fast, str) else not isinstance(fast, Mapping):
        raise ValueError(f"fast must be {' or '.join(PRESETS)}, or None; got {fast!r}")
    options = dict(PRESETS[fast] if isinstance(fast, str) else fast)
    if fast == "fast" and next(codec.parameters()).device.type != "cpu":
        options["lstm"] = "bfloat16"
    unknown = sorted(options.keys() - {"convolutions", "lstm"})
    if unknown:
        raise ValueError(f"fast knows convolutions and lstm, not {', '.join(unknown)}")
    return accelerate(codec, **cast(dict[str, Any], options))


class FastCodec(Codec):
    """What `accelerate` returns: a `Codec` that neither trains, nor moves, nor can be saved.

    Its fingerprint is that of the codec it was made from, whose codes it reads and, but for some,
    writes.
    """

    def __init__(self, codec: Codec, *, convolutions: str, lstm: str) -> None:
        nn.Module.__init__(self)
        own = {"_parameters", "_buffers", "_modules"}
        self.__dict__.update({k: v for k, v in codec.__dict__.items() if k not in own})
        convert = _Conversion(convolutions=convolutions, lstm=lstm)
        self.encoder = convert.half(codec.encoder)
        self.decoder = convert.half(codec.decoder)
        self.quantizer = copy.deepcopy(codec.quantizer)
        self.options = {"convolutions": convolutions, "lstm": lstm}
        self._fingerprint = codec.fingerprint()
        self._device = next(codec.parameters()).device
        self.eval()

    @torch.no_grad()
    def forward(self, waveform: Tensor) -> CodecOutput:
        """Do what `Codec.forward` does, without gradients."""
        return super().forward(waveform)

    @torch.no_grad()
    def encode_latents(self, waveform: Tensor) -> tuple[Tensor, Tensor | None]:
        """Do what `Codec.encode_latents` does, without gradients."""
        return super().encode_latents(waveform)

    @torch.no_grad()
    def decode(self, codes: Tensor, scale: Tensor | None = None) -> Tensor:
        """Do what `Codec.decode` does, without gradients."""
        return super().decode(codes, scale)

    def fingerprint(self) -> str:
        """Hash of the codec this one was made from."""
        return self._fingerprint

    def train(self, mode: bool = True) -> Self:
        """Refuse training mode."""
        if mode:
            raise ValueError(
                "a fast codec holds rounded weights and cannot be trained: load it without fast"
            )
        return super().train(False)

    def state_dict(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse to be saved."""
        raise ValueError(
            "a fast codec holds rounded weights and cannot be saved: save the one it was made from"
        )

    def load_state_dict(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse other weights."""
        raise ValueError("a fast codec cannot take weights: load a codec, then make it fast")

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Refuse another device or dtype; the present ones are no change."""
        probe = torch.zeros(1, device=self._device)
        moved = fn(probe)
        if moved.device != probe.device or moved.dtype != probe.dtype:
            raise ValueError(
                f"a fast codec stays on {self._device} in its own number formats: "
                "move the codec first, then make it fast"
            )
        return self


class _Conversion:
    def __init__(self, *, convolutions: str, lstm: str) -> None:
        self.convolutions = convolutions
        self.lstm = lstm

    def half(self, network: nn.Module) -> Any:
        """Convert an encoder or a decoder; its last convolution gives float32 again."""
        converted = self._module(network)
        kinds = (_Bfloat16Conv, _Bfloat16ConvTranspose)
        found = [module for module in converted.modules() if isinstance(module, kinds)]
        if found:
            found[-1].gives = torch.float32
        return converted

    def _module(self, module: nn.Module) -> nn.Module:
        if isinstance(module, ResidualLSTM):
            return _FastLSTM(module, self.lstm)
        if self.convolutions == "bfloat16":
            if isinstance(module, PaddedConv1d):
                return _Bfloat16Conv(module)
            if isinstance(module, PaddedConvTranspose1d):
                return _Bfloat16ConvTranspose(module)
        if isinstance(module, PaddedConv1d | PaddedConvTranspose1d):
            return module
        shared = copy.copy(module)
        shared._modules = {
            name: child and self._module(child) for name, child in module._modules.items()
        }
        return shared


class _Bfloat16Conv(PaddedConv1d):
    """A `PaddedConv1d` with a computed bfloat16 weight."""

    gives: torch.dtype

    def __init__(self, exact: PaddedConv1d) -> None:
        _become(self, exact)

    def convolve(self, x: Tensor, *, padding: int = 0) -> Tensor:
        """Convolve [B, C, T], already padded, in bfloat16."""
        return super().convolve(x.to(torch.bfloat16), padding=padding).to(self.gives)


class _Bfloat16ConvTranspose(PaddedConvTranspose1d):
    """A `PaddedConvTranspose1d` with a computed bfloat16 weight."""

    gives: torch.dtype

    def __init__(self, exact: PaddedConvTranspose1d) -> None:
        _become(self, exact)

    def convolve(self, x: Tensor, *, trim: int = 0) -> Tensor:
        """Convolve [B, C, T] in bfloat16."""
        return super().convolve(x.to(torch.bfloat16), trim=trim).to(self.gives)


class _FastLSTM(ResidualLSTM):
    """A `ResidualLSTM` of another number format, float32 outside."""

    def __init__(self, exact: ResidualLSTM, kind: str) -> None:
        nn.Module.__init__(self)
        make = {"float32": lambda lstm: lstm, "bfloat16": _Bfloat16LSTM, "int8": _int8}
        self.lstm = make[kind](exact.lstm)

    def resume(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Go on from a state, float32 as ``x`` becomes."""
        return super().resume(x.float(), state)


class _Bfloat16LSTM(nn.Module):
    """Takes and gives float32."""

    def __init__(self, exact: nn.LSTM) -> None:
        super().__init__()
        self.rounded = copy.deepcopy(exact).to(torch.bfloat16).requires_grad_(False)

    def forward(self, steps: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Map float32 [T, B, D] and a state to the same."""
        rounded = None if state is None else (state[0].bfloat16(), state[1].bfloat16())
        read, (hidden, cell) = self.rounded(steps.bfloat16(), rounded)
        return read.float(), (hidden.float(), cell.float())


def _int8(exact: nn.LSTM) -> nn.Module:
    """Quantize the weights of an LSTM; inputs are quantized as they come."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.ao is to move to another package, one day
        held = nn.Sequential(copy.deepcopy(exact))
        torch.ao.quantization.quantize_dynamic(held, {nn.LSTM}, dtype=torch.qint8, inplace=True)
    return held[0]


def _become(fast: nn.Module, exact: PaddedConv1d | PaddedConvTranspose1d) -> None:
    """Take over everything of a convolution, rounded, with the weight that its norm gives."""
    nn.Module.__init__(fast)
    own = {"_parameters", "_buffers", "_modules", "_kept"}
    fast.__dict__.update({k: v for k, v in exact.__dict__.items() if k not in own})
    fast._kept = Kept()  # type: ignore[assignment]
    fast.norm = copy.deepcopy(exact.norm).requires_grad_(False)
    averages = not isinstance(exact.norm, nn.Identity)  # over all time: not in 16 bits
    fast.gives = torch.float32 if averages else torch.bfloat16  # type: ignore[assignment]
    with torch.device("meta"):
        kind = nn.Conv1d if isinstance(exact, PaddedConv1d) else nn.ConvTranspose1d
        conv = kind(
            exact.conv.in_channels,
            exact.conv.out_channels,
            exact.conv.kernel_size[0],
            stride=exact.stride,
            dilation=exact.conv.dilation[0],
        )
    for name in ("weight", "bias"):
        value = getattr(exact.conv, name).detach().to(torch.bfloat16).clone()
        setattr(conv, name, nn.Parameter(value, requires_grad=False))
    fast.conv = conv
