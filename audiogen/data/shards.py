"""Folders of codes on disk: written shard by shard, each whole or not at all.

A folder holds ``tokens.json`` (what the codes are), and per shard ``codes-00000.npy`` (uint16
[n, K, T], read through memory mapping) and ``items-00000.jsonl`` (one line per row of it: id,
captions, frames, split, labels, licence, source, and "silent" where there is no sound in it). A
shard exists once its items do. What could not be read is in ``skipped.jsonl``.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from audiogen.data.manifest import write_json_lines
from audiogen.files import remove_unfinished, replacing

log = logging.getLogger(__name__)

FORMAT = {"format": "audiogen-tokens", "version": 1}
HEADER = "tokens.json"
COUNTS = ("num_codebooks", "codebook_size", "segment_frames", "num_shards")  # the last when done


ITEM = {"captions", "frames", "split"}  # without which a line is no item
AGAIN = "delete the folder and encode again"


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
            _require_same(read_header(self.folder), self.facts, self.folder)
        else:
            if self.folder.is_dir() and any(self.folder.glob("codes-*.npy")):
                raise TokenError(f"{self.folder}: has codes but no {HEADER}; delete the folder")
            self._write_header(complete=False)
        remove_unfinished(self.folder)

    def has(self, shard: int) -> bool:
        """Whether a shard was finished, by this writer or one before."""
        return _items_path(self.folder, shard).exists()

    def write(
        self,
        shard: int,
        codes: np.ndarray,
        items: Sequence[Mapping[str, Any]],
        *,
        skipped: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Write one shard.

        Args:
            shard: its number.
            codes: uint16 [n, K, T].
            items: n lines about them.
            skipped: lines about what could not be encoded, with a reason each.
        """
        shape = (len(items), self.facts["num_codebooks"], self.facts["segment_frames"])
        if codes.shape != shape or codes.dtype != np.uint16:
            raise TokenError(f"expected codes uint16 {shape}, got {codes.dtype} {codes.shape}")
        with replacing(codes_path(self.folder, shard)) as temporary, temporary.open("wb") as file:
            np.save(file, codes, allow_pickle=False)
        write_json_lines(_skipped_path(self.folder, shard), skipped)
        write_json_lines(_items_path(self.folder, shard), items)

    def finish(self, *, num_shards: int) -> None:
        """Mark the folder complete, from when on it can be read.

        Raises:
            TokenError: if nothing at all was written.
        """
        skipped = "".join(
            _skipped_path(self.folder, n).read_text("utf-8") for n in range(num_shards)
        )
        counts = {
            "num_items": sum(1 for _ in read_items(self.folder, num_shards)),
            "num_skipped": skipped.count("\n"),
        }
        if not counts["num_items"]:
            self._forget(num_shards)
            raise TokenError(
                f"{self.folder}: none of {counts['num_skipped']} clips could be read; the first: "
                f"{json.loads(skipped.splitlines()[0])['reason']}"
            )
        with replacing(self.folder / "skipped.jsonl") as temporary:
            temporary.write_text(skipped, encoding="utf-8", newline="\n")
        if counts["num_skipped"]:
            log.warning(
                "%s: %d clips left out, see skipped.jsonl", self.folder, counts["num_skipped"]
            )
        self._write_header(complete=True, num_shards=num_shards, **counts)

    def _forget(self, num_shards: int) -> None:
        # Perhaps a disk was not there: the next run shall look again.
        for name in (_items_path, codes_path, _skipped_path):
            for shard in range(num_shards):
                name(self.folder, shard).unlink()

    def _write_header(self, **state: Any) -> None:
        with replacing(self.folder / HEADER) as temporary:
            temporary.write_text(json.dumps(self.facts | state, indent=1) + "\n", encoding="utf-8")


def read_header(folder: Path) -> dict[str, Any]:
    """Return the facts of a folder of codes; raises TokenError if it is none."""
    try:
        header = json.loads((folder / HEADER).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TokenError(
            f"{folder}: no readable {HEADER} ({error}); encode a manifest into this folder with "
            "python scripts/encode_tokens.py"
        ) from error
    found = {key: header.get(key) for key in FORMAT} if isinstance(header, dict) else header
    if found != FORMAT:
        raise TokenError(f"{folder / HEADER}: expected {FORMAT}, got {found}; encode it again")
    numbers = COUNTS if header.get("complete") else COUNTS[:-1]
    wrong = [key for key in numbers if type(header.get(key)) is not int or header[key] < 1]
    if wrong or not isinstance(header.get("codec_hash"), str):
        raise TokenError(
            f"{folder / HEADER}: damaged: {wrong[0] if wrong else 'codec_hash'} is missing or "
            f"wrong; {AGAIN}"
        )
    return header


def read_items(folder: Path, num_shards: int) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Yield (shard, row, item) of everything written; raises TokenError for a missing shard."""
    for shard in range(num_shards):
        path = _items_path(folder, shard)
        if not (path.exists() and codes_path(folder, shard).exists()):
            raise TokenError(f"{folder}: shard {shard} of {num_shards} is missing; encode again")
        for row, line in enumerate(path.read_text(encoding="utf-8").split("\n")[:-1]):
            try:
                yield shard, row, _item(line)
            except ValueError as error:
                raise TokenError(f"{path}:{row + 1}: damaged ({error}); {AGAIN}") from error


def _item(line: str) -> dict[str, Any]:
    item = json.loads(line)
    captions = item["captions"] if isinstance(item, dict) and item.keys() >= ITEM else None
    if not isinstance(captions, list) or type(item["frames"]) is not int or item["frames"] < 1:
        raise ValueError(f"expected an object with {', '.join(sorted(ITEM))}, got {line:.80}")
    return item


def open_codes(folder: Path, shard: int, *, rows: int, header: Mapping[str, Any]) -> np.ndarray:
    """Map the codes of a shard into memory, uint16 [rows, K, T]; nothing is read yet.

    Raises:
        TokenError: if the file is damaged, or is not of this header and number of rows.
    """
    path = codes_path(folder, shard)
    try:
        codes = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise TokenError(f"{path}: damaged ({error}); {AGAIN}") from error
    shape = (rows, header["num_codebooks"], header["segment_frames"])
    if codes.shape != shape or codes.dtype != np.uint16:
        raise TokenError(
            f"{path}: expected codes uint16 {shape}, got {codes.dtype} {codes.shape}; {AGAIN}"
        )
    return codes


def _require_same(found: Mapping[str, Any], facts: Mapping[str, Any], folder: Path) -> None:
    for key, own in facts.items():
        if found.get(key) != own:
            raise TokenError(
                f"{folder}: was begun with {key} {found.get(key)}, now {key} is {own}; choose "
                "another folder, or delete this one"
            )


def codes_path(folder: Path, shard: int) -> Path:
    """Where the codes of a shard are."""
    return folder / f"codes-{shard:05d}.npy"


def _items_path(folder: Path, shard: int) -> Path:
    return folder / f"items-{shard:05d}.jsonl"


def _skipped_path(folder: Path, shard: int) -> Path:
    return folder / f"skipped-{shard:05d}.jsonl"
