"""Encode and decode sounds of any length, piece by piece, in constant memory.

The pieces joined equal the whole. What is added up is the same; only the rounding of float32 may
differ, since a convolution sums in another order for another length: by 1e-6 of the peak in a
waveform, and in codes not at all, unless two entries are as near as that. An int8 LSTM
(`audiogen.codec.fast`) scales its inputs by the piece, so its own error depends on the pieces.
"""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiogen.codec.checks import SHOWN, check_decoded, check_tensor
from audiogen.codec.model import Codec
from audiogen.codec.stream_layers import Chain, decoder_stream, encoder_stream

PIECE = 1 << 16  # samples encoded or decoded at once where the caller leaves it open


def can_stream(codec: Codec) -> bool:
    """Whether a codec works piece by piece: all do that have no norm over the whole sound."""
    return not any(isinstance(module, nn.GroupNorm) for module in codec.modules())


class _Stream:
    """What both directions share: one batch, one end."""

    codec: Codec

    def __init__(self, codec: Codec, network: Chain, scale: Tensor | None) -> None:
        _check_scale(scale, renormalize=codec.renormalize)
        self.codec = codec
        self.scale = None if scale is None else scale.view(-1, 1, 1)
        self.network = network
        self.shape: tuple[int, ...] | None = None  # of a piece, less its length
        self.begun = False
        self.finished = False

    def _next(self, piece: Tensor) -> None:
        """Check that a piece fits those before it."""
        if self.finished:
            raise ValueError("this stream is finished: begin another one for another sound")
        if self.shape is not None and tuple(piece.shape[:2]) != self.shape:
            raise ValueError(
                f"pieces of one stream have one shape but for their length: began with "
                f"{list(self.shape)}, got {list(piece.shape[:2])}"
            )
        if self.scale is not None and len(self.scale) != len(piece):
            raise ValueError(f"scale is for {len(self.scale)} items, the pieces have {len(piece)}")
        self.shape = tuple(piece.shape[:2])
        self.begun = self.begun or piece.shape[-1] > 0

    def _end(self, what: str) -> None:
        """Check that there was something, once."""
        if self.finished:
            raise ValueError("this stream is finished already")
        if not self.begun:
            raise ValueError(f"nothing was pushed: a sound has at least one {what}")
        self.finished = True


def _check_scale(scale: Tensor | None, *, renormalize: bool) -> None:
    if renormalize and scale is None:
        raise ValueError(
            "a codec with renormalize=True divides by the loudness of the whole sound: pass "
            "scale, as measure_scale or codec.encode gives it"
        )
    if scale is None:
        return
    if not renormalize:
        raise ValueError("this codec knows no scale (renormalize=False): leave it out")
    check_tensor(scale, what="scales float [B, 1]")
    shaped = scale.ndim == 2 and scale.shape[1] == 1 and scale.is_floating_point()
    if not shaped or not (scale.isfinite() & (scale > 0)).all():
        raise ValueError(
            f"scale must be float [B, 1], finite and above 0, as codec.encode gives it; got "
            f"{scale.dtype} of shape {list(scale.shape)}: {scale.flatten()[:SHOWN].tolist()}"
        )


def _with_content(piece: Tensor) -> Tensor:
    """A piece as the checks of a codec take it: an empty one with a zero behind it."""
    empty = isinstance(piece, Tensor) and piece.shape[-1:] == (0,)
    return F.pad(piece, (0, 1)) if empty else piece


class StreamingEncoder(_Stream):
    """Encoder of a `Codec` for a waveform that is still arriving.

    All codes joined equal ``codec.encode(whole)``. A frame is given as soon as it is certain: by
    the push that brings sample ``(frame + 1) * codec.hop_length + latency``. With
    pad_mode="reflect" the first frames also wait for the samples that their padding repeats.

    Args:
        codec: its norm must not be "time_group_norm", which averages over the whole.
        scale: float [B, 1], for a codec with renormalize=True; see `measure_scale`.
    """

    def __init__(self, codec: Codec, *, scale: Tensor | None = None) -> None:
        super().__init__(codec, encoder_stream(codec.encoder.layers), scale)
        self.num_codebooks = codec.num_codebooks

    @property
    def latency(self) -> int:
        """Samples behind the end of a frame that its codes depend on; 0 for a causal codec."""
        return int(self.network.wait)

    @torch.no_grad()
    def push(self, waveform: Tensor) -> Tensor:
        """Add float [B, C, t], t of any size, 0 too; return codes int64 [B, K, f], f maybe 0."""
        self.codec.check_waveform(_with_content(waveform))
        self._next(waveform)
        if self.scale is not None:
            waveform = waveform / self.scale
        return self._codes(self.network.push(waveform.to(self.codec.dtype), last=False))

    @torch.no_grad()
    def finish(self) -> Tensor:
        """Return the codes int64 [B, K, f] of what was waiting; nothing follows."""
        self._end("sample")
        assert self.shape is not None
        weight = next(self.codec.encoder.parameters())
        return self._codes(self.network.push(weight.new_zeros(*self.shape, 0), last=True))

    def _codes(self, latents: Tensor) -> Tensor:
        if self.codec.num_codebooks != self.num_codebooks:
            raise ValueError(
                f"the codec was set to {self.codec.num_codebooks} codebooks in the middle of a "
                f"stream that began with {self.num_codebooks}"
            )
        if not latents.isfinite().all():
            raise ValueError(
                "these samples cannot be encoded: they overflow inside the codec; scale them to "
                "[-1, 1] (if they are in that range, the codec's weights are not finite)"
            )
        if latents.shape[-1]:
            return self.codec.quantizer.encode(latents)
        shape = (len(latents), self.num_codebooks, 0)
        return torch.zeros(shape, dtype=torch.int64, device=latents.device)


class StreamingDecoder(_Stream):
    """Decoder of a `Codec` for codes that are still arriving.

    All pieces joined equal ``codec.decode(all codes)``. After n frames, the first
    ``n * codec.hop_length - latency`` samples have been given. With pad_mode="reflect" the first
    ones also wait for the frames that their padding repeats.

    Args:
        codec: its norm must not be "time_group_norm", which averages over the whole.
        scale: float [B, 1], for a codec with renormalize=True: what encoding gave.
    """

    def __init__(self, codec: Codec, *, scale: Tensor | None = None) -> None:
        super().__init__(codec, decoder_stream(codec.decoder.layers), scale)

    @property
    def latency(self) -> int:
        """Samples at the end of the newest frame that still depend on the frames behind it."""
        return int(self.network.wait * self.codec.hop_length)

    @torch.no_grad()
    def push(self, codes: Tensor) -> Tensor:
        """Add codes int64 [B, K, t], t of any size, 0 too; return float [B, C, n], n maybe 0."""
        self.codec.check_codes(_with_content(codes))
        self._next(codes)
        if codes.shape[-1] == 0:
            return self._sound(self.network.push(self._no_latents(len(codes)), last=False))
        return self._sound(self.network.push(self.codec.quantizer.decode(codes), last=False))

    @torch.no_grad()
    def finish(self) -> Tensor:
        """Return the samples float [B, C, n] that were waiting; nothing follows."""
        self._end("frame")
        assert self.shape is not None
        return self._sound(self.network.push(self._no_latents(self.shape[0]), last=True))

    def _no_latents(self, batch: int) -> Tensor:
        weight = next(self.codec.decoder.parameters())
        return weight.new_zeros(batch, self.codec.quantizer.dim, 0)

    def _sound(self, waveform: Tensor) -> Tensor:
        if self.scale is not None:
            waveform = (waveform * self.scale).to(self.codec.dtype)
        check_decoded(waveform)
        return waveform


def encode_long(
    codec: Codec,
    waveform: Iterable[Tensor],
    *,
    scale: Tensor | None = None,
    piece: int = PIECE,
) -> Iterator[Tensor]:
    """Encode a long waveform in constant memory, to what encoding it whole gives.

    Args:
        codec: see `StreamingEncoder`.
        waveform: its pieces float [B, C, t] in order; a list of one is fine.
        scale: float [B, 1], for a codec with renormalize=True; see `measure_scale`.
        piece: samples that are encoded at once; a larger piece is cut.

    Yields:
        codes int64 [B, K, f], f at least 1.
    """
    stream = StreamingEncoder(codec, scale=scale)
    for part in waveform:
        for samples in part.split(piece, dim=-1):
            codes = stream.push(samples)
            if codes.shape[-1]:
                yield codes
    codes = stream.finish()
    if codes.shape[-1]:
        yield codes


def decode_long(
    codec: Codec,
    codes: Iterable[Tensor],
    *,
    scale: Tensor | None = None,
    piece: int = PIECE,
) -> Iterator[Tensor]:
    """Decode many codes in constant memory, to what decoding them whole gives.

    Args:
        codec: see `StreamingDecoder`.
        codes: their pieces int64 [B, K, t] in order; a list of one is fine.
        scale: float [B, 1], for a codec with renormalize=True: what encoding gave.
        piece: samples that are decoded at once, rounded up to whole frames.

    Yields:
        waveform float [B, C, n], n at least 1, not trimmed to the length before encoding.
    """
    stream = StreamingDecoder(codec, scale=scale)
    for part in codes:
        for frames in part.split(-(-piece // codec.hop_length), dim=-1):
            waveform = stream.push(frames)
            if waveform.shape[-1]:
                yield waveform
    waveform = stream.finish()
    if waveform.shape[-1]:
        yield waveform


def measure_scale(waveform: Iterable[Tensor]) -> Tensor:
    """Return the scale float32 [B, 1] by which a codec with renormalize=True divides a waveform.

    That of ``codec.encode`` up to rounding, from the pieces float [B, C, t] of the waveform.

    Raises:
        ValueError: for pieces of other kinds or of several shapes, for samples that are not
            finite, and for no samples at all.
    """
    squares: Tensor | None = None
    count = 0
    for part in waveform:
        _check_piece(part, None if squares is None else len(squares))
        wide = part.to(torch.promote_types(part.dtype, torch.float32))
        energy = wide.mean(dim=1).double().square().sum(dim=-1, keepdim=True)
        squares = energy if squares is None else squares + energy
        count += part.shape[-1]
    if squares is None or count == 0:
        raise ValueError("there is no sample to measure the loudness of")
    if not squares.isfinite().all():
        item = int((~squares.isfinite()).nonzero()[0, 0])
        raise ValueError(
            f"item {item} has samples that are NaN, infinite or too large to square: repair this "
            "sound or leave it out"
        )
    return ((squares / count).sqrt() + 1e-8).float()


def _check_piece(piece: Tensor, batch: int | None) -> None:
    """Raise ValueError for a piece that has no loudness, or not as many items as those before."""
    check_tensor(piece, what="samples float [B, C, t]")
    shape = list(piece.shape)
    if piece.ndim != 3 or 0 in shape[:2] or not piece.is_floating_point():
        raise ValueError(f"expected pieces float [B, C, t], got {piece.dtype} of shape {shape}")
    if batch not in (None, shape[0]):
        raise ValueError(f"pieces began with {batch} item(s), and one has shape {shape}")
