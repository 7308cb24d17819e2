"""Where the weights of each pretrained network come from, and whether they are in place.

Nothing is downloaded here: the files are third-party and large, and each has its own licence.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

DEFAULT_FOLDER = Path("~/.cache/audiogen/weights")


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """A pretrained network, the file with its weights, and where its authors publish that file."""

    name: str
    module: str  # the embedder that runs it
    file: str
    source: str


NETWORKS = {
    "vggish": Network(
        name="VGGish",
        module="evaluation.embedders.vggish",
        file="vggish-10086976.pth",
        source="release v0.1 of the GitHub repository harritaylor/torchvggish",
    ),
    "passt": Network(
        name="PaSST",
        module="evaluation.embedders.passt",
        file="passt-s-f128-p16-s10-ap.476-swa.pt",
        source="release v0.0.1-audioset of the GitHub repository kkoutini/PaSST",
    ),
    "clap": Network(
        name="CLAP",
        module="evaluation.embedders.clap",
        file="music_audioset_epoch_15_esc_90.14.pt",
        source="the Hugging Face repository lukewys/laion_clap",
    ),
}


def weights_path(network: str, folder: Path | None) -> Path:
    """Return where the weights of a network are expected to be.

    Args:
        network: key of `NETWORKS`.
        folder: the weights folder; None is `DEFAULT_FOLDER`.
    """
    return (folder or DEFAULT_FOLDER).expanduser() / NETWORKS[network].file


def missing_reason(network: str, folder: Path | None, *, option: str = "--weights") -> str | None:
    """Say why a network cannot be used, with what to do about it; None if it can be.

    Args:
        network: key of `NETWORKS`.
        folder: the weights folder; None is `DEFAULT_FOLDER`.
        option: how the caller's user names another folder.
    """
    entry, path = NETWORKS[network], weights_path(network, folder)
    if find_spec(entry.module) is None:  # weights would not help
        return f"this version has no {entry.name} embedder"
    if path.is_file():
        return None
    return (
        f"weights missing: put {entry.file} from {entry.source} into {path.parent}, or name "
        f"another folder with {option}"
    )
