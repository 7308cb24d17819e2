"""Which metrics of a card can be computed here, and why the others cannot."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from evaluation.catalog import METRICS, NETWORKS, check_metrics
from evaluation.protocols.card import ProtocolCard
from evaluation.weights.files import missing_reason, weights_path


@dataclass(frozen=True, kw_only=True, slots=True)
class Means:
    """What there is to compute with."""

    weights: Path | None  # folder of pretrained weights; None is the default one
    random_weights: bool  # networks do without them
    has_captions: bool
    option: str = "--weights"  # how the caller's user names that folder


def choose_metrics(
    card: ProtocolCard, wanted: Iterable[str] | None, means: Means
) -> tuple[list[str], dict[str, str]]:
    """Split metrics into those to compute and those that cannot be, with the reason.

    Args:
        card: the protocol.
        wanted: keys; None for all that the card lists.
        means: what there is to compute with.

    Raises:
        ValueError: if a metric that was asked for by name cannot be computed, for its absence
            from the report could be overlooked; or if no metric of the protocol's networks can
            be, for what is left is not the protocol.
    """
    keys, missing = split_metrics(card, wanted, means)
    if wanted is not None and missing:
        key, reason = next(iter(missing.items()))
        raise ValueError(f"{key} cannot be computed: {reason}")
    networks = [key for key in card.metrics if is_pretrained(key)]
    if wanted is None and networks and not set(networks) & set(keys):
        raise ValueError(_nothing_left(card, networks, missing, means))
    return keys, missing


def split_metrics(
    card: ProtocolCard, wanted: Iterable[str] | None, means: Means
) -> tuple[list[str], dict[str, str]]:
    """Split metrics into those that can be computed, and the others with their reasons."""
    keys = check_metrics(card.metrics if wanted is None else wanted)
    reasons = {key: why_not(key, card, means) for key in keys}
    missing = {key: reason for key, reason in reasons.items() if reason is not None}
    return [key for key in keys if key not in missing], missing


def is_pretrained(key: str) -> bool:
    """Tell whether a metric is made from a network that somebody trained."""
    network = METRICS[key].network
    return network is not None and NETWORKS[network].pretrained


def why_not(key: str, card: ProtocolCard, means: Means) -> str | None:
    """Say why a metric cannot be computed, with what to do about it; None if it can be."""
    info = METRICS[key]
    if key not in card.metrics:
        return f"protocol {card.name} does not define it; it has {', '.join(card.metrics)}"
    reasons = []
    if info.kind is not None:
        name = card.metrics[key]["features"]
        reasons += [_why_no_network(card.features[name], means), card.input_steps(name).missing()]
    if info.package is not None and find_spec(info.package) is None:
        reasons.append(f"it needs a package; {info.install}")
    if info.needs_captions and not means.has_captions:
        reasons.append("it needs --captions")
    return "; ".join(reason for reason in reasons if reason) or None


def _why_no_network(features: Mapping[str, Any], means: Means) -> str | None:
    """Say why the network of a card's features cannot be used; None if it can be."""
    if features["weights"] is None or means.random_weights:
        return None
    return missing_reason(features["weights"], means.weights, option=means.option)


def _nothing_left(
    card: ProtocolCard, networks: list[str], missing: Mapping[str, str], means: Means
) -> str:
    """Say what all metrics of a card's networks lack, in one line."""
    features = [card.features[card.metrics[key]["features"]] for key in networks]
    files = [entry["weights"] for entry in features if entry["weights"] is not None]
    absent = [file for file in dict.fromkeys(files) if missing_reason(file, means.weights)]
    if means.random_weights or not absent:
        reasons = "; ".join(f"{key}: {missing[key]}" for key in networks)
        return f"protocol {card.name} cannot be computed: {reasons}"
    folder = weights_path(absent[0], means.weights).parent
    where = "" if means.weights is None else f" --folder {means.weights}"
    return (
        f"protocol {card.name} cannot be computed: the weights of its networks are not in "
        f"{folder} ({', '.join(absent)}). Fetch them: python -m evaluation fetch --protocol "
        f"{card.name}{where}, or name another folder with {means.option}. To try the command "
        "without: --random-weights, whose scores say nothing; --protocol demo needs no network."
    )
