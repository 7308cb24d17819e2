"""Whether sounds could be scored, asked before they are made: networks are loaded and tested."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from evaluation.protocols.card import ProtocolCard, load_protocol
from evaluation.settings import Settings

__all__ = ["check_networks", "missing_lines"]


def check_networks(
    protocol: str | Path | ProtocolCard,
    metrics: Iterable[str],
    *,
    weights: str | Path | None = None,
    random_weights: bool = False,
    device: str = "cpu",
    dtype: str | None = None,
) -> None:
    """Load the networks that some metrics need, one after the other, and let them go again.

    Loading tests them, so a file that is cut short or of another network is found now and not
    after hours of generation. Which metrics can be computed at all is for
    `evaluation.suite.computable` to say.

    Args:
        protocol: name of a shipped card, path of a card, or a card.
        metrics: keys, all of which can be computed.
        weights: folder of pretrained weights; None is the default one.
        random_weights: there is nothing to load then.
        device: where networks will run.
        dtype: "float32" or "bfloat16"; None is what the card says.

    Raises:
        ValueError: for a file that is not a network's weights, or a device that is not here.
    """
    from evaluation.features.networks import Networks, check_device  # they load torch
    from evaluation.scorers.everything import Scorers

    card = protocol if isinstance(protocol, ProtocolCard) else load_protocol(protocol)
    check_device(device)
    if random_weights:
        return
    settings = Settings(
        weights=None if weights is None else Path(weights), device=device, dtype=dtype
    )
    card = settings.applied_to(card)
    for name in Scorers(card, list(metrics)).features:
        Networks(card, [name], settings)


def missing_lines(missing: Mapping[str, str]) -> list[str]:
    """Return metrics that cannot be computed, those of one reason on one line with it."""
    by_reason: dict[str, list[str]] = {}
    for key, reason in missing.items():
        by_reason.setdefault(reason, []).append(key)
    return [f"{', '.join(keys)}: {reason}" for reason, keys in by_reason.items()]
