"""The names that users of AudioCraft type, where they are not the names of `audiogen.AudioGen`."""

from collections.abc import Sequence
from typing import Literal, Unpack, overload

from torch import Tensor

from audiogen.generation.each import Batching
from audiogen.generation.progress import Report
from audiogen.generation.settings import Options, Settings, count_frames
from audiogen.text import Caption


class AudioCraftNames(Batching):
    """Settings that hold from call to call, and codes beside the sound on request."""

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
        """Set what later calls use by default; the names and their meanings are AudioCraft's.

        Args:
            use_sampling: false always takes the most likely code.
            top_k: draw from the k most likely codes; 0 draws from all.
            top_p: if not 0, draw from the most likely codes that make up this share instead.
            temperature: of the draws; 0 is greedy.
            duration: seconds. As many frames as AudioCraft makes of them, which rounds down, or
                the nearest number where it fails; the ``duration`` of a call is the nearest.
            cfg_coef: guidance scale; 1 is no guidance. It holds with ``two_step_cfg`` too, where
                AudioCraft forgets it.
            two_step_cfg: compute with and without caption one after the other: less memory, the
                same codes, more time.
            extend_stride: seconds, cut to whole frames, that each window after the first adds to
                a sound longer than ``max_duration``; None is 2, or a fifth of ``max_duration`` if
                that is less.

        Raises:
            ValueError: if a value makes no sense; the settings then stay as they were.
        """
        count_frames(duration, self.frame_rate)
        settings = Settings(
            duration=duration,
            count="reference",
            greedy=not use_sampling,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            guidance_scale=cfg_coef,
            two_step=two_step_cfg,
            extend_stride=extend_stride,
        )
        self._window_frames(settings)
        self.settings = settings

    def set_custom_progress_callback(self, progress_callback: Report | None = None) -> None:
        """Set what ``progress=True`` tells frames done and to do, instead of showing a bar."""
        self._progress_callback = progress_callback

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
        """Generate sound without captions; see `audiogen.AudioGen.generate`."""
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
            prompt: float [B, C, T] or [C, T], a numpy array too; any number of channels. One
                longer than ``max_duration`` is read in its last part, and kept as a whole.
            prompt_sample_rate: Hz.
            descriptions: one caption per item of the prompt; None is none for all.
            duration: seconds, the prompt's included.
            return_tokens: also return the codes, the prompt's included.
            options: see `audiogen.generation.settings.Options`.

        Returns:
            As `audiogen.AudioGen.generate`; the sound begins with the prompt as the codec renders
            it.
        """
        codes = self.encode(prompt, prompt_sample_rate)
        captions = [None] * len(codes) if descriptions is None else descriptions
        codes = self.generate_codes(captions, duration=duration, prompt_codes=codes, **options)
        return (self.decode(codes), codes) if return_tokens else self.decode(codes)
