"""ViSQOL, a model of a listener, through the optional package visqol-python (Apache 2.0).

Source: Chinen et al. 2020, "ViSQOL v3" (arXiv:2004.09584). The package is a port to Python; it
says that it agrees with Google's C++ program to 1e-4 in audio mode.
"""

from importlib.metadata import version

import numpy as np
from torch import Tensor

from evaluation.metrics.listener import UnratedError, check_rateable

SAMPLE_RATES = {"audio": 48000, "speech": 16000}  # Hz, of each mode
PEAK = 0.99  # full scale 1; what is louder is clipped, as AudioCraft does before ViSQOL


class Visqol:
    """MOS-LQO: the mark that listeners would give a degraded sound beside the original, 1 to 5.

    In audio mode an exact copy gets 4.73. Both sounds are brought to one level and into step
    first, so the mark says nothing about gain or delay.
    """

    def __init__(self, *, mode: str = "audio") -> None:
        """Load the model of a mode, "audio" at 48 kHz or "speech" at 16 kHz.

        Speech mode takes the mapping of the C++ program ("lattice") where the package's extra
        `lattice` is installed, else its older polynomial, which marks degraded speech higher. The
        name of the listener says which.
        """
        if mode not in SAMPLE_RATES:
            raise ValueError(f"mode must be one of {', '.join(SAMPLE_RATES)}, got {mode!r}")
        try:
            from visqol import VisqolApi
            from visqol.quality_mapper import has_lattice_runtime
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "ViSQOL needs visqol-python; in the source folder: pip install '.[visqol]'"
            ) from error
        lattice = mode == "speech" and has_lattice_runtime()
        self.sample_rate = SAMPLE_RATES[mode]
        self.name = f"visqol-{mode}"
        if mode == "speech":
            self.name += "-lattice" if lattice else "-polynomial"
        self.version = version("visqol-python")
        self._model = VisqolApi()
        self._model.create(mode=mode, use_lattice_model=lattice)

    def __call__(self, reference: Tensor, generated: Tensor) -> float:
        """Rate a degraded sound against the original it was made from.

        Args:
            reference: float [T] at `sample_rate`, full scale 1; the original.
            generated: float [T'], likewise; the length may differ by up to a second.

        Returns:
            the mark, finite.

        Raises:
            UnratedError: if ViSQOL has no mark for this pair, with its reason.
        """
        check_rateable(reference, generated)
        original, degraded = (
            waveform.double().clamp(-PEAK, PEAK).cpu().numpy()
            for waveform in (reference, generated)
        )
        try:
            mark = self._model.measure_from_arrays(original, degraded, self.sample_rate).moslqo
        except (ValueError, RuntimeError, IndexError, ArithmeticError) as error:
            raise UnratedError(f"ViSQOL: {error}") from error
        if not np.isfinite(mark):
            raise UnratedError(f"ViSQOL gave {mark}")
        return float(mark)
