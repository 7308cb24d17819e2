"""Where the words of a text tower are: files of a tokenizer, which no package brings.

They are two small files of a Hugging Face repository, vocab.json and merges.txt, or its
tokenizer.json. They are looked for in a folder of its name beside the weights, in the model folder
itself, and in the hub's own cache; nothing is downloaded.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

from evaluation.embedders.weight_file import WeightsError

FILES = (("tokenizer.json",), ("vocab.json", "merges.txt"))  # either set is enough


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """The tokenizer of a text tower."""

    tower: str  # as errors call it
    folder: str
    repositories: tuple[str, str]  # one and the same: by its old name, and with its owner


def find_words(
    words: Words,
    weights: Path | None,
    given: Path | None = None,
    *,
    cached: Callable[[], list[Path]],
) -> Path:
    """Return the folder of a tokenizer's files.

    Args:
        words: whose.
        weights: file or folder of the network's weights.
        given: where the caller says they are; nothing else is looked at then.
        cached: gives the folders of the hub's cache.

    Raises:
        WeightsError: if they are in none of the places, which are named.
    """
    places = [given] if given else []
    if given is None and weights is not None:
        places = [weights, weights / words.folder] if weights.is_dir() else []
        places.append(weights.parent / words.folder)
    for place in places if given else [*places, *cached()]:
        if any(all((place / name).is_file() for name in names) for names in FILES):
            return place
    tried = ", ".join(str(place) for place in places)
    raise WeightsError(
        f"{words.tower} needs the tokenizer of {words.folder}, which is neither in "
        f"{tried or 'any'} nor in the hub's cache: put vocab.json and merges.txt of "
        f"https://huggingface.co/{words.repositories[1]} into "
        f"{places[-1] if places else words.folder}"
    )


def cached_folders(words: Words) -> list[Path]:
    """Return the folders of the hub's cache on this machine; nobody is asked for others."""
    found = []
    for repository in words.repositories:
        try:
            found.append(Path(snapshot_download(repository, local_files_only=True)))
        except (LocalEntryNotFoundError, HFValidationError, OSError):
            continue
    return found
