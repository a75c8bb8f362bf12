"""Filling a budget with cubes: those that turn out to be padding are replaced, until it is met or boxes end."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from utils.jobs import SKIPPED, SomeFailed
from utils.ngff.metadata import Triple
from utils.sampling.roi_crops import Crops, Failure, make_crops
from utils.sampling.roi_record import RoiRecord
from utils.sampling.rois import GB, Roi
from utils.sampling.selection import settled


def fill_budget(
    crops: Crops,
    order: Callable[[], Iterator[Roi]],
    gigabytes: float,
    record: RoiRecord,
    *,
    threads: int,
    chunk: Triple,
    padding: Mapping[Roi, str] | None = None,
) -> str:
    """Make the cubes of a dataset that are missing.

    Parameters
    ----------
    order : callable
        Begins the order in which boxes are drawn.
    padding : mapping, optional
        Boxes known to be padding, and what is known of them.

    Raises
    ------
    SomeFailed
        If cubes failed; the others are kept.
    ValueError
        If there is none to make.
    """
    crops = replace(crops, files=record.existing(crops.folder, crops.name))
    kept, empty = record.kept(crops.files), {**record.padding, **(padding or {})}
    known, failures, written = len(empty), dict[Roi, Failure](), 0

    def find_padding(chosen: list[Roi]) -> Mapping[Roi, str]:
        nonlocal written
        missing = [roi for roi in chosen if roi not in failures and not crops.path(roi).exists()]
        # Before the cubes: it fixes their contrast.
        record.save(crops, chosen, kept, padding=empty, failures=failures)
        results = make_crops(crops, missing, threads, chunk)
        failures.update(results.failures)
        written += len(missing) - len(results.padding)
        return results.padding

    chosen = settled(order, gigabytes * GB, empty, find_padding, kept)
    if not chosen:
        raise ValueError(_nothing(order(), empty, gigabytes))
    record.save(crops, chosen, kept, padding=empty, failures=failures)
    if len(empty) > known:
        said = list(empty.values())[-1]
        warnings.warn(f"{len(empty) - known} cubes were read for nothing and left out: {said}", stacklevel=2)
    if failures:
        raise SomeFailed({str(crops.path(roi)): failure.reason for roi, failure in failures.items()})
    size = sum(roi.voxels for roi in chosen) / GB
    return f"{written} cubes made, {len(chosen)} there ({size:.3g} GB)" if written else SKIPPED


def _nothing(order: Iterator[Roi], empty: Mapping[Roi, str], gigabytes: float) -> str:
    first = next((roi for roi in order if roi not in empty), None)
    if first is None:
        return f"no specimen: {len(empty)} boxes were read, and of each {next(iter(empty.values()), 'nothing')}"
    return f"-gb {gigabytes:g} is less than one cube ({first.voxels / GB:g})"
