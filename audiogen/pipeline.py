"""AudioGen: captions -> waveform."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Self, Unpack, overload

import torch
from torch import Tensor

from audiogen.checkpoint import load_model
from audiogen.codec.fast import Fast
from audiogen.codec.model import Codec
from audiogen.codec.streaming import StreamingDecoder
from audiogen.generation.progress import Report, reported
from audiogen.generation.settings import (
    Options,
    Settings,
    check_options,
    chosen,
    count_frames,
    item_generators,
    window_frames,
)
from audiogen.generation.stages import Stages, as_tensor, finite
from audiogen.generation.streaming import decode_pieces
from audiogen.generation.windows import generate_windows
from audiogen.lm.model import TokenLM
from audiogen.text import Caption, TextEncoder

FIRST_OF_AUDIOCRAFT = 5.0  # seconds a model of AudioCraft makes until it is told otherwise


class AudioGen(Stages):
    """A text-to-sound model.

    Every generating method takes the keywords of `audiogen.generation.settings.Options` beside its
    own; what is left out is as `set_generation_params` set it. Sounds longer than ``max_duration``
    are made of windows that overlap in codes. For the arguments see
    `audiogen.generation.stages.Stages`.
    """

    def __init__(
        self,
        *,
        text: TextEncoder,
        lm: TokenLM,
        codec: Codec,
        max_duration: float = 10.0,
        card: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(text=text, lm=lm, codec=codec, max_duration=max_duration, card=card)
        self.settings = Settings()
        self._progress_callback: Report | None = None
        self._window_frames(self.settings)

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        device: str | torch.device = "cpu",
        dtype: torch.dtype | None = None,
        text_encoder: str | Path | None = None,
        *,
        codec_fast: Fast | None = None,
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

    def set_generation_params(
        self,
        use_sampling: bool = True,
        top_k: int = 250,
        top_p: float = 0.0,
        temperature: float = 1.0,
        duration: float = 10.0,
        cfg_coef: float = 3.0,
        two_step_cfg: bool = False,
        extend_stride: float | None = None,
    ) -> None:
        """Set what later calls use by default; the names are AudioCraft's.

        Args:
            use_sampling: false always takes the most likely code.
            top_k: draw from the k most likely codes; 0 draws from all.
            top_p: if not 0, draw from the most likely codes that make up this share instead.
            temperature: of the draws; 0 is greedy.
            duration: seconds.
            cfg_coef: guidance scale; 1 is no guidance.
            two_step_cfg: accepted and without effect: text padding, the one thing it changes in
                AudioCraft, is the option ``padding`` here.
            extend_stride: seconds that each window after the first adds to a sound longer than
                ``max_duration``; None is 2, or a fifth of ``max_duration`` if that is less.

        Raises:
            ValueError: if a value makes no sense; the settings then stay as they were.
        """
        settings = Settings(
            duration=duration,
            greedy=not use_sampling,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            guidance_scale=cfg_coef,
            extend_stride=extend_stride,
        )
        count_frames(duration, self.frame_rate)
        self._window_frames(settings)
        self.settings = settings

    def set_custom_progress_callback(self, progress_callback: Report | None = None) -> None:
        """Set what ``progress=True`` tells frames done and to do, instead of showing a bar."""
        self._progress_callback = progress_callback

    def generate_codes(
        self,
        descriptions: Sequence[Caption],
        *,
        duration: float | None = None,
        prompt_codes: Tensor | None = None,
        **options: Unpack[Options],
    ) -> Tensor:
        """Generate codes.

        Args:
            descriptions: B captions; None and "" mean "no caption". A model that was trained on
                attributes takes {"description": ..., "sound_class": ...} too.
            duration: seconds, the prompt's included; any length, never cut.
            prompt_codes: int64 [B, K, P] to continue; nested lists and numpy arrays too.
            options: see `audiogen.generation.settings.Options`.

        Returns:
            int64 [B, K, round(duration * frame_rate)] on the model's device.
        """
        if prompt_codes is not None:
            prompt_codes = as_tensor(prompt_codes, name="prompt_codes")
        frames = self._frames(descriptions, duration, prompt_codes, options)
        new = torch.stack(list(frames), dim=-1)
        return new if prompt_codes is None else torch.cat([prompt_codes.to(new), new], dim=-1)

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

    @overload
    def generate_unconditional(
        self,
        num_samples: int,
        *,
        duration: float | None = None,
        return_tokens: Literal[False] = False,
        **options: Unpack[Options],
    ) -> Tensor: ...

    @overload
    def generate_unconditional(
        self,
        num_samples: int,
        *,
        duration: float | None = None,
        return_tokens: Literal[True],
        **options: Unpack[Options],
    ) -> tuple[Tensor, Tensor]: ...

    def generate_unconditional(
        self,
        num_samples: int,
        *,
        duration: float | None = None,
        return_tokens: bool = False,
        **options: Unpack[Options],
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Generate sound without captions; see `generate`."""
        codes = self.generate_codes([None] * num_samples, duration=duration, **options)
        return (self.decode(codes), codes) if return_tokens else self.decode(codes)

    @overload
    def generate_continuation(
        self,
        prompt: Tensor,
        prompt_sample_rate: int,
        descriptions: Sequence[Caption] | None = None,
        *,
        duration: float | None = None,
        return_tokens: Literal[False] = False,
        **options: Unpack[Options],
    ) -> Tensor: ...

    @overload
    def generate_continuation(
        self,
        prompt: Tensor,
        prompt_sample_rate: int,
        descriptions: Sequence[Caption] | None = None,
        *,
        duration: float | None = None,
        return_tokens: Literal[True],
        **options: Unpack[Options],
    ) -> tuple[Tensor, Tensor]: ...

    def generate_continuation(
        self,
        prompt: Tensor,
        prompt_sample_rate: int,
        descriptions: Sequence[Caption] | None = None,
        *,
        duration: float | None = None,
        return_tokens: bool = False,
        **options: Unpack[Options],
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Continue a sound.

        Args:
            prompt: float [B, C, T] or [C, T], a numpy array too; any number of channels.
            prompt_sample_rate: Hz.
            descriptions: one caption per item of the prompt; None is none for all.
            duration: seconds, the prompt's included.
            return_tokens: also return the codes, the prompt's included.
            options: see `audiogen.generation.settings.Options`.

        Returns:
            As `generate`; the sound begins with the prompt as the codec renders it.
        """
        codes = self.encode(prompt, prompt_sample_rate)
        captions = [None] * len(codes) if descriptions is None else descriptions
        codes = self.generate_codes(captions, duration=duration, prompt_codes=codes, **options)
        return (self.decode(codes), codes) if return_tokens else self.decode(codes)

    def stream(
        self,
        description: Caption,
        *,
        duration: float | None = None,
        piece: float = 1.0,
        **options: Unpack[Options],
    ) -> Iterator[Tensor]:
        """Generate one sound and yield it while it is being made.

        Args:
            description: a caption or None.
            duration: seconds in all.
            piece: seconds of codes that are gathered before they are decoded.
            options: see `audiogen.generation.settings.Options`.

        Yields:
            float32 [1, C, t] on the CPU. The codes are those of ``generate([description])`` with
            the same seed, and the concatenated pieces equal its sound up to float32 rounding.
        """
        size = count_frames(piece, self.frame_rate, name="piece")
        frames = self._frames([description], duration, None, options)
        return map(finite, decode_pieces(StreamingDecoder(self.codec), frames, size=size))

    def _frames(
        self,
        descriptions: Sequence[Caption],
        duration: float | None,
        prompt: Tensor | None,
        options: Options,
    ) -> Iterator[Tensor]:
        """Check everything now; generate int64 [B, K] frames when asked for them."""
        check_options(options)
        settings = chosen(self.settings, options)
        seconds = settings.duration if duration is None else duration
        num_frames = count_frames(seconds, self.frame_rate)
        window, stride = self._window_frames(settings)
        padding = options.get("padding", "own")
        states, mask = self.condition(descriptions, padding=padding)
        if prompt is None:
            prompt = torch.empty(len(states), self.lm.num_codebooks, 0, dtype=torch.long)
        frames = generate_windows(
            self.lm,
            states,
            None if padding == "batch" else mask,
            num_frames=num_frames,
            window=window,
            stride=stride,
            prompt=prompt.to(self.device),
            generators=None if settings.greedy else item_generators(len(states), options),
            temperature=settings.temperature,
            top_k=settings.top_k,
            top_p=settings.top_p,
            guidance_scale=settings.guidance_scale,
        )
        total = num_frames - prompt.shape[-1]
        return reported(frames, total, options.get("progress"), self._progress_callback)

    def _window_frames(self, settings: Settings) -> tuple[int, int]:
        return window_frames(
            max_duration=self.max_duration,
            extend_stride=settings.extend_stride,
            frame_rate=self.frame_rate,
        )
