"""What the text encoders that are an outside download have in common."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from audiogen.text.captions import Caption
from audiogen.text.folders import (
    content_of,
    find_folder,
    first_line,
    here,
    lacks,
    not_delivered,
    unreadable,
)

MISTAKES = (OSError, ValueError, TypeError, KeyError, ImportError, RuntimeError, UnpicklingError)


class PretrainedEncoder(nn.Module):
    """Frozen network in float32, whatever the precision of the model around it.

    Its weights are an outside download: they are not part of ``state_dict()`` or
    ``parameters()``, so they are neither saved nor trained. Moving the module moves them;
    casting it does not cast them, and ``train()`` does not bring dropout back.

    Args:
        config: "_type" and the keywords that rebuild it, but for ``name``.
        name: a local folder as transformers' save_pretrained writes it, or a hub id.
        dim: the width its states should have; None takes what it has.
        lazy: read the weights when the first caption arrives. What can be found out without a
            network and without reading them is checked at once all the same.

    Raises:
        TextEncoderError: if the weights or the tokenizer cannot be read.
        ValueError: if the states have another width than ``dim``.
    """

    trainable = False
    kind: ClassVar[str]  # in messages
    example: ClassVar[str]  # a hub id
    network_class: ClassVar[str]  # of transformers
    known: ClassVar[Mapping[str, int]]  # width by hub id

    beside = False  # whether it lay in the folder of its model, with which it is then saved

    def __init__(
        self, config: Mapping[str, Any], *, name: str, dim: int | None, lazy: bool
    ) -> None:
        super().__init__()
        self.name = str(name)
        self.config = {"_type": config["_type"], "name": self.name, **config}
        self.device = torch.device("cpu")
        self._loaded: tuple[Any, Any] | None = None
        self.dim: int = self._agreed(dim, self._stated_width())
        if lazy and self.dim:
            self._check_within_reach()
        else:
            self.load()

    @property
    def tokenizer(self) -> Any:
        """The tokenizer, loaded if need be."""
        return self.load()[0]

    @property
    def network(self) -> Any:
        """The frozen network, loaded if need be."""
        return self.load()[1]

    @property
    def is_loaded(self) -> bool:
        """Whether the weights are in memory."""
        return self._loaded is not None

    def load(self) -> tuple[Any, Any]:
        """Return tokenizer and network, read the first time, on the module's device."""
        if self._loaded is None:
            folder = self.find()
            self._check_whole(folder)
            tokenizer, network = self._read(folder)
            self.dim = self._agreed(self.dim or None, self._width(network.config.to_dict()))
            self._loaded = tokenizer, network.eval().requires_grad_(False).to(self.device)
        return self._loaded

    def find(self) -> Path:
        """Return the folder it is read from; what only the hub has is asked for, and fetched.

        Raises:
            TextEncoderError: if there is none.
        """
        return find_folder(self.name, kind=self.kind, example=self.example)

    def identity(self) -> str:
        """Hash what decides its states: keywords, weights, tokenizer; 64 hex digits, no place."""
        folder = self.find()
        keywords = {key: value for key, value in self.config.items() if key != "name"}
        text = json.dumps([keywords, content_of(folder)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self.device = fn(torch.empty(0, device=self.device)).device
        if self._loaded is not None:
            self._loaded[1].to(self.device)
        return super()._apply(fn, recurse)

    def encode(self, captions: Sequence[Caption]) -> tuple[Tensor, Tensor]:
        """Encode captions as `audiogen.text.TextEncoder.encode` says."""
        raise NotImplementedError

    def forward(self, captions: Sequence[Caption]) -> tuple[Tensor, Tensor]:
        """Do what `encode` does."""
        return self.encode(captions)

    def _width(self, config: Mapping[str, Any]) -> int | None:
        """Return the width of the states from the network's config.json."""
        raise NotImplementedError

    def _how(self, folder: Path) -> dict[str, Any]:
        """Return further keywords to read the network of a folder by."""
        return {}

    def _stated_width(self) -> int | None:
        """Return the width as far as it is known without loading anything."""
        folder = Path(self.name).expanduser()
        if not folder.is_dir():
            return self.known.get(self.name)
        try:
            return self._width(json.loads((folder / "config.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, AttributeError):
            return None  # what is wrong with it is said when it is loaded

    def _agreed(self, asked: int | None, found: int | None) -> int:
        if asked and found and asked != found:
            raise ValueError(
                f"{self.kind} {self.name} gives states of width {found}, asked for is {asked}: "
                f"set text_dim={found}, or take another encoder"
            )
        return asked or found or 0

    def _check_within_reach(self) -> None:
        folder = here(self.name, kind=self.kind, example=self.example)
        if folder is None:
            from huggingface_hub import constants

            if constants.HF_HUB_OFFLINE:
                raise not_delivered(self.name, self.kind, "HF_HUB_OFFLINE is set")
        else:
            self._check_whole(folder)

    def _check_whole(self, folder: Path) -> None:
        missing = lacks(folder)
        if missing:
            raise unreadable(folder, self.kind, missing)

    def _read(self, folder: Path) -> tuple[Any, Any]:
        """Read tokenizer and network with transformers; a tensor that is missing is an error.

        Transformers would draw it, and random states look like any others.
        """
        import transformers  # here, as it takes seconds and only these encoders need it
        from safetensors import SafetensorError

        make = getattr(transformers, self.network_class).from_pretrained
        try:
            with quiet():
                tokenizer = transformers.AutoTokenizer.from_pretrained(
                    folder, local_files_only=True
                )
                network, report = make(
                    folder,
                    local_files_only=True,
                    dtype=torch.float32,
                    output_loading_info=True,
                    **self._how(folder),
                )
        except (*MISTAKES, SafetensorError) as error:
            raise unreadable(folder, self.kind, first_line(error)) from error
        missing = sorted(report["missing_keys"])
        if missing:
            shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
            raise unreadable(folder, self.kind, f"{len(missing)} tensors are missing: {shown}")
        return tokenizer, network


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from listing tensors of halves that are not used, and from its bars."""
    from transformers import logging

    said, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(said)
        if bars:
            logging.enable_progress_bar()


def encodable(text: str) -> str:
    """Replace lone surrogates, which no tokenizer can encode."""
    return text.encode("utf-8", "replace").decode("utf-8")


def pad(
    rows: Sequence[Sequence[int]], *, value: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Pad token ids on the right: int64 [B, L], and bool [B, L], true where they are real."""
    counts = torch.tensor([len(row) for row in rows], device=device)
    length = max(map(len, rows))
    ids = torch.tensor([[*row, *[value] * (length - len(row))] for row in rows], device=device)
    return ids, torch.arange(length, device=device) < counts[:, None]
