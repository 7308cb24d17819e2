"""What held-out codes cost a language model with their caption, with none, and with others'."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiogen.data.shards import TokenError, read_items
from audiogen.data.tokens import TokenDataset, collate_tokens
from audiogen.lm.model import TokenLM
from audiogen.rng import derive_seed
from audiogen.text import TextEncoder

OWN, NONE, SHUFFLED = CONDITIONS = "caption", "no_caption", "shuffled"
SHUFFLES = 5  # captions of others that a clip is given in turn
BATCH = 16  # rows
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One held-out clip."""

    id: str
    caption: str  # the first of its captions, as in validation
    group: str  # its class; "" without one


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """The captioned clips of one split of a folder of codes."""

    clips: Sequence[Clip]
    owners: NDArray[np.int64]  # [R]: which clip each row of codes is of
    codes: Tensor  # int64 [R, K, T]
    mask: Tensor  # bool [R, K, T], false behind the end of a sound
    sources: Sequence[str]  # the data sets they are from
    licences: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What the codes of each clip cost, in nats, by condition."""

    clips: Sequence[Clip]
    codebooks: Mapping[str, Floats]  # [clips, K], means over the codes of a codebook
    frames: Mapping[str, Floats]  # [clips, T], means over codebooks and rows; NaN without a code

    def of(self, condition: str) -> Floats:
        """Return the plain mean over codebooks, which is what the loss is, [clips]."""
        return np.asarray(self.codebooks[condition].mean(axis=1))


def read_held_out(folder: Path, split: str, *, limit: int | None = None) -> HeldOut:
    """Read the captioned clips of a split, in its order; at most ``limit`` rows, evenly spread.

    Raises:
        TokenError: if the folder is not complete, or no clip of the split has a caption.
    """
    data = TokenDataset(folder, split=split, seed=0, fixed=True)
    lines = read_items(folder, data.header["num_shards"])
    items = [item for _, _, item in lines if item["split"] == split]
    kept = [number for number, item in enumerate(items) if item["captions"]]
    if not kept:
        raise TokenError(f'{folder}: no clip of split "{split}" has a caption, nothing to judge')
    if limit is not None and len(kept) > limit:
        kept = [kept[len(kept) * i // limit] for i in range(limit)]
    clips: dict[str, Clip] = {}
    places: dict[str, int] = {}
    owners = []
    for number in kept:
        item = items[number]
        name = _clip_of(str(item["id"]))
        group = str((item.get("labels") or {}).get("class", ""))
        clip = Clip(id=name, caption=str(item["captions"][0]), group=group)
        owners.append(places.setdefault(name, len(places)))
        clips.setdefault(name, clip)
    batch = collate_tokens([data[number] for number in kept])
    of_them = [items[number] for number in kept]
    return HeldOut(
        clips=list(clips.values()),
        owners=np.array(owners),
        codes=batch["codes"],
        mask=batch["code_mask"],
        sources=sorted({str(item.get("source", "unknown")) for item in of_them}),
        licences=sorted({str(item.get("licence", "unknown")) for item in of_them}),
    )


def other_captions(clips: Sequence[Clip], *, seed: int) -> list[list[str | None]]:
    """Draw captions of other clips for each clip, none of which is said of its own class.

    Every clip draws for itself from (seed, id).

    Raises:
        ValueError: if there is no such caption.
    """
    drawn: list[list[str | None]] = []
    for clip in clips:
        own = {c.caption for c in clips if c.group == clip.group != ""} | {clip.caption}
        pool = sorted({c.caption for c in clips} - own)
        if not pool:
            raise ValueError(f"{clip.id}: no clip of another class has another caption")
        rng = np.random.default_rng(derive_seed(seed, clip.id))
        drawn.append([pool[i] for i in rng.integers(len(pool), size=SHUFFLES)])
    return drawn


def measure(
    lm: TokenLM, text: TextEncoder, held_out: HeldOut, *, seed: int, shuffled: bool = True
) -> Costs:
    """Let a model foretell the codes of every clip under every condition.

    Each row of codes is a sound of its own, as in training: the model does not see the row before.

    Args:
        lm: in eval mode.
        text: its text encoder.
        held_out: the clips.
        seed: of the captions of others.
        shuffled: also under captions of others, for which there have to be some.
    """
    clips = held_out.clips
    asked: dict[str, list[list[str | None]]] = {
        OWN: [[clip.caption] for clip in clips],
        NONE: [[None] for _ in clips],
    }
    if shuffled:
        asked[SHUFFLED] = other_captions(clips, seed=seed)
    shape = (len(clips), *held_out.codes.shape[1:])
    codebooks, frames = {}, {}
    for condition, captions in asked.items():
        sums, counts = np.zeros(shape), np.zeros(shape)
        for owners, codes, mask, spoken in _batches(held_out, captions):
            np.add.at(sums, owners, _nats(lm, text, codes, mask, spoken))
            np.add.at(counts, owners, mask.numpy())
        codebooks[condition] = sums.sum(axis=2) / counts.sum(axis=2)
        with np.errstate(invalid="ignore"):
            frames[condition] = sums.sum(axis=1) / counts.sum(axis=1)
    return Costs(clips=clips, codebooks=codebooks, frames=frames)


def _batches(
    held_out: HeldOut, captions: Sequence[Sequence[str | None]]
) -> Iterator[tuple[NDArray[np.int64], Tensor, Tensor, list[str | None]]]:
    """Yield owners [B], codes [B, K, T], mask [B, K, T] and captions; a row once per caption."""
    work = [
        (row, caption) for row, owner in enumerate(held_out.owners) for caption in captions[owner]
    ]
    for begin in range(0, len(work), BATCH):
        rows = [row for row, _ in work[begin : begin + BATCH]]
        spoken = [caption for _, caption in work[begin : begin + BATCH]]
        yield held_out.owners[rows], held_out.codes[rows], held_out.mask[rows], spoken


@torch.inference_mode()
def _nats(
    lm: TokenLM, text: TextEncoder, codes: Tensor, mask: Tensor, captions: list[str | None]
) -> Floats:
    """Cross-entropy of every code, float64 [B, K, T]; zero where masked out."""
    device = lm.head.weight.device
    codes = codes.to(device)
    states, heard = (found.to(device) for found in text.encode(captions))
    logits, _ = lm.predict(codes, lm.project_text(states, heard), heard, complete=True)
    losses = torch.nn.functional.cross_entropy(
        logits.double().flatten(0, 2), codes.flatten(), reduction="none"
    )
    return np.asarray(losses.view(codes.shape).cpu().where(mask, 0).numpy())


def _clip_of(row: str) -> str:
    """The id of the clip that a row of codes is of, "rain#2" being the third of "rain"."""
    name, _, number = row.rpartition("#")
    return name if name and number.isdigit() else row
