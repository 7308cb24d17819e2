"""What turns a sound into vectors: one network per file, imported when its metric is asked for."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor  # it takes seconds to load


class FeatureNetwork(Protocol):
    """A network in two steps: a cheap front end per sound, and the network over many windows.

    A file of this folder that holds one has `build(*, weights: Path | None, device, dtype,
    **options)`. `weights=None` gives hashed random weights of the right shapes: a stand-in, whose
    numbers say nothing about sound.
    """

    name: str
    version: str  # of the code here; changes whenever the same sound could give other vectors
    sample_rate: int  # Hz, of the sound it takes
    outputs: Mapping[str, int]  # name -> width, for example {"embedding": 128}
    weights_sha256: str | None  # of the file the weights came from; None marks a stand-in

    def windows(self, waveform: "Tensor") -> "Tensor":
        """Map float32 [T], mono at `sample_rate`, to the network's inputs float32 [n, ...].

        A network with an attribute `channels` above one takes float32 [channels, T] instead.
        It runs on the CPU, in a worker process if there are any, and draws no random numbers.

        Raises:
            ValueError: if the sound is too short for one window, with the seconds it needs; where
                the protocol leaves such sounds out, n is 0 instead.
        """
        ...

    def run(self, windows: "Tensor") -> dict[str, "Tensor"]:
        """Map windows [n, ...] to float32 [n, D] per output, on the CPU.

        Rows do not see each other: a batch never changes an item, beyond float rounding.
        """
        ...
