"""What the caller hands in, checked before the long work: pairs, captions, classes, round trips."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluation.audio import AudioError, check_sound
from evaluation.captions import check_captions, missing_captions, read_captions
from evaluation.folders import (
    FolderError,
    Pair,
    list_sounds,
    pair_folders,
    shorten,
    unread_sounds,
)
from evaluation.labels import check_labels, read_labels
from evaluation.protocols.card import ProtocolCard
from evaluation.sources import Sources

CAPTIONS_TAKEN = {"first": 1, "none": 0}  # by the card's rule; all others take every one


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """Pairs that can be scored, and what is known of them by name."""

    pairs: list[Pair]
    excluded: list[dict[str, str]]  # pairs the card leaves out, and sounds: name and reason
    captions: Mapping[str, tuple[str, ...]] | None  # as the file has them
    labels: Mapping[str, str] | None
    round_trips: Mapping[str, Path]  # of the references; empty without
    notes: list[str] = field(default_factory=list)  # what was passed over

    def scored_captions(self, card: ProtocolCard) -> list[tuple[str, ...]]:
        """Return the captions of every pair that the card scores."""
        most = CAPTIONS_TAKEN.get(card.captions)
        return [tuple((self.captions or {}).get(pair.name, ())[:most]) for pair in self.pairs]

    def beside_the_card(self, card: ProtocolCard) -> list[str]:
        """Say where these are not the sounds and captions that a published card is about."""
        count, listed = len(self.pairs), card.test_list or {}
        sizes = {listed.get("clips"), listed.get("captions")} - {None}
        notes = list(self.notes)
        if sizes and count not in sizes:
            notes.append(
                f"N = {count} pairs, where the protocol's test list {listed['name']} has "
                f"{listed['clips']} clips: what is published under it is of another set"
            )
        if self.captions is not None and card.captions == "none":
            notes.append("captions were given, and the protocol scores none: they are not used")
        several = [name for name, texts in (self.captions or {}).items() if len(texts) > 1]
        if card.captions == "listed" and several:
            notes.append(
                f"{len(several)} sounds have several captions, where the protocol's list has one "
                f"each: {shorten(several)}; all were taken"
            )
        return notes


def read_inputs(sources: Sources, card: ProtocolCard, *, needs_captions: bool = True) -> Inputs:
    """Read the tables, pair the folders, and look at the header of every sound.

    Where no metric needs captions, a pair may be without one.

    Raises:
        ValueError: for a folder, file, caption or class that cannot be used, named and counted.
    """
    reference, generated = sources.reference, sources.generated
    pairs = pair_folders(reference, generated, allow_extra=sources.allow_extra)
    texts, kinds, trips = None, None, dict[str, Path]()
    notes = []
    if sources.captions is not None:
        texts = read_captions(sources.captions)
        if needs_captions:
            check_captions(pairs, texts, path=sources.captions)
        notes = _caption_notes(pairs, texts)
    if sources.labels is not None:
        kinds = read_labels(sources.labels)
        check_labels(pairs, kinds, path=sources.labels)
        notes += _stray_notes(pairs, kinds, what="labels")
    if sources.round_trips is not None:
        trips = find_round_trips(sources.round_trips, pairs, reference)
    pairs, excluded = keep_long(pairs, card.min_duration)
    unread, passed_over = _unread(reference, generated)
    return Inputs(
        pairs=pairs,
        excluded=excluded + unread,
        captions=texts,
        labels=kinds,
        round_trips=trips,
        notes=passed_over + notes,
    )


def _unread(reference: Path, generated: Path) -> tuple[list[dict[str, str]], list[str]]:
    """List the sounds in the two folders that are not read, and warn of them."""
    entries, notes = [], []
    for side, folder, other in (
        ("reference", reference, generated),
        ("generated", generated, reference),
    ):
        found = unread_sounds(folder, beside=other)
        entries += [{"name": n, "reason": reason, "side": side} for n, reason in found.items()]
        if found:
            notes.append(
                f"{len(found)} sounds in {folder} were not read, of other kinds than are scored or "
                f"in subfolders: {shorten(found)}"
            )
    return entries, notes


def _caption_notes(pairs: list[Pair], captions: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Warn of captions without a sound, and of sounds without a caption."""
    missing = missing_captions(pairs, captions)
    notes = _stray_notes(pairs, captions, what="captions")
    if missing:
        notes.append(
            f"{len(missing)} of {len(pairs)} sounds have no caption, which no metric here needs: "
            f"{shorten(missing)}"
        )
    return notes


def _stray_notes(pairs: list[Pair], table: Mapping[str, Any], *, what: str) -> list[str]:
    """Warn of rows of a table by name that are of no sound."""
    stray = sorted(table.keys() - {pair.name for pair in pairs})
    if not stray:
        return []
    return [
        f"{len(stray)} of {len(table)} names in the {what} are of sounds that are not there: "
        f"{shorten(stray)}"
    ]


def find_round_trips(folder: Path, pairs: list[Pair], reference: Path) -> dict[str, Path]:
    """Map the name of every pair to the round trip of its reference through a codec.

    Raises:
        FolderError: if some have none, or the folder is that of the references itself.
    """
    sounds = list_sounds(folder)
    if folder.resolve() == reference.resolve():
        raise FolderError(
            f"round trips and references are the same folder, {folder}. Pass the folder of what "
            "a codec made of the references."
        )
    missing = [pair.name for pair in pairs if pair.name not in sounds]
    if missing:
        raise FolderError(
            f"{len(missing)} of {len(pairs)} references have no round trip in {folder}: "
            f"{shorten(missing)}. Make them, or score without --round-trips."
        )
    return {pair.name: sounds[pair.name] for pair in pairs}


def keep_long(pairs: list[Pair], min_duration: float) -> tuple[list[Pair], list[dict[str, str]]]:
    """Check every header before the long work, and split off the pairs the card leaves out.

    Raises:
        AudioError: naming the first pair with a broken file, and how many there are; or if no
            pair is left.
    """
    kept, excluded, broken = [], [], dict[str, str]()
    for pair in pairs:
        try:
            duration = check_sound(pair.reference)
            check_sound(pair.generated)
        except AudioError as error:
            broken[pair.name] = str(error)
            continue
        if duration < min_duration:
            reason = f"reference lasts {duration:.3f} s, less than {min_duration} s"
            excluded.append({"name": pair.name, "reason": reason})
        else:
            kept.append(pair)
    if broken:
        first, *others = broken
        more = f" (and {len(others)} more broken pairs: {shorten(others)})" if others else ""
        raise AudioError(broken[first] + more)
    if not kept:
        raise AudioError(
            f"no pair is left to score: all {len(excluded)} references are shorter than "
            f"{min_duration} s, the protocol's min_duration"
        )
    return kept, excluded
