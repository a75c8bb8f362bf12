"""Voxels at a known place in a file: where that is, and the volume that is read by region, if they are raw."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.files import LONGEST_NAME, is_there
from utils.formats.raw_reader import RawReader
from utils.formats.volume_base import Region, Volume
from utils.formats.voxel_size import VoxelSize
from utils.images import luminance
from utils.reading import open_regular, refuse_special


@dataclass(frozen=True)
class StoredVoxels:
    """Voxels of a file, raw or packed."""

    path: Path
    dtype: np.dtype  # with its byte order
    shape: tuple[int, ...]  # as stored
    start: int = 0  # where the data, or what is to be skipped before it, begins
    skip: int = 0  # bytes to skip, of packed data once it is unpacked
    lines: int = 0  # lines of text to skip before the data

    @property
    def nbytes(self) -> int:
        """Size of the voxels."""
        return math.prod(int(n) for n in self.shape) * self.dtype.itemsize

    def refuse_no_data(self) -> None:
        """Refuse a header that promises no voxels, or names a data file that is not there.

        Raises
        ------
        ValueError, FileNotFoundError
            With the shape, or the file's name.
        """
        if min(self.shape) < 1:
            raise ValueError(f"the header promises the shape {self.shape}: nothing to read")
        if not is_there(self.path):
            raise FileNotFoundError(f"the data file {self.path.name[:LONGEST_NAME]} that the header names is missing")


class RawData(StoredVoxels):
    """Uncompressed voxels; a `skip` of -1 means that they end where the file does, -2 a byte before that, and so on."""

    def offset(self) -> int:
        """Where the voxels begin, once it is sure that the file holds all of them.

        Raises
        ------
        ValueError
            If the file is too short, or the header's shape is impossible.
        """
        self.refuse_no_data()
        refuse_special(self.path)
        size = self.path.stat().st_size
        begin = size - self.nbytes + self.skip + 1 if self.skip < 0 else self._after_lines() + self.skip
        if begin < self.start or begin + self.nbytes > size:
            needed = max(begin, self.start) + self.nbytes
            raise ValueError(
                f"the file is cut short: {size} bytes, {needed} needed for {self.shape} {self.dtype.name} voxels"
            )
        return begin

    def _after_lines(self) -> int:
        if not self.lines:
            return self.start
        with open_regular(self.path) as f:
            f.seek(self.start)
            for _ in range(self.lines):
                if not f.readline():
                    raise ValueError(f"the header skips {self.lines} lines, more than the data has")
            return f.tell()


class RawVolume(Volume):
    """A volume read by region from a file of raw voxels.

    Parameters
    ----------
    axes : tuple of int
        Which stored axes are z, y and x. Of others the first entry is taken, but for colours.
    colours : bool, optional
        Whether the last axis is one of colours; a fourth one is by default.
    """

    def __init__(
        self,
        name: str,
        raw: RawData,
        size: VoxelSize,
        axes: tuple[int, ...] = (0, 1, 2),
        *,
        colours: bool | None = None,
    ) -> None:
        super().__init__(name, tuple(raw.shape[axis] for axis in axes), raw.dtype, size)
        self._reader = RawReader(raw.path, raw.dtype, raw.shape, raw.offset())
        self._axes, self._stored_shape = axes, raw.shape
        self._colours = len(raw.shape) == 4 if colours is None else colours

    def _copy(self, box: Region) -> np.ndarray:
        return np.ascontiguousarray(self._read(box), self.dtype)

    def holds_one_value(self, box: Region) -> bool:
        return self._reader.holds_one_value(self._stored(box))

    def _stored(self, box: Region) -> list[slice]:
        """A box as it is stored."""
        stored = [slice(0, 1)] * len(self._stored_shape)
        for axis, part in zip(self._axes, box, strict=True):
            stored[axis] = part
        if self._colours:
            stored[-1] = slice(0, self._stored_shape[-1])
        return stored

    def _read(self, box: Region) -> np.ndarray:
        values = self._reader.read(self._stored(box))
        others = [axis for axis in range(values.ndim) if axis not in self._axes]
        ordered = values.transpose(*self._axes, *others)
        ordered = ordered.reshape(*ordered.shape[:3], math.prod(ordered.shape[3:]))
        return luminance(ordered) if self._colours else ordered[..., 0]

    def close(self) -> None:
        self._reader.close()
