"""Codec: waveform to codes and back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from audiogen.codec import checks
from audiogen.codec.fingerprint import fingerprint
from audiogen.codec.quantizer import ResidualVectorQuantizer
from audiogen.codec.seanet import Decoder, Encoder, Geometry, hop_length, init_scaled
from audiogen.codec.settings import (
    check_frames,
    check_norms,
    check_settings,
    frame_rate,
    geometry,
    plain,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class CodecOutput:
    """What a training step needs."""

    waveform: Tensor  # float [B, C, T], as long as the input
    codes: Tensor  # int64 [B, K, ceil(T / hop)]
    commitment_loss: Tensor  # float []
    bandwidth: float  # kbit/s
    latents: Tensor  # float [B, D, ceil(T / hop)], before the quantizer


class Codec(nn.Module):
    """SEANet autoencoder around a residual vector quantizer.

    Args:
        sample_rate: Hz.
        channels: of the waveform.
        dimension: D, width of a latent.
        num_filters: channels after the first convolution; every stage doubles them.
        ratios: strides of the decoder, in its order; their product is the hop.
        num_residual_layers: residual blocks per stage, of growing dilation.
        kernel_size, last_kernel_size, residual_kernel_size: in frames of their stage.
        dilation_base: residual block j is dilated by ``dilation_base ** j``.
        compress: a residual block narrows its channels by this factor inside.
        lstm_layers: at the frame rate, in both halves; 0 for none.
        norm: "weight_norm", "none", "spectral_norm" or "time_group_norm".
        norm_params: of the group norm, for example ``{"eps": 1e-3}``.
        pad_mode: "constant" (zeros), "reflect" or "replicate".
        causal: a frame sees no later sample.
        true_skip: shortcuts are the identity rather than a 1x1 convolution.
        activation, activation_params: for example "elu" and ``{"alpha": 1.0}``.
        final_activation, final_activation_params: of the decoder, for example "tanh"; None leaves
            the output unbounded.
        disable_norm_outer_blocks: so many blocks next to the waveform have no norm.
        trim_right_ratio: causal only; share of an upsampled surplus cut from the right.
        encoder_overrides, decoder_overrides: of any of the above, for one half; their hops
            must be equal.
        renormalize: divide each item by its RMS before encoding; `encode` returns it as scale.
        init: "pytorch", or "scaled": unit gain, so that latents start spread out.
        num_codebooks ... codebook_dropout: see `ResidualVectorQuantizer`.
        paper_exact: bring back what the reference does wrong in training; the list is at
            `ResidualVectorQuantizer`. Codes and sounds of a trained codec are the same.

    In eval mode a codec works in any floating dtype, for example after ``.bfloat16()``; codes are
    chosen, and loudness is measured, in float32 at least. It learns in float32.

    Source: EnCodec (arXiv:2210.13438).
    """

    def __init__(
        self,
        *,
        sample_rate: int = 16000,
        channels: int = 1,
        dimension: int = 128,
        num_filters: int = 64,
        ratios: Sequence[int] = (8, 5, 4, 2),
        num_residual_layers: int = 1,
        kernel_size: int = 7,
        last_kernel_size: int = 7,
        residual_kernel_size: int = 3,
        dilation_base: int = 2,
        compress: int = 2,
        lstm_layers: int = 2,
        norm: str = "weight_norm",
        norm_params: Mapping[str, Any] | None = None,
        pad_mode: str = "constant",
        causal: bool = False,
        true_skip: bool = True,
        activation: str = "elu",
        activation_params: Mapping[str, Any] | None = None,
        final_activation: str | None = None,
        final_activation_params: Mapping[str, Any] | None = None,
        disable_norm_outer_blocks: int = 0,
        trim_right_ratio: float = 1.0,
        encoder_overrides: Mapping[str, Any] | None = None,
        decoder_overrides: Mapping[str, Any] | None = None,
        renormalize: bool = False,
        init: Literal["pytorch", "scaled"] = "pytorch",
        num_codebooks: int = 4,
        codebook_size: int = 2048,
        decay: float = 0.99,
        kmeans_init: bool = True,
        kmeans_iters: int = 50,
        dead_code_threshold: float = 0.3,
        dead_code_unit: Literal["mean", "count"] = "mean",
        codebook_dropout: bool = False,
        paper_exact: bool = False,
    ) -> None:
        given = {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        super().__init__()
        check_settings(sample_rate=sample_rate, init=init, causal=causal, renormalize=renormalize)
        norms = [half.get("norm") for half in (encoder_overrides or {}, decoder_overrides or {})]
        check_norms(causal=causal, norms=[norm, *norms])
        self._config = {name: plain(value) for name, value in given.items()}
        self.sample_rate = sample_rate
        self.channels = channels
        self.hop_length = hop_length(ratios)
        self.renormalize = renormalize
        shared = {name: given[name] for name in Geometry.__dataclass_fields__}
        self.encoder = Encoder(geometry(shared, encoder_overrides))
        self.decoder = Decoder(geometry(shared, decoder_overrides))
        if init == "scaled":
            init_scaled(self.encoder, self.decoder)
        self.quantizer = ResidualVectorQuantizer(
            dim=dimension,
            num_codebooks=num_codebooks,
            codebook_size=codebook_size,
            decay=decay,
            kmeans_init=kmeans_init,
            kmeans_iters=kmeans_iters,
            dead_code_threshold=dead_code_threshold,
            dead_code_unit=dead_code_unit,
            codebook_dropout=codebook_dropout,
            paper_exact=paper_exact,
        )
        check_frames(self.frame_rate)

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        device: str | torch.device = "cpu",
        fast: Literal["near", "fast"] | Mapping[str, str] | None = None,
    ) -> "Codec":
        """Load the codec of a folder or file that we or AudioCraft wrote, or of the hub, by its id.

        Folders of a transformers `EncodecModel` load too. In eval mode; ``fast`` is for inference,
        see `audiogen.codec.fast`; for the errors see `audiogen.checkpoint.load_codec`.
        """
        from audiogen.checkpoint import load_codec  # upwards, so not at the top of the file

        return load_codec(source, device=device, fast=fast)

    @property
    def config(self) -> dict[str, Any]:
        """Keyword arguments that rebuild this codec, as plain JSON values."""
        return cast(dict[str, Any], plain(self._config))

    @property
    def frame_rate(self) -> float:
        """Frames per second, Hz; see `audiogen.codec.settings.frame_rate`."""
        return frame_rate(self.sample_rate, [self.hop_length], paper_exact=self.paper_exact)

    @property
    def paper_exact(self) -> bool:
        """Whether training repeats the mistakes of the reference."""
        return self.quantizer.paper_exact

    @property
    def num_codebooks(self) -> int:
        """K, codebooks in use."""
        return self.quantizer.active_codebooks

    @property
    def total_codebooks(self) -> int:
        """Codebooks trained."""
        return self.quantizer.num_codebooks

    @property
    def codebook_size(self) -> int:
        """N, entries per codebook."""
        return self.quantizer.codebook_size

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights; waveforms are converted to it, and decoded in it."""
        return self.quantizer.codebooks[0].embed.dtype

    def set_num_codebooks(self, num_codebooks: int) -> None:
        """Encode with the first ``num_codebooks`` only. Not part of the state dict."""
        whole = isinstance(num_codebooks, Integral) and not isinstance(num_codebooks, bool)
        if not whole or not 1 <= num_codebooks <= self.total_codebooks:
            raise ValueError(
                f"num_codebooks must be in [1, {self.total_codebooks}], got {num_codebooks}: "
                "this codec was not trained with " + ("more" if whole else "parts of one")
            )
        self.quantizer.active_codebooks = int(num_codebooks)

    def forward(self, waveform: Tensor) -> CodecOutput:
        """Encode, quantize and decode float [B, C, T]; trims the result to T samples.

        In training mode samples are not looked at, which would make a GPU wait at every step: the
        balancer refuses the gradient of one that is not finite.
        """
        self.check_waveform(waveform, samples=not self.training)
        normalized, scale = self._normalize(waveform)
        latents = self.encoder(normalized)
        if not self.training:
            checks.check_encoded(latents, scale, waveform)
        quantized = self.quantizer(latents)
        output = self._to_waveform(quantized.latents, scale)
        if not self.training:
            checks.check_decoded(output)
        return CodecOutput(
            waveform=output[..., : waveform.shape[-1]],
            codes=quantized.codes,
            commitment_loss=quantized.commitment_loss,
            bandwidth=quantized.bandwidth * self.frame_rate / 1000,
            latents=latents,
        )

    def encode(
        self, waveform: Tensor, sample_rate: int | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Map float [B, C, T] to codes int64 [B, K, ceil(T / hop)], and scale [B, 1] or None.

        ``sample_rate``, Hz, of the waveform: another one than the codec's is refused. A tensor
        does not show its rate, so it is taken on trust where none is given.

        Raises:
            ValueError: for shapes, dtypes and samples that cannot be encoded, by item.
        """
        checks.check_rate(sample_rate, expected=self.sample_rate)
        latents, scale = self.encode_latents(waveform)
        return self.quantizer.encode(latents), scale

    def encode_latents(self, waveform: Tensor) -> tuple[Tensor, Tensor | None]:
        """Map float [B, C, T] to latents [B, D, ceil(T / hop)] before the quantizer, and scale."""
        self.check_waveform(waveform)
        normalized, scale = self._normalize(waveform)
        latents = self.encoder(normalized)
        checks.check_encoded(latents, scale, waveform)
        return latents, scale

    def decode(self, codes: Tensor, scale: Tensor | None = None) -> Tensor:
        """Map codes int64 [B, K, T] to a waveform float [B, C, T * hop], not trimmed.

        Fewer codebooks than trained give a coarser sound. ``scale`` is what `encode` returned.

        Raises:
            ValueError: for codes outside the codebooks, for a scale that is missing or of a codec
                without one, and for samples that come out not finite.
        """
        latents = self.decode_latents(codes)
        checks.check_scale(scale, renormalize=self.renormalize, batch=len(codes))
        waveform = self._to_waveform(latents, scale)
        checks.check_decoded(waveform)
        return waveform

    def decode_latents(self, codes: Tensor) -> Tensor:
        """Map codes int64 [B, K, T] to the latents float [B, D, T] that the decoder sees."""
        self.check_codes(codes)
        return self.quantizer.decode(codes)

    def fingerprint(self) -> str:
        """Hash of configuration and weights, sha256 in hex: equal only for equal codes."""
        return fingerprint(self.config, self.state_dict())

    def _normalize(self, waveform: Tensor) -> tuple[Tensor, Tensor | None]:
        if not self.renormalize:
            return waveform.to(self.dtype), None
        waveform = waveform.to(self.quantizer.computes_in)  # 1e-8 is nothing in float16
        mono = waveform.mean(dim=1, keepdim=True)
        scale = mono.square().mean(dim=2, keepdim=True).sqrt() + 1e-8
        return (waveform / scale).to(self.dtype), scale.view(-1, 1)

    def _to_waveform(self, latents: Tensor, scale: Tensor | None) -> Tensor:
        waveform = self.decoder(latents.to(self.dtype))
        if scale is not None:
            waveform = waveform * scale.view(-1, 1, 1)
        return waveform.to(self.dtype)  # an autocast region leaves 16 bits

    def check_waveform(self, waveform: Tensor, *, samples: bool = True) -> None:
        """Raise ValueError for what `encode` cannot take; ``samples``: also if one is not finite.

        Looking at samples makes a GPU wait.
        """
        like = self.quantizer.codebooks[0].embed
        checks.check_waveform(waveform, channels=self.channels, like=like)
        if samples:
            checks.check_samples(waveform)

    def check_codes(self, codes: Tensor) -> None:
        """Raise ValueError for what `decode` cannot take."""
        checks.check_codes(
            codes, num_codebooks=self.total_codebooks, codebook_size=self.codebook_size
        )
