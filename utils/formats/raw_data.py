"""Raw voxels at a known place in a file, read by region: never whole, never mapped.

A mapped file that shrinks ends its reader by a signal; a read that comes up short is an error like any other.
"""

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import BinaryIO

import numpy as np

from utils.formats.volume_base import Region, Volume, refuse_no_data
from utils.formats.voxel_size import VoxelSize
from utils.images import luminance
from utils.reading import open_regular, read_into

# Bytes of whole rows that are read at a time where a part of each is wanted.
BLOCK_BYTES = 1 << 20
# Rows of which less is wanted than one part in so many are read one by one.
_SPARSE = 16


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


class RawReader:
    """Boxes of an array in a file; safe to use from many threads at once.

    Raises
    ------
    ValueError
        If the file does not hold what `raw` promises.
    """

    def __init__(self, raw: RawData) -> None:
        self._raw, self._offset = raw, raw.offset()
        self._strides = [math.prod(raw.shape[axis + 1 :]) * raw.dtype.itemsize for axis in range(len(raw.shape))]
        self._file: BinaryIO | None = open_regular(raw.path)
        self._scratch = threading.local()

    @property
    def channels(self) -> int:
        """Length of the last axis."""
        return int(self._raw.shape[-1])

    def read(self, box: Sequence[slice]) -> np.ndarray:
        """Read a box, in the stored order of axes and bytes.

        Returns
        -------
        ndarray, shape of the box
            A new array.

        Raises
        ------
        ValueError
            If the volume is closed.
        """
        if self._file is None:
            raise ValueError("the volume is closed")
        out = np.empty([part.stop - part.start for part in box], self._raw.dtype)
        if not out.size:
            return out
        whole = len(box)  # the axes from here on are wanted whole, so that they lie in one piece
        while whole > 0 and out.shape[whole - 1] == self._raw.shape[whole - 1]:
            whole -= 1
        rows, leading = max(whole - 2, 0), box[: max(whole - 2, 0)]
        for index in product(*(range(part.stop - part.start) for part in leading)):
            place = self._offset + sum(
                (i + part.start) * n for i, part, n in zip(index, leading, self._strides, strict=False)
            )
            self._plane(self._file, place, box[rows:], out[index], rows, whole)
        return out

    def _plane(self, file: BinaryIO, place: int, box: Sequence[slice], out: np.ndarray, rows: int, whole: int) -> None:
        """Read what lies below one index of the leading axes: one piece, or a part of each of several rows."""
        first = place + box[0].start * self._strides[rows]
        if whole - rows < 2:
            read_into(file, first, out)
            return
        stride = self._strides[rows]
        begin, length = box[1].start * self._strides[rows + 1], out[0].nbytes
        if length * _SPARSE < stride:
            for row in range(len(out)):
                read_into(file, first + row * stride + begin, out[row])
            return
        flat = out.reshape(len(out), -1).view(np.uint8)
        step = max(1, BLOCK_BYTES // stride)
        for row in range(0, len(out), step):
            count = min(step, len(out) - row)
            span = (count - 1) * stride + length
            block = self._block(count * stride)
            read_into(file, first + row * stride + begin, block[:span])
            flat[row : row + count] = block[: count * stride].reshape(count, stride)[:, :length]

    def _block(self, nbytes: int) -> np.ndarray:
        """This thread's scratch."""
        block = getattr(self._scratch, "block", None)
        if block is None or len(block) < nbytes:
            self._scratch.block = block = np.empty(max(nbytes, BLOCK_BYTES), np.uint8)
        return block

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
        self._file = None

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self.close()


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
        self._reader = RawReader(raw)
        self._axes, self._rank, self._colours = axes, len(raw.shape), colours

    def _copy(self, box: Region) -> np.ndarray:
        return np.ascontiguousarray(self._read(box), self.dtype)

    def _read(self, box: Region) -> np.ndarray:
        stored = [slice(0, 1)] * self._rank
        for axis, part in zip(self._axes, box, strict=True):
            stored[axis] = part
        if self._colours:
            stored[-1] = slice(0, self._reader.channels)
        values = self._reader.read(stored)
        others = [axis for axis in range(self._rank) if axis not in self._axes]
        ordered = values.transpose(*self._axes, *others)
        ordered = ordered.reshape(*ordered.shape[:3], math.prod(ordered.shape[3:]))
        return luminance(ordered) if self._colours else ordered[..., 0]

    def close(self) -> None:
        self._reader.close()


def raw_volume(name: str, raw: RawData, size: VoxelSize, *, axes: tuple[int, int, int] = (0, 1, 2)) -> RawVolume:
    """A volume of raw data; `axes` says which stored axis is z, y and x, a fourth one is of colours."""
    return RawVolume(name, raw, size, axes, colours=len(raw.shape) == 4)
