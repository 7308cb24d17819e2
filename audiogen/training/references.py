"""The validation clips that generated ones are held against: written once, the same ever after."""

import csv
import hashlib
import io
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiogen.audio import write_audio
from audiogen.codec.model import Codec
from audiogen.files import replacing
from audiogen.text.captions import DESCRIPTION, attributes
from evaluation.folders import shorten

log = logging.getLogger(__name__)

FACTS = {"length", "sha256"}  # of a file that was written: samples, and its content


class References:
    """Sounds and captions of the first validation items, as files.

    What a stopped or resumed training finds is kept: the bytes of a reference, of which its
    features are known, do not depend on where its codes were decoded last. A file that is not as
    it was written, as one that was cut short or replaced, is written anew.
    """

    def __init__(
        self, root: Path, batch: Mapping[str, Any], codec: Codec, *, device: torch.device
    ) -> None:
        """Write what is not there yet, or not as it was written.

        Args:
            root: folder; sounds go into ``reference``, captions beside it.
            batch: items as a collate function gives them, with waveforms or with codes.
            codec: decodes codes.
            device: where it is.
        """
        self.batch = batch
        self.folder = root / "reference"
        self.captions = root / "captions.csv"
        self.seconds = _seconds(batch, codec)
        self.names = [f"{i:05d}.wav" for i in range(len(batch["captions"]))]
        note = root / "reference.json"
        identity = _identity(batch, codec)
        known = _read(note, identity)
        changed = [name for name in self.names if not self._is_kept(name, known)]
        if changed:
            if known:
                log.warning(
                    "scores: references in %s were not as they were written, and are written "
                    "anew: %s",
                    self.folder,
                    shorten(changed),
                )
            known |= self._write(changed, _sounds(batch, codec, device), codec.sample_rate)
            text = json.dumps({"identity": identity, "files": known}) + "\n"
            with replacing(note) as path:
                path.write_text(text, encoding="utf-8")
        self._write_captions()
        self._remove_others()
        self.lengths: dict[str, int] = {name: known[name]["length"] for name in self.names}

    def _is_kept(self, name: str, known: Mapping[str, Any]) -> bool:
        path = self.folder / name
        return name in known and path.is_file() and _sha256(path) == known[name]["sha256"]

    def _write(
        self, names: Sequence[str], sounds: Sequence[Tensor], sample_rate: int
    ) -> dict[str, dict[str, Any]]:
        """Write some of the sounds; return what is to be known of their files."""
        found = {}
        for name, sound in zip(self.names, sounds, strict=True):
            if name in names:
                path = self.folder / name
                write_audio(path, sound, sample_rate, clipping="clamp")
                found[name] = {"length": sound.shape[-1], "sha256": _sha256(path)}
        return found

    def _write_captions(self) -> None:
        text = io.StringIO(newline="")
        rows = csv.writer(text)
        rows.writerow(["file", "caption"])
        captions = [attributes(caption)[DESCRIPTION] for caption in self.batch["captions"]]
        rows.writerows(zip(self.names, captions, strict=True))
        content = text.getvalue().encode()
        if not self.captions.is_file() or self.captions.read_bytes() != content:
            with replacing(self.captions) as path:
                path.write_bytes(content)

    def _remove_others(self) -> None:
        for path in self.folder.glob("*.wav"):
            if path.name not in self.names:
                path.unlink()  # of other items


def with_captions(batch: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the items that have a description."""
    kept = [i for i, c in enumerate(batch["captions"]) if attributes(c).get(DESCRIPTION)]
    return {
        name: [values[i] for i in kept] if isinstance(values, list) else values[kept]
        for name, values in batch.items()
    }


def _identity(batch: Mapping[str, Any], codec: Codec) -> str:
    """Hash what the references are made of: of codes, the codec that decodes them is a part."""
    decoder = codec.fingerprint() if "codes" in batch else ""
    digest = hashlib.sha256(f"{codec.sample_rate}{decoder}".encode())
    for name in sorted(batch):
        values = batch[name]
        content = values.cpu().numpy().tobytes() if isinstance(values, Tensor) else repr(values)
        digest.update(name.encode())
        digest.update(content if isinstance(content, bytes) else content.encode())
    return digest.hexdigest()


def _read(path: Path, identity: str) -> dict[str, Any]:
    """Return what is known of the files of references of that identity; nothing of others."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict) or found.get("identity") != identity:
        return {}
    files = found.get("files")
    rows = files.items() if isinstance(files, dict) else ()
    return {n: row for n, row in rows if isinstance(row, dict) and row.keys() >= FACTS}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _seconds(batch: Mapping[str, Any], codec: Codec) -> float:
    """Return the length of the items, padding included."""
    if "waveform" in batch:
        return float(batch["waveform"].shape[-1] / codec.sample_rate)
    return float(batch["codes"].shape[-1] / codec.frame_rate)


def _sounds(batch: Mapping[str, Any], codec: Codec, device: torch.device) -> list[Tensor]:
    """Return float [C, t] per item, without the padding behind its end."""
    if "waveform" in batch:
        lengths = batch["num_samples"].tolist()
        return [sound[:, :n] for sound, n in zip(batch["waveform"], lengths, strict=True)]
    frames = batch["code_mask"][:, 0].sum(dim=-1).tolist()
    pairs = zip(batch["codes"], frames, strict=True)
    return [codec.decode(codes[None, :, :n].to(device))[0].cpu() for codes, n in pairs]
