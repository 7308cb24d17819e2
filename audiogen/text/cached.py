"""Text states that are computed once and then read from disk."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from audiogen.text import TextEncoder
from audiogen.text.captions import Caption, descriptions
from audiogen.text.pretrained import PretrainedEncoder
from audiogen.text.state_file import StateFile


class CachedEncoder(nn.Module):
    """A frozen encoder whose states are computed once per caption, by whichever process is first.

    A caption is computed on its own, so that its states do not depend on which others it met
    first: they are those of ``encoder.encode([caption])``, bit by bit in float32. In float16 a
    value is off by at most 2**-11 (0.05 %) of itself, or by 2**-25 if it is smaller than 6e-5.
    When all captions of a call are there, the weights are not even loaded.

    The folder has one file per encoder, named by its content (weights, tokenizer, keywords): no
    encoder reads states of another, wherever its folder has moved to. It grows by 4 D bytes per
    token of a new caption and never shrinks; delete files that are not used any more. Captions
    that hardly ever come again, such as those of word dropout, fill a disk for nothing.

    Args:
        encoder: frozen and pretrained; model folders name it, not this.
        folder: of the files; any number of processes may share it.
        dtype: "float32" or "float16".
    """

    trainable = False

    def __init__(
        self, encoder: PretrainedEncoder, *, folder: str | Path, dtype: str = "float32"
    ) -> None:
        super().__init__()
        if not isinstance(encoder, PretrainedEncoder):
            raise ValueError(
                f"only a frozen, pretrained encoder has states to keep, got "
                f"{type(encoder).__name__}: wrap the T5 or CLAP inside it, or set cache=null"
            )
        self.encoder = encoder
        self.folder = Path(folder).expanduser()
        self.dim = encoder.dim
        self.config: dict[str, Any] = encoder.config
        self.dtype = dtype
        self._file: StateFile | None = None
        StateFile(self.folder, dtype=dtype)  # hours later is too late to refuse a dtype

    @property
    def file(self) -> StateFile:
        """The file of this encoder; the first call reads the whole of its weights to name it."""
        if self._file is None:
            label = "".join(c if c.isalnum() or c in "-_" else "-" for c in Path(self.name).name)
            name = f"{label[:40]}-{self.encoder.identity()[:16]}-{self.dtype}.sqlite"
            self._file = StateFile(self.folder / name, dtype=self.dtype)
        return self._file

    @property
    def name(self) -> str:
        """Folder or hub id of the encoder."""
        return self.encoder.name

    @torch.no_grad()
    def encode(self, captions: Sequence[Caption]) -> tuple[Tensor, Tensor]:
        """Encode captions as `audiogen.text.TextEncoder.encode` says, in float32."""
        texts = descriptions(captions)
        keys = {text: _key(text) for text in texts if text}
        found = self.file.read(list(keys.values())) if keys else {}
        missing = {key: self._compute(text) for text, key in keys.items() if key not in found}
        if missing:
            self.file.write(missing)
        known = found | missing
        nothing = torch.zeros(0, self.dim)
        rows = [known[keys[text]] if text else nothing for text in texts]
        return self._padded(rows)

    def forward(self, captions: Sequence[Caption]) -> tuple[Tensor, Tensor]:
        """Do what `encode` does."""
        return self.encode(captions)

    def _compute(self, text: str) -> Tensor:
        """Return the states of a caption, float32 [L, D] on the CPU, as they will be read."""
        states, mask = self.encoder.encode([text])
        return self.file.rounded(states[mask])

    def _padded(self, rows: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Join states [L, D] to [B, L, D], with their mask, on the encoder's device."""
        counts = torch.tensor([len(row) for row in rows])
        length = max(1, int(counts.max()))
        rows = [*rows, torch.zeros(length, self.dim)]  # there is always a position
        states = pad_sequence(rows, batch_first=True)[:-1]
        mask = torch.arange(length) < counts[:, None]
        return states.to(self.encoder.device), mask.to(self.encoder.device)


def with_cache(
    encoder: PretrainedEncoder, *, cache: str | Path | None, cache_dtype: str = "float32"
) -> TextEncoder:
    """Return ``encoder``, its states kept in the folder ``cache`` if that is not None."""
    if cache is None:
        return encoder
    return CachedEncoder(encoder, folder=cache, dtype=cache_dtype)


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
