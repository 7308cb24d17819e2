"""The stages of a model joined: captions -> states, sound <-> codes, and the folder of all."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from audiogen.audio import resample
from audiogen.certificate import certified
from audiogen.checkpoint import save_model
from audiogen.codec.model import Codec
from audiogen.codec.streaming import can_stream, decode_long
from audiogen.generation.settings import check_options
from audiogen.lm.fast import FastLM
from audiogen.lm.model import TokenLM
from audiogen.model_folder.card import describe_part, inherited
from audiogen.model_folder.hub import check_login, upload
from audiogen.resampling import convert_audio
from audiogen.text import Caption, TextEncoder

DECODED = 1 << 21  # samples per channel that are decoded at once: 13 sounds of 10 s at 16 kHz
LONG = 1 << 20  # samples per channel of a sound that is decoded in pieces: 65 s at 16 kHz


class Stages:
    """Text encoder, language model and codec; `audiogen.AudioGen` lets them generate.

    Args:
        text: captions to states.
        lm: text and codes to codes.
        codec: codes to sound; it is set to the language model's number of codebooks.
        max_duration: seconds, the longest window the language model was trained on.
        card: what is known about the model: licence, training data; see
            `audiogen.model_folder.card`.

    Raises:
        ValueError: if the parts do not fit together.
    """

    def __init__(
        self,
        *,
        text: TextEncoder,
        lm: TokenLM,
        codec: Codec,
        max_duration: float = 10.0,
        card: Mapping[str, object] | None = None,
    ) -> None:
        _check_parts(text, lm, codec)
        codec.set_num_codebooks(lm.num_codebooks)
        self.text, self.lm, self.codec = text, lm.eval(), codec.eval()
        if isinstance(text, nn.Module):
            text.eval()
        self.max_duration = float(max_duration)
        self.card = dict(card or {})

    def __repr__(self) -> str:
        lm, text = self.lm, describe_part(self.text.config)
        size = lm.num_weights / 1e6
        form = f" in {lm.options['linear']}" if isinstance(lm, FastLM) else ""
        return (
            f"{type(self).__name__}({len(lm.layers)} layers of width {lm.config['dim']}, "
            f"{size:.3g} M weights{form}; {lm.num_codebooks} codebooks of {lm.codebook_size} at "
            f"{self.frame_rate:g} Hz; {self.sample_rate} Hz, {self.codec.channels} channel(s); "
            f"windows of {self.max_duration:g} s; text by {text}; on {self.device})"
        )

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.codec.sample_rate

    @property
    def frame_rate(self) -> float:
        """Code frames per second."""
        return self.codec.frame_rate

    @property
    def device(self) -> torch.device:
        """Where the language model is."""
        return self.lm.embedding.weight.device

    @torch.no_grad()
    def condition(
        self, descriptions: Sequence[Caption], *, padding: Literal["own", "batch"] = "own"
    ) -> tuple[Tensor, Tensor]:
        """Return captions as the language model's cross-attention sees them.

        Args:
            descriptions: B captions; None and "" mean "no caption".
            padding: "own" attends to a caption's own positions, so a batch never changes an item;
                "batch" attends to the zero vectors of the padding too, as the reference does.

        Returns:
            states: float [B, L, D], exactly zero behind a caption's end.
            mask: bool [B, L], true where they are attended to.
        """
        check_options({"padding": padding})
        states, mask = self.text.encode(descriptions)
        mask = mask.to(self.device)
        states = self.lm.project_text(states.to(self.device), mask)
        return states, torch.ones_like(mask) if padding == "batch" else mask

    @torch.no_grad()
    def encode(self, waveform: Tensor, sample_rate: int) -> Tensor:
        """Map float [B, C, T] or [C, T] at any rate and channel count to codes int64 [B, K, T].

        The sound is brought to the codec's rate and channels as the reference does it, so that
        its continuation is the reference's.
        """
        waveform = as_tensor(waveform, name="the sound")
        batch = waveform[None] if waveform.ndim == 2 else waveform
        if batch.ndim != 3 or not batch.is_floating_point() or not bool(batch.isfinite().all()):
            raise ValueError(
                "expected a finite floating point sound [C, T] or [B, C, T] with full scale at 1, "
                f"got {waveform.dtype} of shape {list(waveform.shape)}"
            )
        matched = _converted(batch, sample_rate, self.sample_rate, self.codec.channels)
        codes, scale = self.codec.encode(matched.to(self.device))
        if scale is not None:
            raise ValueError(
                "this codec divides every sound by its loudness (renormalize), which codes alone "
                "do not carry: continuations need a codec without it"
            )
        return codes

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """Map codes int64 [B, K, T] to float32 [B, C, T * hop_length] on the CPU.

        Long sounds are decoded in pieces, so that what is needed beside the result is bounded.
        """
        codes = codes.to(self.device)
        samples = codes.shape[-1] * self.codec.hop_length
        if samples > LONG and can_stream(self.codec) and not self.codec.renormalize:
            return torch.cat([self._decode_long(one) for one in codes.split(1)])
        parts = codes.split(max(1, DECODED // max(1, samples)))
        return torch.cat([finite(self.codec.decode(part)) for part in parts])

    def _decode_long(self, codes: Tensor) -> Tensor:
        samples = codes.shape[-1] * self.codec.hop_length
        waveform, filled = torch.empty(1, self.codec.channels, samples), 0
        for piece in decode_long(self.codec, [codes]):
            waveform[..., filled : filled + piece.shape[-1]] = finite(piece)
            filled += piece.shape[-1]
        return waveform

    def save_pretrained(
        self,
        folder: str | Path,
        *,
        card: Mapping[str, object] | None = None,
        certificate: bool = True,
    ) -> Path:
        """Write a model folder, whole or not at all; ``card`` replaces entries of its card.

        It is read again and has to give the same codes, which ``certificate.json`` beside the
        weights then says; without ``certificate`` it is not compared.

        Raises:
            CertificateError: if it gives other codes; nothing is written.
        """
        return save_model(
            folder,
            text=self.text,
            lm=self.lm,
            codec=self.codec,
            max_duration=self.max_duration,
            card=inherited(self.card, card or {}),
            check=certified(self) if certificate else None,
        )

    def push_to_hub(
        self, name: str, *, private: bool = True, card: Mapping[str, object] | None = None
    ) -> str:
        """Upload a checked model folder to the hub as ``name``, "org/model"; return its address.

        Raises:
            ValueError: if ``name`` is no hub id.
            HubError: if nobody is logged in, or the hub cannot be reached or refuses.
        """
        check_login(name)
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder, card=card)
            return upload(Path(folder), name, private=private, message="Upload from audiogen")


def as_tensor(values: object, *, name: str) -> Tensor:
    """Return what came as a tensor, nested list or numpy array as a tensor.

    Raises:
        ValueError: if `torch.as_tensor` makes nothing of it.
    """
    try:
        return torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"expected {name} as a tensor, got {type(values).__name__} that makes none: {error}"
        ) from error


def _check_parts(text: TextEncoder, lm: TokenLM, codec: Codec) -> None:
    if lm.num_codebooks > codec.total_codebooks or lm.codebook_size != codec.codebook_size:
        raise ValueError(
            f"the language model predicts {lm.num_codebooks} codebooks of {lm.codebook_size} "
            f"codes, the codec has {codec.total_codebooks} of {codec.codebook_size}: take the "
            "codec whose codes it was trained on"
        )
    if lm.config["text_dim"] != text.dim:
        raise ValueError(
            f"the language model reads text states of width {lm.config['text_dim']}, the text "
            f"encoder gives {text.dim}: take the encoder it was trained with"
        )


def _converted(waveform: Tensor, source_rate: int, rate: int, channels: int) -> Tensor:
    """Mix float [B, C, T] down to mono, repeat mono, or keep the first channels; resample."""
    given = waveform.shape[1]
    if 1 < given < channels:
        raise ValueError(f"the codec needs {channels} channels, the sound has {given}: give mono")
    try:
        return convert_audio(waveform, source_rate, rate, channels)
    except ValueError:  # rates without a common divisor: no table of filters, but as good a sound
        resampled = resample(waveform, source_rate, rate)
        return convert_audio(resampled, rate, rate, channels)


def finite(waveform: Tensor) -> Tensor:
    """Bring a waveform to the CPU as float32.

    Raises:
        ValueError: if a sample is NaN or infinite.
    """
    if not bool(waveform.isfinite().all()):
        raise ValueError("the codec gave samples that are not finite: check its weights for NaN")
    return waveform.float().cpu()
