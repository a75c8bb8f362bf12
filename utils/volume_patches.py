"""Volumes become patches: which cells are cut, on which axes, and how their voxels are hashed and read."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from utils.axes import Box3D, Span, triple
from utils.cell_hashes import flat_hashes, hash_cell, is_one_value
from utils.contrast import Contrast, to_uint8
from utils.cubes import Cell, axes_with_patches, common_region, cut, grid, side_by_side, within
from utils.names import format_name_3d
from utils.options import PatchOptions
from utils.outcomes import PassedOver
from utils.patches import too_small
from utils.runs import breadth, spread_map
from utils.sources import VolumeSource
from utils.volume_samples import why_labels_volume
from utils.volumes import Volume, is_isotropic

# Rows of cells are cut up so far that each thread has some, lest one has the last.
ROWS_PER_THREAD = 4


@dataclass(frozen=True, kw_only=True)
class VolumeCutting(PatchOptions):
    """How a volume is cut; recorded in its dictionary."""

    axes: tuple[int, ...]
    spacing: int
    hash: str
    hash_size: int
    distance: int
    seed: int


def axes_to_cut(volume: Volume, cutting: VolumeCutting) -> tuple[tuple[int, ...], str]:
    """The chosen axes on which there are patches, of an anisotropic volume or a video only axis 0; and what is lost.

    Raises
    ------
    ValueError
        If no chosen axis can be cut.
    """
    if is_isotropic(volume):
        return axes_with_patches(volume.shape, cutting.axes, cutting.min_side)
    if 0 not in cutting.axes:
        raise ValueError("anisotropic or a video: only axis 0 (xy) can be cut, and --axes leaves it out")
    return axes_with_patches(volume.shape, (0,), cutting.min_side)


def refuse_unwanted(volume: Volume, cutting: VolumeCutting) -> None:
    """Refuse a volume that gives no patches worth having, or that is no image.

    Raises
    ------
    PassedOver
    """
    if reason := too_small(volume.shape, cutting.min_side):
        raise PassedOver(reason)
    axes, lost = axes_to_cut(volume, cutting)
    if not axes:
        raise PassedOver(lost)
    if not cutting.keep_labels and (reason := why_labels_volume(volume)):
        raise PassedOver(reason)
    if lost:
        warnings.warn(lost, stacklevel=2)


def cells_of(volume: Volume, cutting: VolumeCutting, cubes: Sequence[Sequence[Span]] | None = None) -> list[Cell]:
    """The cells of a volume, in memory order; or of cubes of it, each of which is cut as if it were a volume."""
    axes, _ = axes_to_cut(volume, cutting)
    edges, spacing, min_side = cutting.edges, cutting.spacing, cutting.min_side
    whole = partial(grid, crop=cutting.crop, axes=axes, edges=edges, spacing=spacing, min_side=min_side)
    if cubes is None:
        return whole(volume.shape)
    cells = []
    for cube in cubes:
        shape, first = [stop - start for start, stop in cube], [start for start, _ in cube]
        cells += [cell.shifted(first) for cell in whole(shape)]
    return [cell for cell in cells if len(cell)]


class VolumeReader:
    """A source and how its voxels become patches; where it has travelled to, it opens the source anew."""

    def __init__(self, source: VolumeSource, volume: Volume, contrast: Contrast, cutting: VolumeCutting) -> None:
        self.source, self.contrast, self.cutting = source, contrast, cutting
        self._volume: Volume | None = volume

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_volume": None}

    @property
    def volume(self) -> Volume:
        """The volume, open."""
        if self._volume is None:
            with warnings.catch_warnings(action="ignore"):  # said already, where it was opened first
                self._volume = self.source.open()
        return self._volume

    def holds_one_value(self, region: Box3D) -> bool:
        """Whether a region is known to be one value without reading it into memory."""
        return self.volume.holds_one_value(_slices(region))

    def voxels(self, region: Box3D) -> np.ndarray:
        """Read a region.

        Returns
        -------
        ndarray of uint8, shape (z, y, x)
        """
        return to_uint8(self.volume[_slices(region)], self.contrast)


def _slices(region: Box3D) -> tuple[slice, slice, slice]:
    return triple(slice(*span) for span in region)


def hash_volume(reading: VolumeReader, cells: Sequence[Cell], threads: int) -> tuple[np.ndarray, np.ndarray]:
    """Hashes and flatness of every patch, cell by cell; see `utils.cell_hashes.hash_cell`.

    Returns
    -------
    hashes, flat : ndarray of uint64, shape (n, words), and of bool, shape (n,)
    """
    return _joined(spread_map(partial(_hash_row, reading), _rows(reading, cells, threads), threads, largest=64))


def _rows(reading: VolumeReader, cells: Sequence[Cell], threads: int) -> list[list[Cell]]:
    """Cells that lie side by side together, but enough of them apart for all threads."""
    return side_by_side(cells, reading.volume.dtype.itemsize, len(cells) // (ROWS_PER_THREAD * breadth(threads)))


def _hash_row(reading: VolumeReader, cells: Sequence[Cell]) -> tuple[np.ndarray, np.ndarray]:
    """Hashes and flatness of the patches of cells that lie side by side, which are read at once."""
    how, region = reading.cutting, common_region(cells)
    if reading.holds_one_value(region) or is_one_value(row := reading.voxels(region)):
        return flat_hashes(sum(map(len, cells)), how.hash_size)
    cubes = (row[within(cell.region(), region)] for cell in cells)
    return _joined(map(partial(hash_cell, crop=how.crop, hash_size=how.hash_size, method=how.hash), cubes, cells))


def _joined(parts: Iterable[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    hashes, flat = zip(*parts, strict=True)
    return np.concatenate(hashes), np.concatenate(flat)


def kept_patches(
    reading: VolumeReader, kept: np.ndarray, cells: Sequence[Cell], threads: int
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the kept patches with their names, reading each cell once more.

    Parameters
    ----------
    reading : VolumeReader
    kept : ndarray of int, shape (k,)
        Places of the kept patches among all, ascending.
    cells : sequence of Cell
    threads : int

    Yields
    ------
    name, patch : str and ndarray of uint8, shape (h, w)
    """
    chosen = _by_cell(kept, cells)
    following = iter(chosen)
    rows = [list(islice(following, len(row))) for row in _rows(reading, [cell for cell, _ in chosen], threads)]
    for patches in spread_map(partial(_fetch, reading), rows, threads):
        yield from patches


def _by_cell(kept: np.ndarray, cells: Sequence[Cell]) -> list[tuple[Cell, list[tuple[int, int]]]]:
    """For every cell with kept patches: the (axis, slice index) of each, in the order of the hashes."""
    starts = np.cumsum([0, *map(len, cells)])
    bounds = np.searchsorted(kept, starts)
    grouped = []
    for cell, start, first, stop in zip(cells, starts[:-1], bounds[:-1], bounds[1:], strict=True):
        if first < stop:
            own = cell.patches()
            grouped.append((cell, [own[patch] for patch in (kept[first:stop] - start).tolist()]))
    return grouped


def _fetch(reading: VolumeReader, chosen: Sequence[tuple[Cell, list[tuple[int, int]]]]) -> list[tuple[str, np.ndarray]]:
    """The kept patches of cells that lie side by side, with their names."""
    volume, region = reading.volume, common_region([cell for cell, _ in chosen])
    row = reading.voxels(region)
    return [
        (
            format_name_3d(volume.name, axis, index, volume.shape[axis], cell.box(axis)),
            np.ascontiguousarray(cut(cube, cell, axis, index)),
        )
        for cell, wanted in chosen
        for cube in [row[within(cell.region(), region)]]
        for axis, index in wanted
    ]
