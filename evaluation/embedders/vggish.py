"""VGGish: log-mel patches of about a second of sound -> 128 numbers. The network behind FAD.

Source: Hershey et al. 2017 (arXiv:1609.09430), in the form that tensorflow/models released.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import relu

from evaluation.embedders.vggish_front import BANDS, PATCH, SAMPLE_RATE, SHORTEST, patches
from evaluation.embedders.vggish_names import PCA
from evaluation.embedders.vggish_network import DIM, hash_vggish, load_vggish
from evaluation.embedders.weight_file import WeightsError, weights_sha256

ROWS = 32  # patches at a time: the widest layer of one takes 3 MB
EMBEDDINGS = ("before_relu", "after_relu")
ROUNDINGS = {"truncate": torch.trunc, "round": torch.round}


class VGGish:
    """VGGish with its front end, as a user holds it."""

    name = "vggish"
    sample_rate = SAMPLE_RATE
    dim = DIM

    def __init__(
        self,
        *,
        weights: str | Path | None,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Load and test the weights.

        Args:
            weights: `vggish-10086976.pth` or TensorFlow's `vggish_model.ckpt`; None makes a
                stand-in with hashed random weights.
            device: where the network runs.
            dtype: in which it computes; what comes out is float32.

        Raises:
            ValueError: if the file is not VGGish, or does not embed a tone as VGGish does.
        """
        self.stand_in = weights is None
        network, self.pca = hash_vggish() if weights is None else load_vggish(Path(weights))
        self.weights_sha256 = None if weights is None else weights_sha256(Path(weights))
        self.device = torch.device(device)
        self.dtype = dtype
        self.network = network.to(self.device, dtype)

    def examples(
        self, waveform: Tensor, *, window_hop: float, window: float | None = None
    ) -> Tensor:
        """Cut a sound into log-mel patches.

        Args:
            waveform: float [T], mono at 16 kHz, full scale 1.
            window_hop: seconds from one patch to the next: 0.96 for patches side by side, 0.5 for
                those of Google's FAD.
            window: seconds of sound a patch needs; None is 1.0 at a hop of 0.5, Google's pair,
                and else 0.96.

        Returns:
            float32 [n, 96, 64], n = 0 if the sound is too short for one.
        """
        if window is None:
            window = 1.0 if window_hop == 0.5 else 0.96
        return patches(waveform, window=window, hop=window_hop)

    @torch.inference_mode()
    def embed(self, examples: Tensor, *, after_relu: bool = False) -> Tensor:
        """Map patches float [n, 96, 64] to embeddings float32 [n, 128] on the CPU.

        Args:
            examples: as `examples` makes them.
            after_relu: set negative numbers to zero, as the network did before autumn 2020.
        """
        if examples.ndim != 3 or examples.shape[1:] != (PATCH, BANDS):
            raise ValueError(
                f"expected patches [n, {PATCH}, {BANDS}], got {list(examples.shape)}: "
                "make them with examples()"
            )
        rows = [
            self.network(part.to(self.device, self.dtype)).float().cpu()
            for part in examples.split(ROWS)
            if len(part)
        ]
        embeddings = torch.cat(rows) if rows else torch.empty(0, DIM)
        return relu(embeddings) if after_relu else embeddings

    def postprocess(self, embeddings: Tensor, *, rounding: str) -> Tensor:
        """Rotate by the PCA of AudioSet and quantize to 0..255. FAD never does this.

        Args:
            embeddings: float [n, 128].
            rounding: "truncate" as TensorFlow's cast does, or "round" as the torch port does.

        Returns:
            float32 [n, 128], whole numbers.

        Raises:
            ValueError: if the weights came without a PCA.
        """
        if rounding not in ROUNDINGS:
            raise ValueError(f"rounding must be one of {', '.join(ROUNDINGS)}, got {rounding!r}")
        if not self.pca:
            raise WeightsError(
                "these weights came without the parameters of the PCA: put "
                "vggish_pca_params.npz into their folder, or use vggish-10086976.pth"
            )
        vectors, means = (self.pca[name] for name in PCA)
        rotated = (embeddings.float() - means.view(1, DIM)) @ vectors.T
        return ROUNDINGS[rounding]((rotated.clamp(-2.0, 2.0) + 2.0) * (255.0 / 4.0))


class VGGishFeatures:
    """VGGish as a `FeatureNetwork`, under the options of a protocol card.

    A pickled copy, as a worker process gets it, holds the front end alone.
    """

    name = "vggish"
    version = "1"
    sample_rate = SAMPLE_RATE
    outputs: Mapping[str, int] = {"embedding": DIM}

    def __init__(
        self,
        vggish: VGGish,
        *,
        window: float = 0.96,
        hop: float = 0.96,
        embedding: str = "before_relu",
        pca: str | None = None,
        short: str = "refuse",
    ) -> None:
        """Take the network and its options.

        Args:
            vggish: the network.
            window: seconds of sound a patch needs, 0.96 or Google's 1.0.
            hop: seconds from one patch to the next.
            embedding: "before_relu" or "after_relu".
            pca: None, or how `VGGish.postprocess` rounds: "truncate" or "round".
            short: "refuse" a sound without a whole window, or "drop" it.

        Raises:
            ValueError: for an option that is unknown or cannot be had with these weights.
        """
        if embedding not in EMBEDDINGS:
            raise ValueError(f"embedding must be one of {', '.join(EMBEDDINGS)}, got {embedding!r}")
        if short not in ("refuse", "drop"):
            raise ValueError(f"short must be refuse or drop, got {short!r}")
        patches(torch.empty(0), window=window, hop=hop)  # so that a wrong one shows here
        if pca:
            vggish.postprocess(torch.zeros(1, DIM), rounding=pca)
        self.vggish: VGGish | None = vggish
        self.weights_sha256 = vggish.weights_sha256
        self.window, self.hop = window, hop
        self.embedding, self.pca, self.short = embedding, pca, short

    def windows(self, waveform: Tensor) -> Tensor:
        """Map float [T] at 16 kHz to patches float32 [n, 96, 64].

        Raises:
            ValueError: if there is no whole window and the option `short` is "refuse".
        """
        found = patches(waveform, window=self.window, hop=self.hop)
        if len(found) == 0 and self.short == "refuse":
            needed = max(SHORTEST / SAMPLE_RATE, self.window)
            raise ValueError(
                f"VGGish needs {needed:.3f} s of sound, got {len(waveform) / SAMPLE_RATE:.3f} s: "
                "leave the sound out, or pad it in the protocol (`at_least`)"
            )
        return found

    def run(self, windows: Tensor) -> dict[str, Tensor]:
        """Map patches [n, 96, 64] to {"embedding": float32 [n, 128]}."""
        if self.vggish is None:
            raise ValueError("this is a copy for a worker process: it holds no network to run")
        embeddings = self.vggish.embed(windows, after_relu=self.embedding == "after_relu")
        if self.pca:
            embeddings = self.vggish.postprocess(embeddings, rounding=self.pca)
        return {"embedding": embeddings}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"vggish": None}


def build(
    *,
    weights: Path | None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    **options: Any,
) -> VGGishFeatures:
    """Build the network of a card; options as in `VGGishFeatures`."""
    return VGGishFeatures(VGGish(weights=weights, device=device, dtype=dtype), **options)
