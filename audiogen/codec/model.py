"""Codec: waveform to codes and back."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from audiogen.codec.quantizer import ResidualVectorQuantizer
from audiogen.codec.seanet import Decoder, Encoder, Geometry, hop_length, init_scaled

FIXED_IN_BOTH_HALVES = ("channels", "dimension")
# Keywords younger than the first fingerprints: at these values they change nothing, and a
# fingerprint leaves them out, so that a codec saved before them is still itself.
ADDED_LATER: Mapping[str, Any] = {"norm_params": None, "final_activation_params": None}
TRAINING_NOTES = ("quantizer._extra_state", "quantizer.restarts")


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
    ) -> None:
        given = {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        super().__init__()
        _check(sample_rate=sample_rate, init=init, causal=causal, renormalize=renormalize)
        norms = [half.get("norm") for half in (encoder_overrides or {}, decoder_overrides or {})]
        _check_norms(causal=causal, norms=[norm, *norms])
        self._config = {name: _plain(value) for name, value in given.items()}
        self.sample_rate = sample_rate
        self.channels = channels
        self.hop_length = hop_length(ratios)
        self.renormalize = renormalize
        shared = {name: given[name] for name in Geometry.__dataclass_fields__}
        self.encoder = Encoder(_geometry(shared, encoder_overrides))
        self.decoder = Decoder(_geometry(shared, decoder_overrides))
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
        )

    @classmethod
    def from_pretrained(cls, source: str | Path) -> "Codec":
        """Load the codec of a codec folder, a model folder or a model of the hub, by its id.

        On the CPU and in eval mode; for the errors see `audiogen.checkpoint.load_codec`.
        """
        from audiogen.checkpoint import load_codec  # upwards, so not at the top of the file

        return load_codec(source)

    @property
    def config(self) -> dict[str, Any]:
        """Keyword arguments that rebuild this codec, as plain JSON values."""
        return cast(dict[str, Any], _plain(self._config))

    @property
    def frame_rate(self) -> float:
        """Frames per second, Hz; a whole number wherever the hop divides the sample rate."""
        whole, rest = divmod(self.sample_rate, self.hop_length)
        return self.sample_rate / self.hop_length if rest else whole

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

    def set_num_codebooks(self, num_codebooks: int) -> None:
        """Encode with the first ``num_codebooks`` only. Not part of the state dict."""
        if not 1 <= num_codebooks <= self.total_codebooks:
            raise ValueError(
                f"num_codebooks must be in [1, {self.total_codebooks}], got {num_codebooks}: "
                "this codec was not trained with more"
            )
        self.quantizer.active_codebooks = num_codebooks

    def forward(self, waveform: Tensor) -> CodecOutput:
        """Encode, quantize and decode float [B, C, T]; trims the result to T samples."""
        self.check_waveform(waveform)
        normalized, scale = self._normalize(waveform)
        latents = self.encoder(normalized)
        quantized = self.quantizer(latents)
        output = self._to_waveform(quantized.latents, scale)
        return CodecOutput(
            waveform=output[..., : waveform.shape[-1]],
            codes=quantized.codes,
            commitment_loss=quantized.commitment_loss,
            bandwidth=quantized.bandwidth * self.frame_rate / 1000,
            latents=latents,
        )

    def encode(self, waveform: Tensor) -> tuple[Tensor, Tensor | None]:
        """Map float [B, C, T] to codes int64 [B, K, ceil(T / hop)], and scale [B, 1] or None."""
        latents, scale = self.encode_latents(waveform)
        return self.quantizer.encode(latents), scale

    def encode_latents(self, waveform: Tensor) -> tuple[Tensor, Tensor | None]:
        """Map float [B, C, T] to latents [B, D, ceil(T / hop)] before the quantizer, and scale."""
        self.check_waveform(waveform)
        normalized, scale = self._normalize(waveform)
        return self.encoder(normalized), scale

    def decode(self, codes: Tensor, scale: Tensor | None = None) -> Tensor:
        """Map codes int64 [B, K, T] to a waveform float [B, C, T * hop], not trimmed.

        Fewer codebooks than trained give a coarser sound. ``scale`` is what `encode` returned.
        """
        return self._to_waveform(self.decode_latents(codes), scale)

    def decode_latents(self, codes: Tensor) -> Tensor:
        """Map codes int64 [B, K, T] to the latents float [B, D, T] that the decoder sees."""
        self.check_codes(codes)
        return self.quantizer.decode(codes)

    def fingerprint(self) -> str:
        """Hash of configuration and weights, sha256 in hex: equal only for equal codes.

        The generator's state and the count of restarts are left out: they are notes of training
        and do not change what a codec computes.
        """
        config = {
            k: v for k, v in self.config.items() if k not in ADDED_LATER or v != ADDED_LATER[k]
        }
        digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
        for name, value in sorted(self.state_dict().items()):
            if name in TRAINING_NOTES:
                continue
            array = value.detach().cpu().contiguous()
            digest.update(f"\n{name} {array.dtype} {list(array.shape)}\n".encode())
            digest.update(array.reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def _normalize(self, waveform: Tensor) -> tuple[Tensor, Tensor | None]:
        if not self.renormalize:
            return waveform, None
        mono = waveform.mean(dim=1, keepdim=True)
        scale = mono.square().mean(dim=2, keepdim=True).sqrt() + 1e-8
        return waveform / scale, scale.view(-1, 1)

    def _to_waveform(self, latents: Tensor, scale: Tensor | None) -> Tensor:
        waveform = self.decoder(latents)
        return waveform if scale is None else waveform * scale.view(-1, 1, 1)

    def check_waveform(self, waveform: Tensor) -> None:
        """Raise ValueError for what `encode` cannot take."""
        shape = list(waveform.shape)
        if waveform.ndim != 3 or shape[1] != self.channels:
            raise ValueError(
                f"expected a waveform [B, C, T] of {self.channels} channel(s), got shape {shape}: "
                "add the missing axes, or mix the channels down"
            )
        if not waveform.is_floating_point():
            raise ValueError(
                f"expected a floating point waveform in [-1, 1], got {waveform.dtype}: "
                "divide integers by their largest value"
            )
        if 0 in shape:
            raise ValueError(f"expected at least one item and one sample, got shape {shape}")

    def check_codes(self, codes: Tensor) -> None:
        """Raise ValueError for what `decode` cannot take."""
        shape = list(codes.shape)
        if codes.ndim != 3 or codes.is_floating_point() or codes.dtype == torch.bool:
            raise ValueError(
                f"expected integer codes [B, K, T], got {codes.dtype} of shape {shape}"
            )
        if 0 in shape:
            raise ValueError(f"expected at least one item, codebook and frame, got shape {shape}")
        if shape[1] > self.total_codebooks:
            raise ValueError(
                f"codes have {shape[1]} codebooks, this codec was trained with "
                f"{self.total_codebooks}: did another codec encode, or are the axes swapped?"
            )
        low, high = (int(value) for value in codes.aminmax())
        if low < 0 or high >= self.codebook_size:
            raise ValueError(
                f"codes must be in [0, {self.codebook_size}), got {low} to {high}: "
                "remove special tokens before decoding"
            )


def _check(*, sample_rate: int, init: str, causal: bool, renormalize: bool) -> None:
    if sample_rate < 1:
        raise ValueError(f"sample_rate must be a positive number of Hz, got {sample_rate}")
    if init not in ("pytorch", "scaled"):
        raise ValueError(f"init must be 'pytorch' or 'scaled', got {init!r}")
    if causal and renormalize:
        raise ValueError(
            "renormalize=True looks at the whole input and cannot be causal: turn one of them off"
        )


def _check_norms(*, causal: bool, norms: Sequence[object]) -> None:
    if causal and "time_group_norm" in norms:
        raise ValueError(
            "time_group_norm averages over the whole input and cannot be causal: "
            "choose norm='weight_norm' or causal=False"
        )


def _geometry(shared: Mapping[str, Any], overrides: Mapping[str, Any] | None) -> Geometry:
    overrides = overrides or {}
    allowed = sorted(shared.keys() - set(FIXED_IN_BOTH_HALVES))
    unknown = sorted(overrides.keys() - set(allowed))
    if unknown:
        raise ValueError(
            f"cannot override {', '.join(unknown)} in one half; possible are {', '.join(allowed)}"
        )
    if hop_length(overrides.get("ratios", shared["ratios"])) != hop_length(shared["ratios"]):
        raise ValueError(
            f"cannot override ratios {list(shared['ratios'])} by {list(overrides['ratios'])} in "
            "one half: their products differ, and a frame would be of two lengths"
        )
    both = {**shared, **overrides}
    params = {name: both[name] or {} for name in both if name.endswith("_params")}
    return Geometry(**{**both, **params})


def _plain(value: Any) -> Any:
    """Copy nested sequences and mappings as JSON holds them."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(v) for v in value]
    return value
