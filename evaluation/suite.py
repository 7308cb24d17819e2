"""Pairs x features x metrics under one protocol card -> Report."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from evaluation.catalog import METRICS, check_metrics
from evaluation.choose import Means, choose_metrics, split_metrics
from evaluation.inputs import read_inputs
from evaluation.protocols.card import ProtocolCard, load_protocol
from evaluation.reports.provenance import data_warnings, describe_data, describe_tools
from evaluation.reports.report import Report
from evaluation.settings import Settings
from evaluation.sources import Sources

if TYPE_CHECKING:
    from evaluation.features.shelf import NetworkShelf  # it loads torch

__all__ = ["METRICS", "computable", "evaluate", "score_sources"]


def evaluate(
    reference: str | Path,
    generated: str | Path,
    captions: str | Path | None = None,
    protocol: str | Path | ProtocolCard = "audiocraft",
    metrics: Iterable[str] | None = None,
    *,
    weights: str | Path | None = None,
    random_weights: bool = False,
    labels: str | Path | None = None,
    allow_extra: bool = False,
    cache: str | Path | None = None,
    workers: int = 0,
    batch_size: int = 16,
    device: str = "cpu",
    dtype: str | None = None,
    sanity: bool = True,
    round_trips: str | Path | None = None,
    name: str | None = None,
    date: str | None = None,
    progress: bool = False,
) -> Report:
    """Score a folder of generated sounds against a folder of references.

    Args:
        reference: folder of references; it defines the set that is scored.
        generated: folder of generated sounds, paired with the references by file name.
        captions: .csv or .jsonl with a caption for every pair, or for some where no metric needs
            them.
        protocol: name of a shipped card, path of a card, or a card.
        metrics: keys to compute; None computes what the card lists and this machine can, and
            names the rest in `Report.not_computed`.
        weights: folder of pretrained weights; None is the default one.
        random_weights: networks of the right shapes with random weights in place of the
            pretrained ones; every score of theirs is marked as a stand-in.
        labels: .csv or .jsonl with a class for every pair; scores are then also given per class.
        allow_extra: leave out generated files that have no reference instead of refusing them.
        cache: folder in which features are kept and looked up; None keeps none.
        workers: processes that decode and prepare sounds; 0 does it in this one.
        batch_size: windows that a network takes at once.
        device: where networks run.
        dtype: "float32" or "bfloat16", of the networks' work; None is what the card says. Another
            one than the card's changes scores a little: the report is of a changed card.
        sanity: also score silence, noise, other references and shuffled captions.
        round_trips: folder of the references' round trips through a codec, for the same battery.
        name: of the system, in tables and comparisons; None is that of the generated folder.
        date: goes into the report as it is.
        progress: say on stderr how far it is: a bar on a terminal, else a line now and then.

    Raises:
        ValueError: for a folder, file, caption, card or metric that cannot be used, named.
    """
    settings = Settings(
        weights=_path("weights", weights),
        random_weights=random_weights,
        cache=_path("cache", cache),
        workers=workers,
        batch_size=batch_size,
        device=device,
        dtype=dtype,
        sanity=sanity,
        progress=progress,
    )
    sources = Sources(
        reference=_file("reference", reference),
        generated=_file("generated", generated),
        captions=_path("captions", captions),
        labels=_path("labels", labels),
        round_trips=_path("round_trips", round_trips),
        allow_extra=allow_extra,
        name=name,
    )
    card = protocol if isinstance(protocol, ProtocolCard) else load_protocol(protocol)
    return score_sources(sources, card, metrics, settings=settings, date=date)


def score_sources(
    sources: Sources,
    card: ProtocolCard,
    metrics: Iterable[str] | None = None,
    *,
    settings: Settings,
    shelf: "NetworkShelf | None" = None,
    date: str | None = None,
) -> Report:
    """Score sounds, as `evaluate` does.

    Args:
        sources: the sounds, and what is known of them.
        card: the protocol.
        metrics: keys to compute; None computes what the card lists and this machine can.
        settings: how it is carried out.
        shelf: networks of earlier evaluations, to be taken again; None builds all of them.
        date: goes into the report as it is.

    Raises:
        ValueError: for a folder, file, caption, card or metric that cannot be used, named.
    """
    card = settings.applied_to(card)
    asked = None if metrics is None else check_metrics(metrics)
    needs = [METRICS[key].needs_captions for key in asked or card.metrics if key in METRICS]
    inputs = read_inputs(sources, card, needs_captions=any(needs))
    means = settings.means(has_captions=inputs.captions is not None)
    keys, not_computed = choose_metrics(card, asked, means)

    from evaluation.run import Evaluation  # torch takes seconds; the checks above do not

    found = Evaluation(card, keys, inputs, settings, shelf=shelf).run()
    data = describe_data(sources, found.items, excluded=inputs.excluded)
    return Report(
        scores=found.scores,
        not_computed=not_computed,
        protocol=card.to_dict(),
        data=data | {"sanity": found.battery},
        provenance=describe_tools(card, date=date),
        warnings=data_warnings(data, found.items) + found.warnings,
        items=found.items,
        classes=found.classes,
        features=found.features,
        sanity=found.sanity,
        flags=found.flags,
        breakdown=found.breakdown,
    )


def computable(
    protocol: str | Path | ProtocolCard,
    metrics: Iterable[str] | None = None,
    weights: str | Path | None = None,
    *,
    random_weights: bool = False,
    has_captions: bool = True,
    option: str = "--weights",
) -> tuple[list[str], dict[str, str]]:
    """Split metrics into those this machine can compute, and the others with their reasons.

    To be asked before sounds are generated only to be scored.

    Args:
        protocol: name of a shipped card, path of a card, or a card.
        metrics: keys; None for those the card lists.
        weights: folder of pretrained weights; None is the default one.
        random_weights: whether networks will do with random ones.
        has_captions: whether there will be a caption for every pair.
        option: how the caller's user names a folder of weights, in the reasons.
    """
    card = protocol if isinstance(protocol, ProtocolCard) else load_protocol(protocol)
    means = Means(
        weights=_path("weights", weights),
        random_weights=random_weights,
        has_captions=has_captions,
        option=option,
    )
    return split_metrics(card, metrics, means)


def _path(name: str, given: str | Path | None) -> Path | None:
    return None if given is None else _file(name, given)


def _file(name: str, given: str | Path) -> Path:
    if not isinstance(given, str | Path):
        raise ValueError(f"{name} must be the path of a file or folder, got {given!r:.80}")
    return Path(given)
