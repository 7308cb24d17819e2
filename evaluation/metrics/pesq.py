"""PESQ, a model of a listener to speech, through the optional package pesq.

The package is never installed with this one: it is compiled on the spot, and the C code of ITU-T
P.862 inside it comes with a notice that permits little more than trying it out. Read it first.
"""

from importlib.metadata import version

import numpy as np
from torch import Tensor

from evaluation.metrics.listener import UnratedError, check_rateable


class Pesq:
    """Wideband PESQ (ITU-T P.862.2) at 16 kHz: MOS-LQO of about 1.0 to 4.6; meant for speech."""

    name = "pesq-wideband"
    sample_rate = 16000  # Hz

    def __init__(self) -> None:
        try:
            import pesq
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError("PESQ needs the package pesq: pip install pesq") from error
        self.version = version("pesq")
        self._rate = pesq.pesq

    def __call__(self, reference: Tensor, generated: Tensor) -> float:
        """Rate a degraded sound against the original it was made from.

        Args:
            reference: float [T] at `sample_rate`, full scale 1; the original.
            generated: float [T'], likewise.

        Returns:
            the mark, finite.

        Raises:
            UnratedError: if PESQ has no mark for this pair: it hears no utterance, say.
        """
        check_rateable(reference, generated)
        original, degraded = (waveform.float().cpu().numpy() for waveform in (reference, generated))
        try:
            mark = self._rate(self.sample_rate, original, degraded, "wb")
        except (RuntimeError, ValueError) as error:
            text = error.args[0] if error.args else error
            reason = text.decode() if isinstance(text, bytes) else text
            raise UnratedError(f"PESQ: {reason}") from error
        if not np.isfinite(mark):
            raise UnratedError(f"PESQ gave {mark}")
        return float(mark)
