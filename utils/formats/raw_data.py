"""Raw voxels at a known place in a file: where that is, and the volume that is read from there by region."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.formats.raw_reader import RawReader
from utils.formats.volume_base import Region, Volume, refuse_no_data
from utils.formats.voxel_size import VoxelSize
from utils.images import luminance
from utils.reading import open_regular


@dataclass(frozen=True)
class RawData:
    """Where uncompressed voxels lie.

    Attributes
    ----------
    path : Path
    dtype : numpy.dtype
        With its byte order.
    shape : tuple of int
        As stored.
    start : int
        Where the data, or what is to be skipped before it, begins.
    skip : int
        Bytes to skip; -1 means that the data ends where the file does, -2 a byte before that, and so on.
    lines : int
        Lines of text to skip before the bytes.
    """

    path: Path
    dtype: np.dtype
    shape: tuple[int, ...]
    start: int = 0
    skip: int = 0
    lines: int = 0

    @property
    def nbytes(self) -> int:
        """Size of the data."""
        return math.prod(int(n) for n in self.shape) * self.dtype.itemsize

    def offset(self) -> int:
        """Where the voxels begin, once it is sure that the file holds all of them.

        Raises
        ------
        ValueError
            If the file is too short, or the header's shape is impossible.
        """
        refuse_no_data(self.path, self.shape)
        size = self.path.stat().st_size
        begin = size - self.nbytes + self.skip + 1 if self.skip < 0 else self._after_lines() + self.skip
        if begin < self.start or begin + self.nbytes > size:
            needed = max(begin, self.start) + self.nbytes
            raise ValueError(
                f"the file is cut short: {size} bytes, {needed} needed for {self.shape} {self.dtype.name} voxels"
            )
        return begin

    def _after_lines(self) -> int:
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
    name : str
    raw : RawData
    size : VoxelSize
    axes : tuple of int
        Which stored axes are z, y and x. An axis that is none of them is one of colours where it is the last and
        `colours`, else its first entry is taken.
    colours : bool
    """

    def __init__(
        self,
        name: str,
        raw: RawData,
        size: VoxelSize,
        axes: tuple[int, ...] = (0, 1, 2),
        *,
        colours: bool = False,
    ) -> None:
        super().__init__(name, tuple(raw.shape[axis] for axis in axes), raw.dtype, size, streams=True)
        self._reader = RawReader(raw.path, raw.dtype, raw.shape, raw.offset())
        self._axes, self._rank, self._colours = axes, len(raw.shape), colours

    def _copy(self, box: Region) -> np.ndarray:
        return np.ascontiguousarray(self._read(box), self.dtype)

    def holds_one_value(self, box: Region) -> bool:
        return self._reader.holds_one_value(self._stored(box))

    def _stored(self, box: Region) -> list[slice]:
        """A box as it is stored."""
        stored = [slice(0, 1)] * self._rank
        for axis, part in zip(self._axes, box, strict=True):
            stored[axis] = part
        if self._colours:
            stored[-1] = slice(0, self._reader.channels)
        return stored

    def _read(self, box: Region) -> np.ndarray:
        values = self._reader.read(self._stored(box))
        others = [axis for axis in range(self._rank) if axis not in self._axes]
        ordered = values.transpose(*self._axes, *others)
        ordered = ordered.reshape(*ordered.shape[:3], math.prod(ordered.shape[3:]))
        return luminance(ordered) if self._colours else ordered[..., 0]

    def close(self) -> None:
        self._reader.close()


def raw_volume(name: str, raw: RawData, size: VoxelSize, *, axes: tuple[int, int, int] = (0, 1, 2)) -> RawVolume:
    """A volume of raw data; `axes` says which stored axis is z, y and x, a fourth one is of colours."""
    return RawVolume(name, raw, size, axes, colours=len(raw.shape) == 4)
