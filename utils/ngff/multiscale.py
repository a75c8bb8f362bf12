"""A multiscale image at any address: its levels, their voxel sizes, and a level as a volume.

OME-Zarr 0.4 and 0.5, N5 and Neuroglancer precomputed, over local paths, ``file://``, ``http(s)://``, ``s3://``
(anonymous) and ``gs://``. The format is found by looking; ``precomputed://``, ``n5://`` and ``zarr://`` before an
address state it.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from utils.formats.volume_base import Region, Volume
from utils.formats.voxel_size import VoxelSize
from utils.names import format_level
from utils.ngff.address import address_name
from utils.ngff.metadata import Lengths, Level
from utils.ngff.read import LevelReader
from utils.ngff.store import Store


@dataclass(frozen=True)
class Multiscale:
    """An image at several resolutions, from fine to coarse."""

    url: str
    format: str
    store: Store
    levels: tuple[Level, ...]

    def open_level(
        self, level: int, *, name: str | None = None, voxel_size: Lengths | None = None, invert: bool = False
    ) -> "NgffVolume":
        """Open one level as a volume; `voxel_size` (z, y, x, nm, of this level) overrules the metadata."""
        return NgffVolume(self, self.index(level), name or address_name(self.url), voxel_size, invert=invert)

    def index(self, level: int) -> int:
        """Check a level's number.

        Raises
        ------
        ValueError
            If there is no such level.
        """
        if not 0 <= level < len(self.levels):
            raise ValueError(f"no level {level}; it has {len(self.levels)} (0 to {len(self.levels) - 1})")
        if self.levels[level].problem:
            raise ValueError(f"level {level} cannot be read: {self.levels[level].problem}")
        return level

    def nearest(self, voxel_nm: float) -> int:
        """The level whose finest voxel side is nearest to `voxel_nm`, by ratio.

        Raises
        ------
        ValueError
            If no voxel size is known.
        """
        sizes = [level.voxel_size for level in self.levels]
        known = [(abs(math.log(min(size) / voxel_nm)), i) for i, size in enumerate(sizes) if size]
        if not known:
            raise ValueError(f"no voxel sizes to compare {voxel_nm:g} nm with; choose a --level")
        return min(known)[1]

    def in_unit(self, unit: str | None) -> "Multiscale":
        """The same image, its lengths read in `unit` where the metadata names none."""
        return replace(self, levels=tuple(level.in_unit(unit) for level in self.levels)) if unit else self


class NgffVolume(Volume):
    """One level as a volume that streams; `invert` mirrors intensities within their type: what was bright is dark."""

    def __init__(
        self, image: Multiscale, index: int, name: str, voxel_size: Lengths | None = None, *, invert: bool = False
    ) -> None:
        self.level, self.invert = image.levels[index], invert
        size = VoxelSize(voxel_size) if voxel_size else self.level.size
        # Reads without a copy; takes boxes that lie inside of the level.
        self.reader = LevelReader(image.store, self.level)
        super().__init__(format_level(name, index), self.level.shape, self.level.dtype, size)

    def _read(self, box: Region) -> np.ndarray:
        shape = [part.stop - part.start for part in box]
        if 0 in shape:
            return np.empty(shape, self.dtype)
        voxels = self.reader.read(box)
        return mirrored(voxels) if self.invert else voxels

    def shown(self, value: float) -> float:
        """A stored intensity as reading returns it."""
        if not self.invert:
            return value
        limits = {"u": np.iinfo(self.dtype).max, "i": -1} if self.dtype.kind in "ui" else {"b": 1}
        return limits.get(self.dtype.kind, 0) - value

    def _copy(self, box: Region) -> np.ndarray:
        return self._read(box)  # new already

    def close(self) -> None:
        self.reader.close()


def mirrored(voxels: np.ndarray) -> np.ndarray:
    """Intensities mirrored within their type: unsigned 0 is the largest, signed -1 is 0, floats change their sign.

    Parameters
    ----------
    voxels : ndarray, any shape

    Returns
    -------
    ndarray, same shape and dtype
    """
    return np.logical_not(voxels) if voxels.dtype.kind == "b" else -voxels if voxels.dtype.kind == "f" else ~voxels
