"""Cubes of one dataset cut out side by side and written as uint8 NRRD."""

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from utils.axes import Lengths, Triple
from utils.contrast import Contrast, to_uint8
from utils.files import atomic_path
from utils.formats.writers import write_nrrd
from utils.jobs import describe
from utils.names import format_roi
from utils.ngff.waiting import ForbiddenError
from utils.sampling.rois import Roi
from utils.sampling.survey import PaddingError, refuse_flat, specimen_share

# Threads that write beside those that read: most of writing is waiting for the disk.
WRITERS_PER_READER = 0.5
# Share of specimen by which a cube may fall short of its overview, where voxels are absent that may be refused ones.
SHORTFALL = 0.1
# Cubes one after another that a silent server may let down before the rest are left.
MOST_STALLS = 2
# Gives a box's voxels in the source's own type, as an array that may be overwritten, and how many of them the server
# would not give, in words that may also mean "absent".
ReadRoi = Callable[[Roi], tuple[np.ndarray, int]]


@dataclass(frozen=True)
class Crops:
    """How the cubes of one dataset are made."""

    name: str  # stands before -ROI-
    folder: Path
    read: ReadRoi
    contrast: Contrast
    voxel_size: Lengths | None  # z, y, x in nm
    invert: bool = False
    # A cube of nothing but one of these (padding, value of missing chunks) is none.
    fills: tuple[float, ...] = (0.0,)
    # A cube with less specimen than this is none either; 0 where an overview has told before.
    min_frac: float = 0.0
    share: Callable[[Roi], float] | None = None  # of specimen, that an overview promises for a box
    offset: Triple = (0, 0, 0)  # where the level begins in the dataset's coordinates: names count it in
    files: Mapping[Roi, str] = field(default_factory=dict)  # of earlier runs, some of which named cubes otherwise

    def path(self, roi: Roi) -> Path:
        """The file of one cube."""
        return self.folder / (self.files.get(roi) or f"{format_roi(self.name, *roi.shifted(self.offset))}.nrrd")


def _make_cube(crops: Crops, roi: Roi, voxels: np.ndarray, refused: int) -> None:
    """Convert and write the voxels (z, y, x) of one cube, which may be overwritten; so many of them were refused.

    There is none where it is padding, or where voxels that were refused were specimen, as the overview says.
    """
    found, why_padding = specimen_share(voxels, crops.fills, crops.min_frac)
    if why_padding:
        raise PaddingError(why_padding)
    if refused and crops.share is not None and found < crops.share(roi) - SHORTFALL:
        raise ForbiddenError(
            f"{refused} voxels were refused (403): {crops.share(roi):.0%} of it is specimen on the overview, "
            f"{found:.0%} came",
            refused,
        )
    gray = to_uint8(voxels, crops.contrast)
    if crops.invert:
        np.invert(gray, out=gray)
    refuse_flat(gray)
    del voxels
    # The record's lock is held, so no other run writes this cube.
    with atomic_path(crops.path(roi)) as scratch:
        write_nrrd(scratch, gray, crops.voxel_size)


@dataclass(frozen=True)
class Failure:
    """Why a cube could not be made, and how many of its voxels the server refused."""

    reason: str
    refused_voxels: int = 0

    def as_dict(self) -> dict[str, object]:
        """What a record says of it."""
        return {name: value for name, value in asdict(self).items() if value != 0}


def make_crops(
    crops: Crops, rois: Iterable[Roi], threads: int, chunk: Triple
) -> tuple[dict[Roi, str], dict[Roi, Failure]]:
    """Make cubes, `threads` of them in flight, those that share chunks one after another.

    Where the server stops answering, the rest fails at once: each further cube would wait as long again. Returned are
    the boxes of which there is none, with the reason: those that are padding, and those that failed.
    """
    reading, stalls = threading.Semaphore(threads), 0

    def make(roi: Roi) -> Exception | None:
        nonlocal stalls
        try:
            with reading:
                if stalls >= MOST_STALLS:
                    return TimeoutError("the server had stopped answering; left for the next run")
                voxels, refused = crops.read(roi)
            _make_cube(crops, roi, voxels, refused)
        except (OSError, ValueError, MemoryError) as error:
            stalls += isinstance(error, TimeoutError)
            return error
        stalls = 0
        return None

    todo = sorted(rois, key=lambda roi: [first // side for (first, _), side in zip(roi, chunk, strict=True)])
    # Writing waits for the disk; meanwhile as many cubes as asked for are on their way.
    with ThreadPoolExecutor(threads + round(threads * WRITERS_PER_READER)) as pool:
        errors = {roi: error for roi, error in zip(todo, pool.map(make, todo), strict=True) if error}
    # Where no overview has told beforehand, padding is what was to be found out; else chunks are missing.
    told = crops.share is not None
    padding = {roi: describe(error) for roi, error in errors.items() if isinstance(error, PaddingError) and not told}
    failures = {
        roi: Failure(describe(error), getattr(error, "voxels", 0))
        for roi, error in errors.items()
        if roi not in padding
    }
    return padding, failures
