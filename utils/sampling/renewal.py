"""Datasets whose cubes are not what a run would make now: named and kept, or made anew and put in their place."""

import sys
from collections.abc import Callable
from pathlib import Path

from utils.files import remove, safe_name
from utils.jobs import Outdated
from utils.json_text import parse_json
from utils.sampling.overview import discard_overviews
from utils.sampling.roi_record import RoiRecord, read_record
from utils.sampling.roi_settings import Settings


def renewed(path: Path, settings: Settings, update: bool, make: Callable[[Path], str]) -> str:
    """Make a dataset, or go on with it; what is outdated stays, unless it is to be updated.

    Parameters
    ----------
    path : Path
        The dataset's record.
    settings : Settings
        Of this run.
    update : bool
        Leave what a fresh run would: other choices of earlier runs go, too.
    make : callable
        Makes cubes and record in a folder.
    """
    record = RoiRecord(path, settings)
    reason = record.outdated
    if reason and not update:
        return Outdated(reason)
    if not update or not record.earlier:
        return make(path.parent)
    if reason is None and record.is_fresh:
        return make(path.parent)
    # A dead run's scratch folder is swept away with its lock, as every target's.
    scratch = path.with_name(f".{path.name}.part")
    remove(scratch)
    try:
        message = make(scratch)
        _replace_cubes(path, scratch)
    finally:
        remove(scratch)
    return f"{message}, in place of the earlier ones"


def _replace_cubes(path: Path, scratch: Path) -> None:
    """Put whole new cubes in the place of the old ones, the record last: a killed run begins again."""
    record = read_record(path, "", any_source=True)
    entries = [record, *record.get("earlier", [])]
    old = {str(box["file"]) for entry in entries for box in entry.get("boxes") or []}
    new = sorted(file for file in scratch.iterdir() if file.name.endswith(".nrrd"))
    for file in new:
        file.replace(path.with_name(file.name))
    for name in old - {file.name for file in new}:
        path.with_name(name).unlink(missing_ok=True)
    (scratch / path.name).replace(path)


def _orphaned_records(folder: Path, wanted: set[Path], *, remote: bool) -> list[Path]:
    """Records of datasets (`remote`) or local volumes in a folder that are none of the `wanted` ones."""
    found = []
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        if path in wanted:
            continue
        try:
            record = parse_json(path.read_text())
        except ValueError:
            continue
        ours = isinstance(record, dict) and {"source", "boxes", "volume_name", "software"} <= record.keys()
        if ours and (record.get("url") is not None) == remote:
            found.append(path)
    return found


def _discard_dataset(path: Path) -> None:
    """Remove overviews and cubes of a dataset, then its record: a killed run leaves the record that names the rest."""
    discard_overviews(path.parent, path.stem)
    record = read_record(path, "", any_source=True)
    for entry in [record, *record.get("earlier", [])]:
        for box in entry.get("boxes") or []:
            path.with_name(safe_name(str(box["file"]))).unlink(missing_ok=True)
    path.unlink()


def tell_orphans(folder: Path, wanted: set[Path], *, remote: bool, prune: bool, quiet: bool) -> None:
    """Name the datasets whose row or volume is gone, and remove them when asked to."""
    found = _orphaned_records(folder, wanted, remote=remote)
    if not found:
        return
    for path in found if prune else ():
        _discard_dataset(path)
    if not quiet or prune:
        what = "removed" if prune else "--prune removes them"
        names = ", ".join(path.stem for path in found)
        print(
            f"datasets without their {'row' if remote else 'volume'} ({len(found)}; {what}): {names}", file=sys.stderr
        )
