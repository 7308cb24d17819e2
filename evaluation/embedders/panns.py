"""PANNs CNN14: a sound -> 2048 features and the logits of AudioSet's 527 classes.

Source: Kong et al. 2020 (arXiv:1912.10211), the models of zenodo.org/records/3987831.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evaluation.embedders.panns_front import BANDS, FRAMES, MODELS, check_length, log_mel, shortest
from evaluation.embedders.panns_network import CLASSES, DIM, hash_cnn14, load_cnn14
from evaluation.embedders.weight_file import weights_sha256

FRAMES_AT_ONCE = 8000  # of all rows: the widest layer of 10 s takes 260 MB


class Panns:
    """CNN14 with its front end, as a user holds it."""

    name = "panns"
    dim = DIM

    def __init__(
        self,
        *,
        weights: str | Path | None,
        model: str = "cnn14_16k",
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Load and test the weights.

        Args:
            weights: `Cnn14_16k_mAP=0.438.pth` or `Cnn14_mAP=0.431.pth`; None makes a stand-in with
                hashed random weights.
            model: "cnn14_16k" or "cnn14_32k".
            device: where the network runs.
            dtype: in which it computes; what comes out is float32.

        Raises:
            ValueError: if the model is unknown, or the file is not its weights.
        """
        if model not in MODELS:
            raise ValueError(f"model must be one of {', '.join(MODELS)}, got {model!r}")
        self.model = model
        self.front = MODELS[model]
        self.sample_rate = self.front.sample_rate
        self.stand_in = weights is None
        network, self.bank = (
            hash_cnn14(self.front) if weights is None else load_cnn14(Path(weights), self.front)
        )
        self.weights_sha256 = None if weights is None else weights_sha256(Path(weights))
        self.device = torch.device(device)
        self.dtype = dtype
        self.network = network.to(self.device, dtype)

    def frames(self, waveform: Tensor) -> Tensor:
        """Map float [B, T] at `sample_rate` to log-mel frames float32 [B, 1 + T // hop, 64]."""
        check_length(waveform, self.front)
        return log_mel(waveform, self.front, self.bank)

    @torch.inference_mode()
    def run(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Map log-mel frames [B, frames, 64] to features [B, 2048] and logits [B, 527], float32."""
        if frames.ndim != 3 or frames.shape[1] < FRAMES or frames.shape[2] != BANDS:
            raise ValueError(
                f"expected frames [B, {FRAMES} or more, {BANDS}], got {list(frames.shape)}: "
                "make them with frames()"
            )
        rows = max(1, FRAMES_AT_ONCE // frames.shape[1])
        parts = [
            self.network(part.to(self.device, self.dtype))
            for part in frames.split(rows)
            if len(part)
        ]
        if not parts:
            return torch.empty(0, DIM), torch.empty(0, CLASSES)
        features, logits = (torch.cat(part).float().cpu() for part in zip(*parts, strict=True))
        return features, logits

    def features(self, waveform: Tensor) -> Tensor:
        """Map float [B, T] at `sample_rate` to features float32 [B, 2048], none below zero."""
        return self.run(self.frames(waveform))[0]

    def logits(self, waveform: Tensor) -> Tensor:
        """Map float [B, T] at `sample_rate` to logits float32 [B, 527], before any activation."""
        return self.run(self.frames(waveform))[1]

    def probabilities(self, waveform: Tensor) -> Tensor:
        """Map float [B, T] to probabilities [B, 527]: each class by itself, so they sum freely."""
        return self.logits(waveform).sigmoid()


class PannsFeatures:
    """CNN14 as a `FeatureNetwork`: one window per sound, however long.

    A pickled copy, as a worker process gets it, holds the front end alone.
    """

    name = "panns"
    version = "1"
    outputs: Mapping[str, int] = {"embedding": DIM, "logits": CLASSES}

    def __init__(self, panns: Panns, *, short: str = "refuse") -> None:
        """Take the network, and whether to "refuse" or to "drop" a sound that is too short."""
        if short not in ("refuse", "drop"):
            raise ValueError(f"short must be refuse or drop, got {short!r}")
        self.panns: Panns | None = panns
        self.front, self.bank = panns.front, panns.bank
        self.sample_rate = panns.sample_rate
        self.weights_sha256 = panns.weights_sha256
        self.short = short

    def windows(self, waveform: Tensor) -> Tensor:
        """Map float [T] at `sample_rate` to log-mel frames float32 [1, frames, 64].

        Raises:
            ValueError: if the sound is too short and the option `short` is "refuse".
        """
        if self.short == "drop" and waveform.shape[-1] < shortest(self.front):
            return torch.empty(0, FRAMES, BANDS)
        sounds = waveform[None]
        check_length(sounds, self.front)
        return log_mel(sounds, self.front, self.bank)

    def run(self, windows: Tensor) -> dict[str, Tensor]:
        """Map windows [n, frames, 64] to the features and the logits."""
        if self.panns is None:
            raise ValueError("this is a copy for a worker process: it holds no network to run")
        features, logits = self.panns.run(windows)
        return {"embedding": features, "logits": logits}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"panns": None}


def build(
    *,
    weights: Path | None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    model: str = "cnn14_16k",
    **options: Any,
) -> PannsFeatures:
    """Build the network of a card; options as in `PannsFeatures`, and the `model` of `Panns`."""
    return PannsFeatures(Panns(weights=weights, model=model, device=device, dtype=dtype), **options)
