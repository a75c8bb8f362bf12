"""Datasets that are no more, or give no cubes any more: named and kept, or removed."""

from collections.abc import Collection, Mapping
from pathlib import Path

from utils.files import OWN_FOLDER, remove_if_empty, safe_name
from utils.foreign_text import json_file
from utils.jobs import Outdated, PassedOver
from utils.records.recipes import discard
from utils.redaction import say
from utils.sampling.overview import discard_overviews
from utils.sampling.roi_record import RoiRecord, Settings, note_listing, read_record, was_listed


def without_cubes(path: Path, settings: Settings, update: bool, reason: str, listing: Path | None = None) -> str:
    """A dataset that gives no cubes now: those that are there are outdated, and go when they are to be updated.

    Raises
    ------
    PassedOver
        When they are gone, with the reason.
    ValueError
        If the record belongs to another source.
    """
    RoiRecord(path, settings, listing)
    if not update:
        return Outdated(reason)
    _discard_dataset(path)
    raise PassedOver(reason)


def claim(listing: Path, wanted: Mapping[Path, str]) -> None:
    """Note beside the records of datasets which table or folder lists them, for `tell_orphans`.

    Records of other sources than are `wanted` of them are left alone.
    """
    for path, source in wanted.items():
        if json_file(path).get("source") == source:
            note_listing(path, listing)


def tell_orphans(listing: Path, folder: Path, wanted: Collection[Path], *, prune: bool, quiet: bool) -> None:
    """Name the datasets whose row or volume is gone from a table or folder, and remove them when asked to.

    What it never listed is left alone. `wanted` are the records, in the cubes' folder, of what is listed now.
    """
    found = [path for path in sorted(folder.glob("*.json")) if path not in wanted and was_listed(path, listing)]
    if not found:
        return
    for path in found if prune else ():
        _discard_dataset(path)
    if not quiet or prune:
        what = "removed" if prune else "--prune removes them"
        names = ", ".join(path.stem for path in found)
        say(f"datasets without their {'volume' if listing.is_dir() else 'row'} ({len(found)}; {what}): {names}")


def _discard_dataset(path: Path) -> None:
    """Remove overviews and cubes of a dataset, then its record: a killed run leaves the record that names the rest."""
    discard_overviews(path.parent, path.stem)
    discard_cubes(path)
    discard(path)
    remove_if_empty(path.parent / OWN_FOLDER)


def discard_cubes(path: Path) -> None:
    """Remove the cubes that a dataset's record names: those of earlier choices, and of a killed run, too."""
    record = read_record(path)
    for boxes in [record.get("pending"), *(entry.get("boxes") for entry in [record, *record.get("earlier", [])])]:
        for box in boxes or []:
            path.with_name(safe_name(str(box["file"]))).unlink(missing_ok=True)
