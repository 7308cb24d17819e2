"""AudioGen: captions -> waveform."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Literal, Self, Unpack, overload

import torch
from torch import Tensor

from audiogen.checkpoint import load_model
from audiogen.codec.fast import Fast
from audiogen.codec.streaming import StreamingDecoder
from audiogen.generation.audiocraft import AudioCraftNames
from audiogen.generation.settings import Options, count_frames
from audiogen.generation.stages import finite
from audiogen.generation.streaming import decode_pieces
from audiogen.lm.fast import Fast as LMFast
from audiogen.text import Caption

FIRST_OF_AUDIOCRAFT = 5.0  # seconds a model of AudioCraft makes until it is told otherwise


class AudioGen(AudioCraftNames):
    """A text-to-sound model.

    Every generating method takes the keywords of `audiogen.generation.settings.Options` beside its
    own; what is left out is as `set_generation_params` set it. Sounds longer than ``max_duration``
    are made of windows that overlap in codes. For the arguments see
    `audiogen.generation.stages.Stages`::

        import audiogen

        model = audiogen.AudioGen.from_pretrained("model")  # a folder or a hub id; device="cuda"

        # Sounds, float32 [2, C, T] on the CPU. Item i draws from (seed, i): alone or in any batch
        # it is the same sound.
        sounds = model.generate(["a dog barks twice", "rain on a tin roof"], duration=0.2, seed=1)
        audiogen.write_audio("rain.wav", sounds[1], model.sample_rate, clipping="rescale")
        again = model.generate(["rain on a tin roof"], duration=0.2, seeds=[(1, 1)])

        # How it is drawn, and how strictly the caption is followed.
        model.generate(["rain"], duration=0.2, temperature=0.9, top_k=100, guidance_scale=4.0)
        model.generate(["rain"], duration=0.2, greedy=True)

        # The best of four by a named scorer; the first of them is the sound without best_of.
        model.generate(["rain"], duration=0.2, seed=1, best_of=4, scorer="likelihood")

        # Many, in batches by length, each as soon as it is done.
        for made in model.generate_each(["rain", "wind"], durations=[0.1, 0.3], seed=1):
            file = f"{made.index}.wav"
            audiogen.write_audio(file, made.waveform, model.sample_rate, clipping="rescale")

        # What follows a sound, and a sound while it is being made.
        sound, rate = audiogen.read_audio("rain.wav")
        longer = model.generate_continuation(sound, rate, ["rain"], duration=0.4)
        for piece in model.stream("rain", duration=0.4, piece=0.1, seed=1):
            print(piece.shape[-1], "samples more")
    """

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        device: str | torch.device = "cpu",
        dtype: torch.dtype | None = None,
        text_encoder: str | Path | None = None,
        *,
        codec_fast: Fast | None = None,
        lm_fast: LMFast | None = None,
        revision: str | None = None,
        codec: str | Path | None = None,
    ) -> Self:
        """Load a model folder, ours or published, or a model of the hub by its id.

        For the arguments see `audiogen.checkpoint.load_model`.
        """
        parts = load_model(
            source,
            device=device,
            dtype=dtype,
            text_encoder=text_encoder,
            codec_fast=codec_fast,
            lm_fast=lm_fast,
            revision=revision,
            codec=codec,
        )
        return cls(
            text=parts.text,
            lm=parts.lm,
            codec=parts.codec,
            max_duration=parts.max_duration,
            card=parts.config["card"],
        )

    @classmethod
    def get_pretrained(
        cls, name: str = "facebook/audiogen-medium", device: str | torch.device | None = None
    ) -> Self:
        """Load as AudioCraft does: on a GPU if there is one, making 5 s until told otherwise."""
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        model = cls.from_pretrained(name, device=device)
        model.settings = replace(model.settings, duration=FIRST_OF_AUDIOCRAFT)
        return model

    @overload
    def generate(
        self,
        descriptions: Sequence[Caption],
        *,
        duration: float | None = None,
        return_tokens: Literal[False] = False,
        **options: Unpack[Options],
    ) -> Tensor: ...

    @overload
    def generate(
        self,
        descriptions: Sequence[Caption],
        *,
        duration: float | None = None,
        return_tokens: Literal[True],
        **options: Unpack[Options],
    ) -> tuple[Tensor, Tensor]: ...

    def generate(
        self,
        descriptions: Sequence[Caption],
        *,
        duration: float | None = None,
        return_tokens: bool = False,
        **options: Unpack[Options],
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Generate sound; arguments as in `generate_codes`.

        Returns:
            float32 [B, C, round(duration * frame_rate) * hop_length] on the CPU, finite, with full
            scale at 1 and not clipped there; with ``return_tokens`` a pair of it and its codes.
        """
        codes = self.generate_codes(descriptions, duration=duration, **options)
        return (self.decode(codes), codes) if return_tokens else self.decode(codes)

    def stream(
        self,
        description: Caption,
        *,
        duration: float | None = None,
        piece: float = 1.0,
        prompt_codes: Tensor | None = None,
        **options: Unpack[Options],
    ) -> Iterator[Tensor]:
        """Generate one sound and yield it while it is being made.

        Args:
            description: a caption or None.
            duration: seconds in all.
            piece: seconds of codes that are gathered before they are decoded.
            prompt_codes: int64 [1, K, P] to continue, as `encode` gives them; their sound is first.
            options: see `audiogen.generation.settings.Options`; ``best_of`` is refused, as a sound
                is judged when it is whole.

        Yields:
            float32 [1, C, t] on the CPU. The codes are those of ``generate([description])`` with
            the same seed, and the concatenated pieces equal its sound up to float32 rounding.
        """
        if not isinstance(description, str | Mapping | None):
            one = description[0] if isinstance(description, Sequence) and description else "rain"
            raise ValueError(
                f"stream takes one caption, as {one!r:.80}, got {type(description).__name__}; "
                "for several call it for each, or use generate_each"
            )
        size = count_frames(piece, self.frame_rate, name="piece")
        call = self._checked([description], duration, prompt_codes, options)
        if call.settings.best_of > 1:
            raise ValueError(
                "best_of chooses between whole sounds, and a stream gives away its beginning "
                "first: leave it out, or use generate"
            )
        tally = self._tally(call.new_frames, options)
        new = tally.counting(self._frames(call, call.rows))
        frames = chain(call.prompt.unbind(dim=-1), new)
        return map(finite, decode_pieces(StreamingDecoder(self.codec), frames, size=size))
