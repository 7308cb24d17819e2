"""OpenL3: a second of sound -> 512 or 6144 numbers. The network behind stable-audio-metrics' FD.

Source: Cramer et al. 2019, "Look, Listen, and Learn More: Design Choices for Deep Audio
Embeddings"; the package openl3 0.4.2 describes what it does to a sound.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evaluation.embedders.openl3_front import PICTURES, cut, draw
from evaluation.embedders.openl3_network import SIZES, hash_openl3, load_openl3
from evaluation.embedders.openl3_rate import resample
from evaluation.embedders.weight_file import WeightsError, weights_sha256

WINDOW = 1.0  # seconds
ROWS = 4  # pictures at a time: the widest layer of one takes 13 MB


class OpenL3:
    """OpenL3 for sound with its front end, as a user holds it."""

    name = "openl3"

    def __init__(
        self,
        *,
        weights: str | Path | None,
        input_repr: str = "mel256",
        embedding_size: int = 512,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Load and test the weights.

        Args:
            weights: `openl3_audio_mel256_env.h5`, or another file of openl3 for sound; None makes
                a stand-in with hashed random weights.
            input_repr: what the model sees, "mel256", "mel128" or "linear": in the file's name.
            embedding_size: 512 or 6144. The same weights have both.
            device: where the network runs.
            dtype: in which it computes; what comes out is float32.

        Raises:
            ValueError: for an unknown option, or a file that is not weights of OpenL3 for sound.
        """
        if input_repr not in PICTURES:
            known = ", ".join(PICTURES)
            raise ValueError(f"input_repr must be one of {known}, got {input_repr!r}")
        if embedding_size not in SIZES:
            known = " or ".join(map(str, SIZES))
            raise ValueError(f"embedding_size must be {known}, got {embedding_size!r}")
        self.picture = PICTURES[input_repr]
        self.dim = embedding_size
        self.stand_in = weights is None
        if weights is None:
            network = hash_openl3()
        else:
            _check_name(Path(weights), input_repr)
            network = load_openl3(Path(weights), self.picture)
        self.weights_sha256 = None if weights is None else weights_sha256(Path(weights))
        self.device = torch.device(device)
        self.dtype = dtype
        last = torch.channels_last  # a quarter faster on a CPU
        self.network = network.to(self.device, dtype, memory_format=last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def embed(self, pictures: Tensor) -> Tensor:
        """Map pictures float [n, bands, frames] to embeddings float32 [n, dim] on the CPU.

        Args:
            pictures: as `pictures` makes them, of one channel.
        """
        shape = (self.picture.bands, self.picture.frames)
        if pictures.ndim != 3 or pictures.shape[1:] != shape:
            raise ValueError(
                f"expected pictures [n, {shape[0]}, {shape[1]}], got {list(pictures.shape)}: make "
                "them with pictures()"
            )
        rows = [
            self.network(part.to(self.device, self.dtype), SIZES[self.dim]).float().cpu()
            for part in pictures.split(ROWS)
            if len(part)
        ]
        return torch.cat(rows) if rows else torch.empty(0, self.dim)

    def pictures(
        self, waveform: Tensor, *, sample_rate: int, hop: float = 0.1, center: bool = True
    ) -> Tensor:
        """Bring channels to 48 kHz, and draw a picture of every second of them.

        Args:
            waveform: float32 [C, T], full scale 1.
            sample_rate: its rate, Hz, 48000 at most.
            hop: seconds from one picture to the next.
            center: begin half a second before the sound.

        Returns:
            float32 [n, C, bands, frames] in dB, n >= 1; zeros fill up the last second.
        """
        sound = resample(waveform, sample_rate)
        return draw(cut(sound, hop=hop, center=center), self.picture)


class OpenL3Features:
    """OpenL3 as a `FeatureNetwork`: two channels, embedded apart and put side by side.

    A pickled copy, as a worker process gets it, holds the front end alone.
    """

    name = "openl3"
    version = "1"
    sample_rate = 44100
    channels = 2

    def __init__(
        self, openl3: OpenL3, *, window: float = WINDOW, hop: float = 0.5, center: bool = True
    ) -> None:
        """Take the network and its options.

        Args:
            openl3: the network.
            window: seconds of a picture; it was trained on 1.0 and takes no other.
            hop: seconds from one picture to the next.
            center: begin half a second before the sound.

        Raises:
            ValueError: for an option that cannot be had.
        """
        if window != WINDOW:
            raise ValueError(f"window must be {WINDOW} s, got {window!r}: OpenL3 takes no other")
        if not isinstance(center, bool):
            raise ValueError(f"center must be true or false, got {center!r}")
        cut(torch.zeros(1, 1), hop=hop, center=center)  # so that a wrong one shows here
        self.openl3: OpenL3 | None = openl3
        self.picture, self.hop, self.center = openl3.picture, hop, center
        self.outputs: Mapping[str, int] = {"embedding": self.channels * openl3.dim}
        self.weights_sha256 = openl3.weights_sha256

    def windows(self, waveform: Tensor) -> Tensor:
        """Map float [2, T] at 44.1 kHz to pictures float32 [n, 2, bands, frames].

        Where both channels are one and the same, it is drawn once: [n, 1, bands, frames].
        """
        if waveform.ndim != 2 or len(waveform) != self.channels:
            raise ValueError(
                f"expected a sound of {self.channels} channels, got {list(waveform.shape)}"
            )
        sound = waveform[:1] if torch.equal(waveform[0], waveform[1]) else waveform
        sound = resample(sound, self.sample_rate)
        return draw(cut(sound, hop=self.hop, center=self.center), self.picture)

    def run(self, windows: Tensor) -> dict[str, Tensor]:
        """Map pictures [n, 1 or 2, bands, frames] to {"embedding": float32 [n, 2 * dim]}."""
        if self.openl3 is None:
            raise ValueError("this is a copy for a worker process: it holds no network to run")
        rows = [self.openl3.embed(channel) for channel in windows.unbind(1)]
        return {"embedding": torch.cat([rows[0], rows[-1]], dim=1)}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"openl3": None}


def build(
    *,
    weights: Path | None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    input_repr: str = "mel256",
    embedding_size: int = 512,
    **options: Any,
) -> OpenL3Features:
    """Build the network of a card; options as in `OpenL3` and `OpenL3Features`."""
    openl3 = OpenL3(
        weights=weights,
        input_repr=input_repr,
        embedding_size=embedding_size,
        device=device,
        dtype=dtype,
    )
    return OpenL3Features(openl3, **options)


def _check_name(path: Path, input_repr: str) -> None:
    """Refuse a file whose name says that it was trained on other pictures: its shapes do not."""
    said = [name for name in PICTURES if f"_{name}_" in path.name]
    if said and input_repr not in said:
        raise WeightsError(
            f"{path}: weights of {said[0]} by its name, and the model is to be {input_repr}"
        )
