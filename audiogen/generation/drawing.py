"""Captions -> codes: a call is checked as a whole, its rows are drawn, and the best are kept."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Unpack

import torch
from torch import Tensor

from audiogen.codec.model import Codec
from audiogen.generation.call import Call, Row
from audiogen.generation.choosing import Scores, candidate_scores, check_choice, keep_best
from audiogen.generation.memory import Need, memory_explained
from audiogen.generation.progress import Report, Tally
from audiogen.generation.reference import reference_plan
from audiogen.generation.scorers import LIKELIHOOD, Scorer, clap_of
from audiogen.generation.seeds import Pair, generators_of, item_seeds
from audiogen.generation.settings import (
    Options,
    Settings,
    check_options,
    chosen,
    count_frames,
    follows_reference,
    guided_frames,
    window_frames,
    window_of,
)
from audiogen.generation.shelf import Shelf
from audiogen.generation.stages import Stages, as_tensor
from audiogen.generation.windows import Window, generate_windows, whole_prompt
from audiogen.lm.graphs import Graphs
from audiogen.lm.model import TokenLM
from audiogen.text import Caption, TextEncoder

KEPT_ROWS = 8  # of a call whose captured steps, KV cache included, stay for the next one


class Drawing(Stages):
    """A model that generates codes; its arguments are those of `Stages`."""

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
        self._shelf = Shelf(most_rows=KEPT_ROWS)
        self._scorers: dict[str, Scorer] = {}  # those that take long to load
        self._window_frames(self.settings)

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

        Raises:
            ValueError: if something makes no sense; before anything is generated.
            TooLittleMemoryError: if all that at once does not fit into memory.
        """
        call = self._checked(descriptions, duration, prompt_codes, options)
        tally = self._tally(call.new_frames, options)
        with memory_explained(self._need(call.settings, rows=len(call.rows))):
            return self._chosen(call, self._draw(call, call.rows, tally))[0]

    def _checked(
        self,
        descriptions: Sequence[Caption],
        duration: float | None,
        prompt: Tensor | None,
        options: Options,
    ) -> Call:
        """Check everything a call says; what it leaves out is as the settings say."""
        check_options(options)
        settings = chosen(self.settings, options)
        if duration is not None:
            settings = replace(settings, duration=duration, count="nearest")
        call = self._call(descriptions, settings, options, prompt=prompt)
        if not settings.draws:
            return call
        return replace(call, seeds=item_seeds(len(call.states), options))

    def _call(
        self,
        captions: Sequence[Caption],
        settings: Settings,
        options: Options,
        *,
        prompt: Tensor | None = None,
        seeds: Sequence[Pair] | None = None,
    ) -> Call:
        """Bring captions and prompt to the language model; ``settings`` say how long."""
        padding = options.get("padding", "own")
        if settings.best_of > 1:
            check_choice(captions, settings.scorer)
            self._load(settings.scorer)
        codes = None if prompt is None else as_tensor(prompt, name="prompt_codes")
        given = codes.shape[-1] if codes is not None and codes.ndim else 0
        num_frames = self._count_frames(settings.duration, settings, given=given)
        window, stride = self._window_frames(settings)
        states, mask = self.condition(captions, padding=padding)
        if codes is None:
            codes = torch.empty(len(states), self.lm.num_codebooks, 0, dtype=torch.long)
        return Call(
            captions=captions,
            states=states,
            mask=None if padding == "batch" else mask,
            prompt=whole_prompt(self.lm, codes, batch=len(states), num_frames=num_frames),
            num_frames=num_frames,
            window=window_of(
                num_frames,
                window=window,
                max_duration=self.max_duration,
                frame_rate=self.frame_rate,
            ),
            stride=stride,
            plan=self._plan(num_frames, given, settings, options),
            seeds=seeds,
            settings=settings,
        )

    def _frames(
        self, call: Call, rows: Sequence[Row], *, graphs: Graphs | None = None
    ) -> Iterator[Tensor]:
        """Generate new frames, int64 [R, K] each, when asked for them."""
        settings = call.settings
        items = torch.tensor([item for item, _ in rows], device=self.device)
        candidates = [candidate for _, candidate in rows]
        seeds = call.seeds and [call.seeds[item] for item, _ in rows]
        return generate_windows(
            self.lm,
            call.states[items],
            None if call.mask is None else call.mask[items],
            num_frames=call.num_frames,
            window=call.window,
            stride=call.stride,
            plan=call.plan,
            prompt=call.prompt[items],
            generators=None if seeds is None else generators_of(seeds, candidates),
            temperature=settings.temperature,
            top_k=settings.top_k,
            top_p=settings.top_p,
            guidance_scale=settings.guidance_scale,
            guidance_frames=guided_frames(
                settings.guidance_window, frame_rate=self.frame_rate, num_frames=call.num_frames
            ),
            two_step=bool(settings.two_step),
            graphs=graphs,
        )

    def _draw(
        self,
        call: Call,
        rows: Sequence[Row],
        tally: Tally,
        *,
        weight: int = 1,
        shelf: Shelf | None = None,
    ) -> Tensor:
        """Generate codes int64 [R, K, T], prompts included; each new frame counts ``weight``."""
        given = call.prompt.shape[-1]
        shape = (len(rows), self.lm.num_codebooks, call.num_frames)
        codes = torch.empty(shape, dtype=torch.long, device=self.device)
        codes[..., :given] = call.prompt[[item for item, _ in rows]]
        shelf = shelf or self._shelf
        with shelf.lent(self.lm, self.device, rows=len(rows)) as graphs:
            frames = tally.counting(self._frames(call, rows, graphs=graphs), weight=weight)
            for position, frame in enumerate(frames, start=given):
                codes[..., position] = frame
        return codes

    def _chosen(self, call: Call, codes: Tensor) -> tuple[Tensor, list[Scores]]:
        """Keep of codes [B * n, K, T] the best of each n: [B, K, T], and why."""
        if call.settings.best_of == 1:
            return codes, [()] * len(codes)
        scorer = call.settings.scorer
        ask = self._scorers.get(scorer) if isinstance(scorer, str) else scorer
        scores = candidate_scores(
            call,
            codes,
            lm=self.lm,
            ask=ask,
            decode=self.decode,
            sample_rate=self.sample_rate,
        )
        return keep_best(codes, scores), scores

    def _load(self, scorer: str | Scorer) -> None:
        """Read a CLAP before the work, and once.

        Raises:
            TextEncoderError: if it cannot be read.
        """
        if isinstance(scorer, str) and scorer != LIKELIHOOD and scorer not in self._scorers:
            self._scorers[scorer] = clap_of(scorer).to(self.device)

    def _tally(self, total: int, options: Options) -> Tally:
        return Tally(total, options.get("progress"), self._progress_callback)

    def _need(self, settings: Settings, *, rows: int) -> Need:
        return Need(
            rows=rows,
            guided=settings.guidance_scale != 1,
            two_step=settings.two_step,
            weight=self.lm.head.weight.dtype,
            window=self._window_frames(settings)[0],
        )

    def _count_frames(self, duration: float, settings: Settings, *, given: int = 0) -> int:
        """Return the frames of a sound, its prompt included."""
        nearest = count_frames(duration, self.frame_rate)
        if settings.count == "nearest":
            return nearest
        plan = self._reference_plan(duration, settings, given)
        return plan[-1].end if plan else nearest

    def _plan(
        self, num_frames: int, given: int, settings: Settings, options: Options
    ) -> list[Window] | None:
        """Return the reference's windows if they are asked for and make ``num_frames``."""
        if not follows_reference(options):
            return None
        plan = self._reference_plan(settings.duration, settings, given)
        return plan if plan and plan[-1].end == num_frames else None

    def _reference_plan(
        self, duration: float, settings: Settings, given: int
    ) -> list[Window] | None:
        return reference_plan(
            duration,
            max_duration=self.max_duration,
            stride=self._window_frames(settings)[1],
            frame_rate=self.frame_rate,
            given=given,
        )

    def _window_frames(self, settings: Settings) -> tuple[int, int]:
        return window_frames(
            max_duration=self.max_duration,
            extend_stride=settings.extend_stride,
            frame_rate=self.frame_rate,
        )
