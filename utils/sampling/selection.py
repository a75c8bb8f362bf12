"""A seeded choice among boxes: uniform or spread evenly, without overlaps; and a budget that is filled with cubes."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from utils.axes import Triple
from utils.jobs import SKIPPED, SomeFailed
from utils.overlap import TakenBoxes
from utils.sampling.roi_crops import Crops, Failure, make_crops
from utils.sampling.roi_record import RoiRecord
from utils.sampling.rois import GB, Boxes, Roi, is_whole


def shuffled(rois: Sequence[Roi], seed: int) -> Iterator[Roi]:
    """Yield the boxes in the random order of a seed, the same on every machine.

    Fisher and Yates' shuffle, which remembers only what it has moved: the first boxes of millions cost no more than
    those of a few.
    """
    rng = np.random.default_rng(seed)
    moved: dict[int, int] = {}
    for first in range(len(rois)):
        drawn = int(rng.integers(first, len(rois)))
        yield rois[moved.get(drawn, drawn)]
        moved[drawn] = moved.pop(first, first)


def stratified(boxes: Boxes, seed: int) -> Iterator[Roi]:
    """Yield the boxes in an order of which every beginning is spread evenly over them.

    They are lined up along a curve that keeps neighbours together (Morton's), and drawn by a van der Corput sequence
    with a random digital shift (Owen, 1995, doi:10.1007/978-1-4612-2552-2_19): of any 2^k equal parts of the line, the
    first 2^k draws take one box each.
    """
    count = len(boxes)
    if not count:
        return
    line = np.argsort(_morton(boxes), kind="stable")
    bits = (count - 1).bit_length()
    shift = int(np.random.default_rng(seed).integers(0, 1 << bits))
    taken = np.zeros(count, bool)
    for draw in range(1 << bits):
        reverse = int(f"{draw:0{bits}b}"[::-1], 2) ^ shift
        place = reverse * count >> bits
        if not taken[place]:
            taken[place] = True
            yield boxes[int(line[place])]


def _morton(boxes: Boxes) -> np.ndarray:
    """Each box's place on Morton's curve: the bits of its indices along z, y and x, interleaved."""
    codes = np.zeros(len(boxes), np.int64)
    for axis, index in enumerate(np.unravel_index(boxes.places, boxes.counts)):
        for bit in range(20):
            codes |= (index.astype(np.int64) >> bit & 1) << (3 * bit + axis)
    return codes


def boxes_that_fit(order: Iterable[Roi], budget: float, kept: Sequence[Roi] = ()) -> list[Roi]:
    """The boxes that fit into `budget` bytes of uint8: those `kept`, then as many as fit from the front of `order`.

    None overlaps another. A larger budget gives the same boxes and more, because the choice stops at the first that
    does not fit.
    """
    chosen = list(kept)
    total = sum(roi.voxels for roi in kept)
    taken = TakenBoxes()
    for roi in kept:
        taken.add(roi)
    for roi in order:
        if taken.covers(roi):
            continue
        total += roi.voxels
        if total > budget:
            break
        chosen.append(roi)
        taken.add(roi)
    return chosen


def choose_without_padding(
    order: Callable[[], Iterable[Roi]],
    budget: float,
    padding: dict[Roi, str],
    find_padding: Callable[[list[Roi]], Mapping[Roi, str]],
    kept: Sequence[Roi] = (),
) -> list[Roi]:
    """The `boxes_that_fit` into `budget` bytes when those that turn out to be padding are left out.

    `order` begins the order in which boxes are drawn. `find_padding` takes the chosen boxes, and gives those among them
    that are padding, with what is known of them; `padding` takes them up.
    """
    while True:
        chosen = boxes_that_fit((roi for roi in order() if roi not in padding), budget, kept)
        found = find_padding(chosen)
        if not found:
            return chosen
        padding.update(found)


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
    """Make the cubes of a dataset that are missing; `order` and `padding` are what `choose_without_padding` takes.

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
        missing = [roi for roi in chosen if roi not in failures and not is_whole(crops.path(roi), roi)]
        # Before the cubes: it fixes their contrast.
        record.save(crops, chosen, kept, padding=empty, failures=failures)
        found, failed = make_crops(crops, missing, threads, chunk)
        failures.update(failed)
        written += len(missing) - len(found)
        return found

    chosen = choose_without_padding(order, gigabytes * GB, empty, find_padding, kept)
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
