"""Datasets whose cubes are not what a run would make now: named and kept, or made anew and put in their place."""

from collections.abc import Callable
from pathlib import Path

from utils.files import remove
from utils.jobs import Outdated
from utils.sampling.roi_record import RoiRecord, Settings, read_record


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
        replace_cubes(path, scratch)
    finally:
        remove(scratch)
    return f"{message}, in place of the earlier ones"


def replace_cubes(path: Path, scratch: Path) -> None:
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
