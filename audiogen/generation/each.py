"""Any number of sounds, each yielded once its batch is done."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Unpack

import torch
from torch import Tensor

from audiogen.generation.batches import AHEAD, Fitting, Generated, Item, in_batches, read_items
from audiogen.generation.choosing import check_choice
from audiogen.generation.drawing import Drawing
from audiogen.generation.progress import Tally
from audiogen.generation.scorers import scorer_name
from audiogen.generation.seeds import given_per_item, seed_pairs
from audiogen.generation.settings import (
    Options,
    Settings,
    check_options,
    chosen,
    follows_reference,
)
from audiogen.generation.shelf import Shelf
from audiogen.generation.stages import as_tensor
from audiogen.lm.sampling import is_number
from audiogen.text import Caption, check_captions


class Batching(Drawing):
    """A model that makes many sounds in batches that do not decide what comes out."""

    def generate_each(
        self,
        descriptions: Iterable[Caption],
        *,
        durations: float | Iterable[float] | None = None,
        duration: float | None = None,
        batch_size: int = 8,
        prompt_codes: Tensor | None = None,
        wanted: Callable[[int], bool] | None = None,
        **options: Unpack[Options],
    ) -> Iterator[Generated]:
        """Generate any number of sounds, in batches of equal length; yield each once it is done.

        The order is that of the batches, the longest first. Item i is what
        ``generate([descriptions[i]], duration=durations[i], seeds=[seed of i])`` gives; only
        ``padding="batch"`` makes it depend on its batch, and then the order is kept. Should memory
        run out, batches are halved, with a warning in the log.

        Args:
            descriptions: captions. A sequence is checked as a whole at once; of an iterator, which
                may be endless, some hundreds are read ahead.
            durations: seconds, for all or one per item.
            duration: seconds, for all; the same as one number of ``durations``.
            batch_size: sounds computed at once, candidates of ``best_of`` counted; the fewer, the
                less memory.
            prompt_codes: int64 [1, K, P] that every sound begins with, as `encode` gives them.
            wanted: asked of each index before its batch is made; false leaves the sound out.
            options: see `audiogen.generation.settings.Options`. ``seeds`` may be an iterator too.
                ``progress`` hears of the frames of all candidates of all items known so far.

        Raises:
            ValueError: naming the item that makes no sense.
            TooLittleMemoryError: if one sound alone does not fit; it says what costs least.
        """
        check_options(options)
        if duration is not None:
            if durations is not None:
                raise ValueError("got duration, of all, and durations, of each: give one of them")
            durations = duration
        settings = chosen(self.settings, options)
        if durations is not None:
            settings = replace(settings, count="nearest")
        if not is_number(batch_size, whole=True) or batch_size < 1:
            raise ValueError(f"batch_size must be a number of at least 1, got {batch_size!r}")
        if settings.best_of > 1:
            self._load(settings.scorer)
        rows, own = int(batch_size), options.get("padding", "own") == "own"
        tally = self._tally(0, options)
        given = None if prompt_codes is None else _one_prompt(prompt_codes)
        new = partial(_new_frames, given=given, each=settings.best_of)
        items = self._items(descriptions, durations, settings, options, tally, new)
        fitting = Fitting(
            rows,
            per_item=settings.best_of,
            whole=not own,
            need=lambda rows: self._need(settings, rows=rows),
            release=self._release,
        )
        batches = in_batches(
            items,
            size=max(1, rows // settings.best_of),
            ahead=len(descriptions) + 1 if isinstance(descriptions, Sequence) else AHEAD,
            keep_order=not own,
            by_seconds=follows_reference(options),
        )
        make = partial(
            self._made,
            settings=settings,
            options=options,
            prompt=given,
            tally=tally,
            shelf=Shelf(most_rows=None),
        )
        if wanted is not None:
            batches = (_still_wanted(batch, wanted, tally, new) for batch in batches)
        return chain.from_iterable(fitting.run(batch, make) for batch in batches)

    def _items(
        self,
        captions: Iterable[Caption],
        durations: float | Iterable[float] | None,
        settings: Settings,
        options: Options,
        tally: Tally,
        new: Callable[[Item], int],
    ) -> Iterator[Item]:
        """Read items, their frames being added to those to do; those of a sequence all now."""
        self._window_frames(settings)
        items = read_items(
            captions,
            settings.duration if durations is None else durations,
            seed_pairs(options) if settings.draws else None,
            per_item=given_per_item(options),
            count=lambda duration: self._count_frames(duration, settings),
        )

        def known() -> Iterator[Item]:
            for item in items:
                tally.total += new(item)
                yield item

        if isinstance(captions, str | Mapping) or not isinstance(captions, Iterable):
            check_captions(captions)  # type: ignore[arg-type]
        if not isinstance(captions, Sequence):
            return known()
        if settings.best_of > 1 and len(captions):
            check_choice(captions, settings.scorer)
        return iter(list(known()))

    def _made(
        self,
        items: Sequence[Item],
        rows: int,
        *,
        settings: Settings,
        options: Options,
        prompt: Tensor | None,
        tally: Tally,
        shelf: Shelf,
    ) -> list[Generated]:
        """Make one batch, ``rows`` at once."""
        before = tally.done
        try:
            seeds = [item.seed for item in items if item.seed is not None]
            call = self._call(
                [item.caption for item in items],
                replace(settings, duration=items[0].duration),
                options,
                seeds=seeds or None,
                prompt=prompt if prompt is None else prompt.expand(len(items), -1, -1),
            )
            parts = [call.rows[at : at + rows] for at in range(0, len(call.rows), rows)]
            drawn = [self._draw(call, part, tally, weight=len(part), shelf=shelf) for part in parts]
            codes, scores = self._chosen(call, torch.cat(drawn))
            sounds = self.decode(codes)
        except (RuntimeError, MemoryError):
            tally.done = before  # it may be made again
            raise
        scorer = scorer_name(settings.scorer) if settings.best_of > 1 else None
        return [
            Generated(
                index=item.index,
                codes=codes[row].cpu().clone(),  # or it would keep the whole batch in memory
                waveform=sounds[row].clone(),
                seed=item.seed,
                scorer=scorer,
                scores=scores[row],
            )
            for row, item in enumerate(items)
        ]

    def _release(self) -> None:
        """Give memory back to the device."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def _one_prompt(codes: object) -> Tensor:
    prompt = as_tensor(codes, name="prompt_codes")
    if prompt.ndim != 3 or len(prompt) != 1:
        raise ValueError(
            "every sound begins with the same prompt_codes: expected one, [1, K, P], got "
            f"{list(prompt.shape)}"
        )
    return prompt


def _new_frames(item: Item, *, given: Tensor | None, each: int) -> int:
    """Frames to make of an item, of all its candidates, behind a prompt that is ``given``."""
    return max(0, item.num_frames - (0 if given is None else given.shape[-1])) * each


def _still_wanted(
    batch: Sequence[Item],
    wanted: Callable[[int], bool],
    tally: Tally,
    new: Callable[[Item], int],
) -> list[Item]:
    kept = []
    for item in batch:
        if wanted(item.index):
            kept.append(item)
        else:
            tally.add(new(item))
    return kept
