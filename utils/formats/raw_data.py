"""Raw voxels at a known place in a file: mapped, never read whole."""

import mmap
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.formats.volume_base import ArrayVolume, Box
from utils.formats.voxel_size import VoxelSize

# Bytes of a volume that are mapped at a time.
MAPPED_BYTES = 16 << 20


@dataclass(frozen=True)
class RawData:
    """Where uncompressed voxels lie.

    Attributes
    ----------
    path : Path
    dtype : numpy.dtype
        With its byte order.
    shape : tuple of int
        (z, y, x) or (z, y, x, colours), as stored.
    start : int
        Where the data, or what is to be skipped before it, begins.
    skip : int
        Bytes to skip; -1 means that the data ends where the file does.
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
        return int(np.prod([int(n) for n in self.shape], dtype=object)) * self.dtype.itemsize

    def offset(self) -> int:
        """Where the voxels begin, once it is sure that the file holds all of them.

        Raises
        ------
        ValueError
            If the file is too short, or the header's shape is impossible.
        """
        if min(self.shape) < 1:
            raise ValueError(f"the header promises the shape {self.shape}: nothing to read")
        if not self.path.is_file():
            raise FileNotFoundError(f"the data file {self.path.name} that the header names is missing")
        size = self.path.stat().st_size
        begin = size - self.nbytes if self.skip < 0 else self._after_lines() + self.skip
        if begin < self.start or begin + self.nbytes > size:
            needed = max(begin, self.start) + self.nbytes
            raise ValueError(
                f"the file is cut short: {size} bytes, {needed} needed for {self.shape} {self.dtype.name} voxels"
            )
        return begin

    def _after_lines(self) -> int:
        with self.path.open("rb") as f:
            f.seek(self.start)
            for _ in range(self.lines):
                f.readline()
            return f.tell()


class MappedVolume(ArrayVolume):
    """A volume mapped from a file, read a few slices at a time, whose pages are given back after each few.

    Mapped pages count as the process's memory until the system wants them back; a whole volume would add up. Systems
    that keep files in huge pages map whole slices where a few rows are touched, so it is slices that are counted.
    """

    def __init__(self, name: str, raw: RawData, size: VoxelSize, axes: tuple[int, int, int] = (0, 1, 2)) -> None:
        offset = raw.offset()
        with raw.path.open("rb") as f:
            self._mapping = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
        count = raw.nbytes // raw.dtype.itemsize
        stored = np.frombuffer(self._mapping, raw.dtype, count, offset).reshape(raw.shape)
        super().__init__(name, stored.transpose(*axes, *range(3, stored.ndim)), size)

    def _copy(self, box: Box) -> np.ndarray:
        z, y, x = box
        voxels = np.empty([part.stop - part.start for part in box], self.dtype)
        step = max(1, MAPPED_BYTES // (self.shape[1] * self.shape[2] * self.dtype.itemsize))
        for start in range(z.start, z.stop, step):
            part = slice(start, min(start + step, z.stop))
            voxels[part.start - z.start : part.stop - z.start] = self._read((part, y, x))
            if hasattr(self._mapping, "madvise"):  # not on Windows
                self._mapping.madvise(mmap.MADV_DONTNEED)
        return voxels

    def close(self) -> None:
        super().close()
        with suppress(BufferError):  # an array still looks at it: the mapping goes when that does
            self._mapping.close()  # Windows deletes and replaces no file that is mapped


def raw_volume(name: str, raw: RawData, size: VoxelSize, *, axes: tuple[int, int, int] = (0, 1, 2)) -> ArrayVolume:
    """A volume mapped from raw data; `axes` says which stored axis is z, y and x."""
    return MappedVolume(name, raw, size, axes)
