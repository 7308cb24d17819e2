"""Codes and captions, for the language model: the reader of what `audiogen.encode` writes."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from audiogen.data.captions import as_said, pick_caption, require_labels
from audiogen.data.sampler import nth_of_pass
from audiogen.data.shards import (
    AGAIN,
    TokenError,
    codes_path,
    open_codes,
    read_header,
    read_items,
)
from audiogen.rng import derive_seed, item_generator

log = logging.getLogger(__name__)

_MAX_OPEN = 256  # memory maps; each holds a file descriptor, of which a process may have 1024


class TokenDataset(Dataset[dict[str, Any]]):
    """Codes and captions of one split of a folder.

    Item ``i`` is the *global* sample number, which grows from pass to pass (`EndlessSampler`):
    which segment it is, and which of its captions it has, are a pure function of (seed, i).

    Args:
        folder: written by `audiogen.encode.encode_manifest`.
        split: "train", "valid" or "test".
        seed: of order and captions.
        codec_hash: the fingerprint of the codec the model will decode with; None does not check.
        num_codebooks: reads only the first ones; None reads all.
        num_samples: items per epoch; None means one per segment.
        crop_frames: shows so many frames of every segment, from a random one on; None shows all.
            (Codes at the edges of a crop are not quite those of the cropped sound, as the codec
            looks around itself.)
        lower_case: captions in lower case, as the published models were trained, but not used.
        attributes: attribute that the text encoder reads -> label of the clips that it is; captions
            then are mappings of these and "description". None gives plain captions.
        fixed: for validation: segments in order, each from its start and with its first caption.

    ``header`` says what the items are: its "segment_frames" is that of the crops.

    Items are ``{"codes": int64 [K, T], "frames": int, "caption": Caption, "index": int}``;
    codes behind ``frames`` are 0.

    Raises:
        TokenError: if the folder is not complete or damaged, is of another codec, has fewer
            codebooks or shorter segments, or has nothing of that split.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        split: str,
        seed: int,
        codec_hash: str | None = None,
        num_codebooks: int | None = None,
        num_samples: int | None = None,
        crop_frames: int | None = None,
        lower_case: bool = False,
        attributes: Mapping[str, str] | None = None,
        fixed: bool = False,
    ) -> None:
        self.folder = Path(folder)
        self._stored = read_header(self.folder)
        _require_usable(self._stored, self.folder, codec_hash, num_codebooks)
        _require_long(self._stored, self.folder, crop_frames)
        self.num_frames = crop_frames or int(self._stored["segment_frames"])
        self.header = self._stored | {"segment_frames": self.num_frames}
        self.num_codebooks = num_codebooks or int(self.header["num_codebooks"])
        items = list(read_items(self.folder, self.header["num_shards"]))
        self._num_rows = Counter(shard for shard, _, _ in items)
        self.rows = [
            (shard, row, item["frames"], item["captions"], item.get("labels") or {})
            for shard, row, item in items
            if item["split"] == split
        ]
        if not self.rows:
            raise TokenError(
                f'{self.folder}: no item has split "{split}"; check the manifest it was made from'
            )
        silent = sum(bool(item.get("silent")) and item["split"] == split for _, _, item in items)
        if silent:
            log.warning("%s: %d of %d segments are silence", self.folder, silent, len(self.rows))
        self.num_samples = num_samples or len(self.rows)
        self.seed = seed
        self.lower_case = lower_case
        self.attributes = dict(attributes or {})
        require_labels([labels for *_, labels in self.rows], self.attributes)
        self.fixed = fixed
        self._shards: dict[int, np.ndarray] = {}
        for shard in range(self.header["num_shards"]):  # hours into training is late to find out
            self._shard(shard)

    def __len__(self) -> int:
        return self.num_samples

    def __getitem__(self, index: int) -> dict[str, Any]:
        count = len(self.rows)
        chosen = index % count if self.fixed else nth_of_pass(index, count=count, seed=self.seed)
        shard, row, frames, captions, labels = self.rows[chosen]
        codes = self._shard(shard)[row, : self.num_codebooks].astype(np.int64)
        size = self.header["codebook_size"]
        if codes.max() >= size or frames > codes.shape[1]:
            raise TokenError(
                f"{codes_path(self.folder, shard)}: row {row} is damaged: its codes reach "
                f"{codes.max()} and {frames} frames, codebooks have {size} codes and rows "
                f"{codes.shape[1]} frames; {AGAIN}"
            )
        caption = pick_caption(captions, seed=self.seed, item=index, first=self.fixed)
        begin = self._begin(frames, index)
        return {
            "codes": torch.from_numpy(codes[:, begin : begin + self.num_frames]),
            "frames": min(frames - begin, self.num_frames),
            "caption": as_said(
                caption, labels, attributes=self.attributes, lower_case=self.lower_case
            ),
            "index": index,
        }

    def _begin(self, frames: int, index: int) -> int:
        """First frame that an item shows of a sound of ``frames``."""
        spare = frames - self.num_frames
        if spare <= 0 or self.fixed:
            return 0
        generator = item_generator(seed=derive_seed(self.seed, "crop"), item=index)
        return int(torch.randint(spare + 1, (), generator=generator))

    def __getstate__(self) -> dict[str, Any]:
        # A memory map is pickled as the array it shows: workers open the files themselves.
        return self.__dict__ | {"_shards": {}}

    def _shard(self, shard: int) -> np.ndarray:
        if shard not in self._shards:
            if len(self._shards) >= _MAX_OPEN:
                self._shards.clear()
            rows = self._num_rows[shard]
            self._shards[shard] = open_codes(self.folder, shard, rows=rows, header=self._stored)
        return self._shards[shard]


def collate_tokens(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Stack items of a `TokenDataset`.

    Returns:
        codes int64 [B, K, T]; code_mask bool [B, K, T], false behind the end of a sound; captions
        list[Caption]; index int64 [B].
    """
    codes: Tensor = torch.stack([item["codes"] for item in items])
    frames = torch.tensor([item["frames"] for item in items])
    mask = torch.arange(codes.shape[-1]) < frames[:, None, None]
    return {
        "codes": codes,
        "code_mask": mask.expand_as(codes).contiguous(),
        "captions": [item["caption"] for item in items],
        "index": torch.tensor([item["index"] for item in items]),
    }


def _require_long(header: Mapping[str, Any], folder: Path, crop_frames: int | None) -> None:
    if crop_frames is not None and not 1 <= crop_frames <= header["segment_frames"]:
        raise TokenError(
            f"{folder}: its segments have {header['segment_frames']} frames, asked for crops of "
            f"{crop_frames}: choose fewer, or encode longer segments"
        )


def _require_usable(
    header: Mapping[str, Any], folder: Path, codec_hash: str | None, num_codebooks: int | None
) -> None:
    if not header.get("complete"):
        raise TokenError(f"{folder}: encoding was interrupted; run it again, it will go on")
    if codec_hash not in (None, header["codec_hash"]):
        raise TokenError(
            f"{folder}: its codes are of codec {header['codec_hash']}, the model's codec is "
            f"{codec_hash}, to which they mean nothing; encode the manifest again with this codec "
            "into another folder: python scripts/encode_tokens.py"
        )
    if num_codebooks is not None and not 1 <= num_codebooks <= header["num_codebooks"]:
        raise TokenError(
            f"{folder}: has {header['num_codebooks']} codebooks, asked for {num_codebooks}"
        )
