"""PaSST: up to 10, 20 or 30 s of sound -> logits of 527 AudioSet classes, and 768 features.

Source: Koutini et al. 2022 (arXiv:2110.05069), by the package hear21passt; the network behind KLD.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from evaluation.embedders.passt_front import RULES, SAMPLE_RATE, cut, log_mel
from evaluation.embedders.passt_network import (
    CLASSES,
    DIM,
    VARIANTS,
    hash_passt,
    load_passt,
    run_passt,
    spend_less,
)
from evaluation.embedders.weight_file import weights_sha256

BASE = "passt_s_swa_p16_128_ap476"  # 10 s
ROWS = 4  # spectrograms at a time: the widest layer of one takes 15 MB


class Passt:
    """PaSST with its front end, as a user holds it."""

    name = "passt"
    sample_rate = SAMPLE_RATE

    def __init__(
        self,
        *,
        weights: str | Path | None,
        model: str = BASE,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Load and test the weights; nothing is ever downloaded.

        Args:
            weights: the published file of the variant; None makes a stand-in with hashed random
                weights.
            model: "passt_s_swa_p16_128_ap476" (10 s), "passt_20sec" or "passt_30sec".
            device: where the network runs.
            dtype: in which it multiplies; what comes out is float32.

        Raises:
            ValueError: if the variant is unknown, or the file is not it.
        """
        if model not in VARIANTS:
            raise ValueError(f"model must be one of {', '.join(VARIANTS)}, got {model!r}")
        self.model = model
        self.seconds = VARIANTS[model].seconds
        self.stand_in = weights is None
        network = hash_passt(model) if weights is None else load_passt(model, Path(weights))
        spend_less(network, dtype)
        self.weights_sha256 = None if weights is None else weights_sha256(Path(weights))
        self.device = torch.device(device)
        self.network = network.to(self.device)

    def logits(self, waveform: Tensor) -> Tensor:
        """Map float [B, T], mono at 32 kHz, to the logits of AudioSet's classes, float32 [B, 527].

        Raises:
            ValueError: if the sounds are too short or too long for the network.
        """
        return self.run(self._mels(waveform))["logits"]

    def features(self, waveform: Tensor) -> Tensor:
        """Map float [B, T], mono at 32 kHz, to what the logits are made from, float32 [B, 768].

        Raises:
            ValueError: if the sounds are too short or too long for the network.
        """
        return self.run(self._mels(waveform))["embedding"]

    @torch.inference_mode()
    def run(self, mels: Tensor) -> dict[str, Tensor]:
        """Map log-mel spectrograms [n, 128, F] to "logits" [n, 527] and "embedding" [n, 768].

        Frames that are NaN, behind the others, are not there: the row is that much shorter.
        """
        found = {
            "logits": torch.empty(len(mels), CLASSES),
            "embedding": torch.empty(len(mels), DIM),
        }
        frames = mels[:, 0].isfinite().sum(dim=1).cpu()
        for count in frames.unique().tolist():
            for rows in (frames == count).nonzero()[:, 0].split(ROWS):
                parts = run_passt(self.network, mels[rows, :, :count].to(self.device))
                for output, part in zip(found.values(), parts, strict=True):
                    output[rows] = part.float().cpu()
        return found

    def _mels(self, waveform: Tensor) -> Tensor:
        if waveform.ndim != 2:
            raise ValueError(f"expected waveforms [B, T], got {list(waveform.shape)}")
        mels = log_mel(waveform)
        longest = VARIANTS[self.model].longest
        if mels.shape[-1] > longest:
            raise ValueError(
                f"{self.model} hears {self.seconds} s, got {waveform.shape[1] / SAMPLE_RATE:.2f} s:"
                " cut the sounds, or take the variant for longer ones"
            )
        return mels


class PasstFeatures:
    """PaSST as a `FeatureNetwork`, under the options of a protocol card.

    A pickled copy, as a worker process gets it, holds the front end alone.
    """

    name = "passt"
    version = "1"
    sample_rate = SAMPLE_RATE
    outputs: Mapping[str, int] = {"logits": CLASSES, "embedding": DIM}

    def __init__(self, passt: Passt, *, segments: str = "split", min_segment: float = 0.15) -> None:
        """Take the network and its options.

        Args:
            passt: the network; its variant gives the length of a segment.
            segments: "split", "cut_or_pad" or "overlap", as `passt_front.cut` explains.
            min_segment: seconds from 0.15, of "split" alone: a piece of that length or less is
                left out. A sound with none left has no rows.
        """
        if segments not in RULES:
            raise ValueError(f"segments must be one of {', '.join(RULES)}, got {segments!r}")
        if not 0.15 <= min_segment < passt.seconds:
            raise ValueError(
                f"min_segment must be from 0.15, which the network needs, to below {passt.seconds} "
                f"s, got {min_segment}"
            )
        self.passt: Passt | None = passt
        self.weights_sha256 = passt.weights_sha256
        self.seconds = passt.seconds
        self.segments, self.min_segment = segments, min_segment

    def windows(self, waveform: Tensor) -> Tensor:
        """Map float [T] at 32 kHz to log-mel spectrograms float32 [n, 128, F].

        Where one piece is shorter than another, its last frames are NaN.

        Raises:
            ValueError: if the sound is 0.15 s or shorter and is neither left out nor padded.
        """
        if waveform.ndim != 1:
            raise ValueError(f"expected a mono waveform [T], got {list(waveform.shape)}")
        pieces = cut(
            waveform, rule=self.segments, seconds=self.seconds, min_segment=self.min_segment
        )
        mels = [log_mel(piece) for piece in pieces]
        if not mels:
            return torch.empty(0, 128, 16)
        longest = max(mel.shape[-1] for mel in mels)
        return torch.stack([pad(m, (0, longest - m.shape[-1]), value=torch.nan) for m in mels])

    def run(self, windows: Tensor) -> dict[str, Tensor]:
        """Map windows [n, 128, F] to {"logits": [n, 527], "embedding": [n, 768]}, float32."""
        if self.passt is None:
            raise ValueError("this is a copy for a worker process: it holds no network to run")
        return self.passt.run(windows)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"passt": None}


def build(
    *,
    weights: Path | None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    model: str = BASE,
    **options: Any,
) -> PasstFeatures:
    """Build the network of a card; further options as in `PasstFeatures`."""
    return PasstFeatures(Passt(weights=weights, model=model, device=device, dtype=dtype), **options)
