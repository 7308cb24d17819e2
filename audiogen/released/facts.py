"""What a published model is, in the words of our config.json, without building it."""

from typing import Any

from audiogen.model_folder.card import check_card
from audiogen.model_folder.hub import CODEC_FILE
from audiogen.model_folder.known import licence_of, sha256_of
from audiogen.released.lm_load import LMFile

UNKNOWN_LICENCE = (
    "not stated in the file (what Meta publishes is CC-BY-NC-4.0): ask the author before you use "
    "its sounds"
)


def model_config(file: LMFile) -> dict[str, Any]:
    """Return the like of a config.json, but for hashes, which take reading every byte."""
    return {
        "format": "released",
        "codec": {"sample_rate": file.config.sample_rate, "channels": file.config.channels},
        "lm": file.keywords,
        "text": {"_type": "t5", **file.config.text},
        "max_duration": file.config.max_duration,
        "card": card_of(file),
    }


def hashed_config(file: LMFile) -> dict[str, Any]:
    """Return `model_config` with size and sha256 of the file and of the codec's beside it."""
    places = (file.path, file.path.parent / CODEC_FILE)
    files = {
        place.name: {"bytes": place.stat().st_size, "sha256": sha256_of(place)}
        for place in places
        if place.is_file()
    }
    return {**model_config(file), "files": files}


def author_of(version: object) -> str:
    """Say who wrote a published file; ``version`` is None where it says nothing."""
    if version is None:
        return "of an unnamed author"
    return f"by {version}" if written_by_us(version) else f"by AudioCraft {version}"


def written_by_us(version: object) -> bool:
    """Tell whether `export_released` wrote a file."""
    return str(version).startswith("audiogen ")


def card_of(file: LMFile) -> dict[str, object]:
    """Return the model card: what an export of ours noted, or what is known of the publisher."""
    if file.config.card:
        return check_card(file.config.card)
    if written_by_us(file.package.get("version")):
        return check_card(None)
    found = licence_of(file.path)
    if found is None:
        return check_card({"licence": UNKNOWN_LICENCE})
    return check_card({"name": found[0], "licence": found[1]})
