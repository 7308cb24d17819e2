"""Sounds as codes: shards written by `audiogen.encode`, and the data set the language model reads.

A folder holds ``tokens.json`` (what the codes are), and per shard ``codes-00000.npy`` (uint16
[n, K, T], read through memory mapping) and ``items-00000.jsonl`` (one line per row of it: id,
captions, frames, split, labels, licence, source). A shard exists once its items do.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from audiogen.data.manifest import write_json_lines
from audiogen.data.sampler import nth_of_pass
from audiogen.files import remove_unfinished, replacing
from audiogen.rng import item_generator

FORMAT = {"format": "audiogen-tokens", "version": 1}
HEADER = "tokens.json"
_MAX_OPEN = 256  # memory maps; each holds a file descriptor, of which a process may have 1024


class TokenError(ValueError):
    """A folder of codes that cannot be used; the message says which, why, and what to do."""


class TokenShardWriter:
    """Write numbered shards of codes into a folder, each whole or not at all.

    Args:
        folder: made if missing. One that belongs to other ``facts`` is refused.
        facts: what the codes depend on: codec_hash, manifest_hash, sample_rate (Hz), frame_rate
            (Hz), num_codebooks, codebook_size, segment_frames, and whatever else the caller adds.

    Raises:
        TokenError: if the folder was begun with other facts, or holds something else.
    """

    def __init__(self, folder: str | Path, *, facts: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        self.facts = FORMAT | dict(facts)
        if facts["codebook_size"] > 2**16:
            raise TokenError(f"codes are stored in 16 bits; {facts['codebook_size']} do not fit")
        if (self.folder / HEADER).exists():
            _require_same(_read_header(self.folder), self.facts, self.folder)
        else:
            if self.folder.is_dir() and any(self.folder.glob("codes-*.npy")):
                raise TokenError(f"{self.folder}: has codes but no {HEADER}; delete the folder")
            self._write_header(complete=False)
        remove_unfinished(self.folder)

    def has(self, shard: int) -> bool:
        """Whether a shard was finished, by this writer or one before."""
        return _items_path(self.folder, shard).exists()

    def write(self, shard: int, codes: np.ndarray, items: Sequence[Mapping[str, Any]]) -> None:
        """Write one shard: codes uint16 [n, K, T] and n lines about them."""
        shape = (len(items), self.facts["num_codebooks"], self.facts["segment_frames"])
        if codes.shape != shape or codes.dtype != np.uint16:
            raise TokenError(f"expected codes uint16 {shape}, got {codes.dtype} {codes.shape}")
        path = _codes_path(self.folder, shard)
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.save(file, codes, allow_pickle=False)
        write_json_lines(_items_path(self.folder, shard), items)

    def finish(self, *, num_shards: int) -> None:
        """Mark the folder complete, from when on it can be read."""
        self._write_header(complete=True, num_shards=num_shards)

    def _write_header(self, **state: Any) -> None:
        with replacing(self.folder / HEADER) as temporary:
            temporary.write_text(json.dumps(self.facts | state, indent=1) + "\n", encoding="utf-8")


class TokenDataset(Dataset[dict[str, Any]]):
    """Codes and captions of one split of a folder.

    Item ``i`` is the *global* sample number, which grows from epoch to epoch (`EpochSampler`):
    which segment it is, and which of its captions it has, are a pure function of (seed, i).

    Args:
        folder: written by `audiogen.encode.encode_manifest`.
        split: "train", "valid" or "test".
        seed: of order and captions.
        codec_hash: the fingerprint of the codec the model will decode with; None does not check.
        num_codebooks: reads only the first ones; None reads all.
        num_samples: items per epoch; None means one per segment.
        fixed: for validation: segments in order, each with its first caption.

    Items are ``{"codes": int64 [K, T], "frames": int, "caption": str | None, "index": int}``;
    codes behind ``frames`` are 0.

    Raises:
        TokenError: if the folder is not complete, is of another codec, has fewer codebooks, or
            has nothing of that split.
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
        fixed: bool = False,
    ) -> None:
        self.folder = Path(folder)
        self.header = _read_header(self.folder)
        _require_usable(self.header, self.folder, codec_hash, num_codebooks)
        self.num_codebooks = num_codebooks or int(self.header["num_codebooks"])
        self.items = [item for item in _read_items(self.folder, self.header) if item[2] == split]
        if not self.items:
            raise TokenError(
                f'{self.folder}: no item has split "{split}"; check the manifest it was made from'
            )
        self.num_samples = num_samples or len(self.items)
        self.seed = seed
        self.fixed = fixed
        self._shards: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return self.num_samples

    def __getitem__(self, index: int) -> dict[str, Any]:
        count = len(self.items)
        chosen = index % count if self.fixed else nth_of_pass(index, count=count, seed=self.seed)
        shard, row, _, item = self.items[chosen]
        codes = self._shard(shard)[row, : self.num_codebooks].astype(np.int64)
        caption = self._caption(item["captions"], index)
        return {
            "codes": torch.from_numpy(codes),
            "frames": int(item["frames"]),
            "caption": caption,
            "index": index,
        }

    def __getstate__(self) -> dict[str, Any]:
        # A memory map is pickled as the array it shows: workers open the files themselves.
        return self.__dict__ | {"_shards": {}}

    def _caption(self, captions: Sequence[str], index: int) -> str | None:
        if not captions or self.fixed:
            return captions[0] if captions else None
        generator = item_generator(seed=self.seed, item=index)
        return captions[int(torch.randint(len(captions), (), generator=generator))]

    def _shard(self, shard: int) -> np.ndarray:
        if shard not in self._shards:
            if len(self._shards) >= _MAX_OPEN:
                self._shards.clear()
            self._shards[shard] = np.load(_codes_path(self.folder, shard), mmap_mode="r")
        return self._shards[shard]


def collate_tokens(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Stack items of a `TokenDataset`.

    Returns:
        codes int64 [B, K, T]; code_mask bool [B, K, T], false behind the end of a sound; captions
        list[str | None]; index int64 [B].
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


def _codes_path(folder: Path, shard: int) -> Path:
    return folder / f"codes-{shard:05d}.npy"


def _items_path(folder: Path, shard: int) -> Path:
    return folder / f"items-{shard:05d}.jsonl"


def _read_header(folder: Path) -> dict[str, Any]:
    try:
        header = json.loads((folder / HEADER).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TokenError(
            f"{folder}: no readable {HEADER} ({error}); encode a manifest into this folder with "
            "python scripts/encode_tokens.py"
        ) from error
    found = {key: header.get(key) for key in FORMAT}
    if found != FORMAT:
        raise TokenError(f"{folder / HEADER}: expected {FORMAT}, got {found}; encode it again")
    return header


def _read_items(folder: Path, header: Mapping[str, Any]) -> Iterator[tuple[int, int, str, dict]]:
    """Yield (shard, row, split, item)."""
    for shard in range(header["num_shards"]):
        path = _items_path(folder, shard)
        if not (path.exists() and _codes_path(folder, shard).exists()):
            raise TokenError(f"{folder}: shard {shard} of {header['num_shards']} is missing")
        for row, line in enumerate(path.read_text(encoding="utf-8").split("\n")[:-1]):
            item = json.loads(line)
            yield shard, row, item["split"], {key: item[key] for key in ("captions", "frames")}


def _require_same(found: Mapping[str, Any], facts: Mapping[str, Any], folder: Path) -> None:
    for key, own in facts.items():
        if found.get(key) != own:
            raise TokenError(
                f"{folder}: was begun with {key} {found.get(key)}, now {key} is {own}; choose "
                "another folder, or delete this one"
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
