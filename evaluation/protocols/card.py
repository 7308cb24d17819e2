"""Protocol cards: everything that changes a number, in one small YAML file with a name.

A number means something beside another only if both were made under one card, so a report holds
the whole card and `compare` refuses two reports whose cards differ.
"""

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluation.catalog import nearest
from evaluation.protocols.strict_yaml import StrictYamlError, read_strict_json, read_strict_yaml

if TYPE_CHECKING:
    from evaluation.preparation.steps import Steps

FOLDER = Path(__file__).parent
SUFFIXES = (".yaml", ".yml", ".json")  # of cards


class ProtocolError(ValueError):
    """A card that cannot be used: which file and field, and what was expected."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bootstrap:
    """How confidence intervals are drawn: by resampling clips with replacement."""

    resamples: int
    confidence: float  # share in (0, 1)
    seed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ProtocolCard:
    """One published or own protocol. No field has a default: a card states every choice.

    A sound goes through it in this order: `generated` for the generated side alone, `length`, and
    then `input` for what is measured on waveforms, or the `input` of a network for its features.
    """

    name: str
    version: int
    description: str
    source: str
    min_duration: float  # seconds; pairs with a shorter reference are left out and listed
    silence: str  # "refuse" or "score"
    length: str  # "cut" the generated sound to its reference's, "keep" it, or refuse a mis-"match"
    resampler: str  # method of evaluation.preparation.resample, for metrics measured on waveforms
    input: Sequence[Any]  # steps, see evaluation.preparation; of metrics on waveforms
    generated: Sequence[Any]  # steps of the generated side, before everything else
    # name, clips, captions, sha256 of the sorted lines "youtube_id,start", null if that is unknown;
    # None is any set
    test_list: Mapping[str, Any] | None
    captions: str  # which are scored: "first", "all", "listed" by the test list, or "none"
    bootstrap: Bootstrap
    features: Mapping[str, Mapping[str, Any]]  # name -> network, weights, input, dtype, options
    metrics: Mapping[str, Mapping[str, Any]]  # key -> its options

    def to_dict(self) -> dict[str, Any]:
        """Return the card as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Any, *, where: str = "card") -> "ProtocolCard":
        """Build a card from what `to_dict` returned or a file holds.

        Args:
            content: JSON values.
            where: what errors call it: the file.

        Raises:
            ProtocolError: naming the field that is unknown, missing or wrong.
        """
        from evaluation.protocols.check import check_card  # it knows the steps, which need torch

        try:
            check_card(content)
        except ValueError as error:
            raise ProtocolError(f"{where}: {error}") from error
        content = copy.deepcopy(content)
        metrics = {key: dict(options or {}) for key, options in content["metrics"].items()}
        bootstrap = Bootstrap(**content["bootstrap"])
        return cls(**content | {"metrics": metrics, "bootstrap": bootstrap})

    def sha256(self) -> str:
        """Return the sha256 of the card's content.

        Comments, the order of fields, and how a number or a step is written do not matter.
        """
        from evaluation.preparation.steps import Steps

        content = self.to_dict()
        for part in (content, *content["features"].values()):
            part["input"] = Steps(part["input"]).canonical()
        content["generated"] = Steps(content["generated"]).canonical()
        return hashlib.sha256(
            json.dumps(plain_numbers(content), sort_keys=True).encode()
        ).hexdigest()

    def changed(self, path: str, value: Any) -> "ProtocolCard":
        """Return a copy with one value changed, and checked like a card from a file.

        Args:
            path: where, in dotted form: "metrics.kld_passt.epsilon", "generated.2.loudness.target"
                with the number of an entry of a list from 0. An option that is not there yet may
                be added to features and metrics.
            value: JSON values.

        Raises:
            ProtocolError: if there is no such place, or the changed card is not valid.
        """
        content = self.to_dict()
        *parents, last = path.split(".")
        place: Any = content
        for depth, word in enumerate(parents):
            place = _enter(place, word, ".".join(parents[:depth]) or "the card")
        if isinstance(place, list):
            _enter(place, last, ".".join(parents))
            place[int(last)] = value
        elif isinstance(place, dict) and (last in place or len(parents) > 1):
            place[last] = value
        else:
            raise ProtocolError(f"no {path!r} to change in the card.{nearest(last, content)}")
        return ProtocolCard.from_dict(content, where=f"card {self.name} with {path} = {value!r}")

    def generated_steps(self) -> "Steps":
        """Return the steps of the generated side."""
        from evaluation.preparation.steps import Steps

        return Steps(self.generated)

    def input_steps(self, features: str | None = None) -> "Steps":
        """Return the steps before a network of the card, or before metrics on waveforms."""
        from evaluation.preparation.steps import Steps

        return Steps(self.input if features is None else self.features[features]["input"])


def protocol_names() -> list[str]:
    """Return the names of the cards that ship with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def protocol_titles() -> dict[str, str]:
    """Return what the shipped cards say they are, by name, without reading all of them."""
    titles = {}
    for name in protocol_names():
        lines = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
        title = next(line for line in lines if line.startswith("description:"))
        titles[name] = title.partition(":")[2].strip()
    return titles


def card_path(name_or_path: str | Path) -> Path:
    """Return the file of a shipped card by name, or of any card by path (.yaml or .json).

    Raises:
        ProtocolError: if there is no such file, naming the nearest shipped card.
    """
    path, known = Path(name_or_path), protocol_names()
    is_path = path.suffix in SUFFIXES
    if is_path and path.is_file():
        return path
    if not is_path and str(name_or_path) in known:
        return FOLDER / f"{name_or_path}.yaml"
    said = f"no protocol {str(name_or_path)!r}."
    if is_path:
        said = f"no card {path}: there is no such file."
    elif path.exists() or len(path.parts) > 1:
        said = f"{path} is no card: the file of one ends in {', '.join(SUFFIXES)}."
    hint = nearest(path.stem if is_path else name_or_path, known)
    raise ProtocolError(f"{said}{hint} Known: {', '.join(known)}; or the path of a .yaml file.")


def load_protocol(name_or_path: str | Path) -> ProtocolCard:
    """Load a shipped card by name, or any card by path (.yaml or .json).

    Raises:
        ProtocolError: if there is no such card, one of its fields is unknown, missing or wrong, or
            it goes by name and version of a shipped card and is another one.
    """
    from evaluation.protocols.title import check_name

    path = card_path(name_or_path)
    try:
        text = path.read_text(encoding="utf-8")
        content = read_strict_json(text) if path.suffix == ".json" else read_strict_yaml(text)
    except UnicodeDecodeError as error:
        raise ProtocolError(f"{path}: not text: {' '.join(str(error).split())}") from error
    except StrictYamlError as error:
        raise ProtocolError(f"{path}: {error}") from error
    card = ProtocolCard.from_dict(content, where=str(path))
    check_name(content, where=str(path))
    return card


def _enter(place: Any, word: str, where: str) -> Any:
    """Step into a value by a word of a dotted path."""
    if isinstance(place, dict) and word in place:
        return place[word]
    if isinstance(place, list) and word.isdecimal() and int(word) < len(place):
        return place[int(word)]
    known = list(place) if isinstance(place, dict) else [str(i) for i in range(len(place or ()))]
    raise ProtocolError(f"no {word!r} in {where}.{nearest(word, known)} It has {', '.join(known)}.")


def plain_numbers(value: Any) -> Any:
    """Return nested values with -14.0 written as -14: they are one number."""
    if isinstance(value, dict):
        return {key: plain_numbers(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain_numbers(entry) for entry in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
