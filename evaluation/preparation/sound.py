"""A decoded sound with all of its channels: what preparation steps take and give."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Sound:
    """A waveform of any number of channels, and its rate."""

    waveform: Tensor  # float32 [C, T], full scale 1
    sample_rate: int  # Hz

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.waveform.shape[-1] / self.sample_rate

    def of_channels(self, count: int) -> Tensor:
        """Return the waveform as a network takes it: [T] for one channel, [count, T] for more.

        Raises:
            ValueError: if it has another number of channels.
        """
        if count == 1:
            return self.mono()
        if len(self.waveform) != count:
            raise ValueError(
                f"expected a sound of {count} channels, got {len(self.waveform)}: the protocol's "
                "steps lack `stereo`"
            )
        return self.waveform

    def mono(self) -> Tensor:
        """Return the waveform [T] of a sound of one channel.

        Raises:
            ValueError: if there are more; which of them counts is for a protocol to say.
        """
        if len(self.waveform) != 1:
            raise ValueError(
                f"expected a sound of one channel, got {len(self.waveform)}: the protocol's steps "
                "lack `mono: mean` or `mono: first`"
            )
        return self.waveform[0]
