"""Cubes of one dataset cut out side by side and written as uint8 NRRD, with a record of how."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from utils.contrast import Contrast, to_uint8
from utils.files import atomic_path, list_files
from utils.formats.nrrd import write_nrrd
from utils.jobs import describe
from utils.names import format_roi, parse_roi
from utils.sampling.rois import Roi, not_padding

GB = 10**9
# Threads beside those that read.
WRITERS = 2
Read = Callable[[tuple[slice, slice, slice]], np.ndarray]


class PaddingError(ValueError):
    """A cube holds (nearly) nothing but padding."""


@dataclass(frozen=True)
class Crops:
    """How the cubes of one dataset are made.

    Attributes
    ----------
    name : str
        What stands before ``-ROI-``.
    folder : Path
    read : callable
        Voxels of a box in the source's own type, as an array that may be overwritten.
    voxel_size : tuple of float or None
        z, y, x in nm.
    fills : tuple of float
        A cube of nothing but one of these (padding, value of missing chunks) is a failure.
    min_frac : float
        A cube with less specimen than this is a failure too; 0 where an overview has told before.
    """

    name: str
    folder: Path
    read: Read
    contrast: Contrast
    voxel_size: tuple[float, float, float] | None
    invert: bool = False
    fills: tuple[float, ...] = (0.0,)
    min_frac: float = 0.0

    def path(self, roi: Roi) -> Path:
        """The file of one cube."""
        return self.folder / f"{format_roi(self.name, roi.z, roi.y, roi.x)}.nrrd"

    def existing(self) -> list[Roi]:
        """Cubes of this dataset that are there already."""
        if not self.folder.is_dir():
            return []
        paths = [p for p in list_files(self.folder, {".nrrd"}) if p.name.startswith(f"{self.name}-ROI-")]
        return [Roi(*parse_roi(path.stem)[1]) for path in paths]

    def write(self, roi: Roi, voxels: np.ndarray) -> None:
        """Convert and write the voxels of one cube, which may be overwritten.

        Raises
        ------
        PaddingError
            If there is nothing in it.
        """
        refuse_padding(voxels, self.fills, self.min_frac)
        gray = inverted(to_uint8(voxels, self.contrast), self.invert)
        del voxels
        with atomic_path(self.path(roi)) as scratch:
            write_nrrd(scratch, gray, self.voxel_size)


def inverted(gray: np.ndarray, invert: bool) -> np.ndarray:
    """255 minus every value, in place, when asked for."""
    return np.subtract(255, gray, out=gray) if invert else gray


def refuse_padding(voxels: np.ndarray, fills: Iterable[float], min_frac: float) -> None:
    """Raise `PaddingError` for a cube of one fill value, or with too little specimen."""
    for fill in fills:
        found = sum(int(np.count_nonzero(not_padding(plane, fill))) for plane in voxels)
        if found == 0:
            raise PaddingError(f"every voxel is {fill:g} (padding, or chunks that are missing): nothing was written")
        if found < min_frac * voxels.size:
            raise PaddingError(f"only {found / voxels.size:.0%} is not padding ({fill:g}): nothing was written")


def make_crops(crops: Crops, rois: Iterable[Roi], threads: int) -> dict[Roi, str]:
    """Make every cube that is not there yet, `threads` of them in flight; return what failed and why.

    Where the server stops answering, the rest fails at once: each further cube would wait as long again.
    """
    todo = [roi for roi in rois if not crops.path(roi).exists()]
    flight = _Flight(threads)
    # Writing waits for the disk; meanwhile as many cubes as asked for are on their way.
    with ThreadPoolExecutor(threads + (WRITERS if threads > 1 else 0)) as pool:
        try:
            reasons = list(pool.map(partial(_attempt, crops, flight), todo))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return {roi: reason for roi, reason in zip(todo, reasons, strict=True) if reason}


class _Flight:
    """Bounds the cubes that are read at once, and counts those that a silent server let down one after another."""

    patience = 2

    def __init__(self, threads: int) -> None:
        self.reading = threading.Semaphore(threads)
        self.stalls = 0

    @property
    def gave_up(self) -> bool:
        return self.stalls >= self.patience


def _attempt(crops: Crops, flight: _Flight, roi: Roi) -> str | None:
    try:
        with flight.reading:
            if flight.gave_up:
                return "the server had stopped answering; left for the next run"
            voxels = crops.read(roi.slices)
        crops.write(roi, voxels)
    except (OSError, ValueError, MemoryError) as error:
        flight.stalls += isinstance(error, TimeoutError)
        return describe(error)
    flight.stalls = 0
    return None
