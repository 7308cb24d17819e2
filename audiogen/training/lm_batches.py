"""Batches of the language model: codes as they come, or sounds that a frozen codec encodes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from audiogen.checkpoint import load_codec
from audiogen.codec.model import Codec
from audiogen.model_folder.layout import read_config
from audiogen.training.precision import full_precision

ENCODED_AT_ONCE = 8  # sounds, as in conf/encode_tokens.yaml
OF_CODES = ("codes", "code_mask", "captions")


class FrozenCodec:
    """The codec of the codes, loaded when it is first used and neither saved nor trained.

    Args:
        folder: its model folder; None if there is none, which is an error only when it is used.
    """

    def __init__(self, folder: str | None) -> None:
        self.folder = folder
        self._loaded: Codec | None = None

    @property
    def fingerprint(self) -> str | None:
        """What its codes are told from others by; of our own folders without loading it."""
        if self.folder is None:
            return None
        folder = Path(self.folder)
        found = (
            read_config(folder).get("codec_hash") if (folder / "config.json").is_file() else None
        )
        return str(found) if found else self.load().fingerprint()

    def load(self) -> Codec:
        """Load it anew."""
        if self.folder is None:
            raise ValueError("this needs the codec of the codes: give codec_folder=...")
        return load_codec(self.folder)

    def on(self, device: torch.device) -> Codec:
        """Return the one that encodes, on ``device``."""
        if self._loaded is None:
            self._loaded = self.load().eval().requires_grad_(False)
        return self._loaded.to(device)

    def header(self, data: Any, device: torch.device) -> Mapping[str, Any]:
        """Describe the codes of a dataset: what it says, or what it makes of a dataset of sounds.

        Raises:
            ValueError: if the sounds are at another rate.
        """
        if getattr(data, "header", None) is not None:
            return dict(data.header)
        codec = self.on(device)
        if data.sample_rate != codec.sample_rate:
            raise ValueError(
                f"the sounds come at {data.sample_rate} Hz, their codec works at "
                f"{codec.sample_rate}: set codec.sample_rate={codec.sample_rate}"
            )
        return {
            "codec_hash": codec.fingerprint(),
            "segment_frames": -(-data.num_frames // codec.hop_length),
            "frame_rate": codec.frame_rate,
            "num_codebooks": codec.num_codebooks,
            "codebook_size": codec.codebook_size,
        }

    def with_codes(
        self, batch: Mapping[str, Any], *, num_codebooks: int, silence: bool = False
    ) -> dict[str, Any]:
        """Return codes, code_mask and captions of a batch, encoding what comes as sound."""
        kept = {name: batch[name] for name in OF_CODES if name in batch}
        if "codes" not in kept:
            waveform = batch["waveform"]
            codec = self.on(waveform.device)
            codes, mask = encode_sounds(codec, waveform, batch["num_samples"], silence=silence)
            kept |= {"codes": codes[:, :num_codebooks], "code_mask": mask[:, :num_codebooks]}
        return kept


@torch.no_grad()
def encode_sounds(
    codec: Codec, waveform: Tensor, num_samples: Tensor, *, silence: bool = False
) -> tuple[Tensor, Tensor]:
    """Encode padded sounds to what `audiogen.encode` would have written of them.

    Args:
        codec: in evaluation mode, float32.
        waveform: float [B, C, T], zero behind the end of each sound.
        num_samples: int64 [B], the samples of each sound before its padding.
        silence: also give the codes of the padding, and call them targets.

    Returns:
        codes int64 [B, K, frames], 0 behind the end of a sound; and bool of the same shape, false
        there.
    """
    hop = codec.hop_length
    whole = pad(waveform.float(), (0, -waveform.shape[-1] % hop))
    with full_precision(whole):
        codes = torch.cat([codec.encode(part)[0] for part in whole.split(ENCODED_AT_ONCE)])
    if silence:
        return codes, torch.ones_like(codes, dtype=torch.bool)
    frames = (num_samples + hop - 1) // hop
    mask = torch.arange(codes.shape[-1], device=codes.device) < frames[:, None, None]
    return codes * mask, mask.expand_as(codes).contiguous()
