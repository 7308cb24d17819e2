"""Reading a sequence with its caption and without: together, one after the other, or one of them.

Each of the two reads a step when its logits are needed and not before. What it has not read by
then it reads in one go, so that a guidance window costs nothing outside of it.
"""

from collections.abc import Callable

from torch import Tensor

from audiogen.lm.decoding import StepDecoder
from audiogen.lm.guidance import Guidance, guide
from audiogen.lm.model import TokenLM
from audiogen.lm.plan import Passes


class GuidedDecoder:
    """Guided logits of a growing sequence.

    Args:
        lm: in evaluation mode.
        text: float [B, L, D], projected (`TokenLM.project_text`).
        text_mask: bool [B, L] or None, as in `TokenLM.forward`.
        max_steps: the longest sequence that will be read.
        guidance: the scale, and whether the two are read one after the other.
        halves: which of the two will be needed.
    """

    def __init__(
        self,
        lm: TokenLM,
        *,
        text: Tensor,
        text_mask: Tensor | None,
        max_steps: int,
        guidance: Guidance,
        halves: set[Passes],
    ) -> None:
        batch = len(text)
        if halves == {"none"}:
            text, text_mask = text[:0], None
        self.guidance = guidance
        self.both = StepDecoder(
            lm, text=text, text_mask=text_mask, rows=batch * len(halves), max_steps=max_steps
        )
        self.caption = self.both.of_rows(0, batch)
        self.bare = self.both.of_rows(batch * (len(halves) - 1), batch * len(halves))

    def logits(self, sequence: Tensor, step: int, passes: Passes) -> Tensor:
        """Return what the next code of each codebook is drawn from, float32 [B, K, N].

        Args:
            sequence: int64 [B, K, S]; steps before ``step`` are read.
            step: the one to be predicted, behind the last that was read.
            passes: what it needs.
        """

        def read(decoder: StepDecoder) -> Tensor:
            chunk = sequence[:, :, decoder.position : step]
            if decoder is self.both:
                chunk = chunk.repeat(2, 1, 1)
            return decoder.advance(chunk)

        together = self._together(passes) and self.caption.position == self.bare.position
        if together:
            self.both.position = self.bare.position
        logits = self._guided(passes, together, read)
        if together:
            self.caption.position = self.bare.position = step
        return logits

    def logits_at(self, step: Tensor, position: Tensor, *, length: int, passes: Passes) -> Tensor:
        """Do what `logits` does, for one step int64 [B, K, 1] at a position on the device.

        See `StepDecoder.advance_at`; each pass that is needed has read all before it.
        """

        def read(decoder: StepDecoder) -> Tensor:
            rows = step.repeat(2, 1, 1) if decoder is self.both else step
            return decoder.advance_at(rows, position, length=length)

        return self._guided(passes, self._together(passes), read)

    def catch_up(self, sequence: Tensor, step: int, passes: Passes) -> None:
        """Read what the passes needed have not read yet before ``step``."""
        for decoder in self._needed(passes):
            if decoder.position < step:
                decoder.advance(sequence[:, :, decoder.position : step])

    def has_read(self, step: int, passes: Passes) -> None:
        """Note that the passes read up to ``step`` by `logits_at`."""
        for decoder in self._needed(passes):
            decoder.position = step

    def begin(self, text: Tensor, text_mask: Tensor | None) -> None:
        """Forget the sequence and hear other captions, of the same sizes as those before."""
        self.both.begin(text, text_mask)
        for decoder in (self.caption, self.bare):
            decoder.position = 0

    def _needed(self, passes: Passes) -> list[StepDecoder]:
        return [
            *([self.caption] if passes != "none" else []),
            *([self.bare] if passes != "caption" else []),
        ]

    def _together(self, passes: Passes) -> bool:
        return passes == "both" and not self.guidance.two_step

    def _guided(
        self, passes: Passes, together: bool, read: Callable[[StepDecoder], Tensor]
    ) -> Tensor:
        if passes == "caption":
            return read(self.caption)
        if passes == "none":
            return read(self.bare)
        if together:
            conditional, unconditional = read(self.both).chunk(2)
        else:
            conditional, unconditional = read(self.caption), read(self.bare)
        return guide(conditional, unconditional, scale=self.guidance.scale)
