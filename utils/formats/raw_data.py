"""Voxels at a known place in a file: where that is, and the volume that is read by region, if they are raw.

They are read where they lie, never mapped: a mapped file that shrinks ends its reader by a signal; a read that comes up
short is an error like any other.
"""

import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from utils.files import LONGEST_NAME, is_there
from utils.formats.volume_base import Region, Volume
from utils.formats.voxel_size import VoxelSize
from utils.luminance import luminance
from utils.reading import is_hole, open_regular, read_into, refuse_special

# Bytes of whole rows that are read at a time where a part of each is wanted.
BLOCK_BYTES = 1 << 20
# Rows with more bytes between them are read one by one: to ask for one takes as long as to pass over so many.
_GAP = 1 << 16


class _Piece(NamedTuple):
    """Bytes of a file: `rows` of `length`, `stride` from one's begin to the next."""

    offset: int
    rows: int
    stride: int
    length: int

    @property
    def nbytes(self) -> int:
        """From the first row's begin to the last one's end."""
        return (self.rows - 1) * self.stride + self.length


class RawReader:
    """Boxes of an array that begins at an offset in a file, its dtype with its byte order; many threads may read."""

    def __init__(self, path: Path, dtype: np.dtype, shape: tuple[int, ...], offset: int) -> None:
        self._dtype, self._shape, self._offset = dtype, shape, offset
        self._strides = [math.prod(shape[axis + 1 :]) * dtype.itemsize for axis in range(len(shape))]
        self._file: BinaryIO | None = open_regular(path)
        self._scratch = threading.local()

    def read(self, box: Sequence[slice]) -> np.ndarray:
        """Read a box, in the stored order of axes and bytes.

        Returns
        -------
        ndarray, shape of the box
            A new array.
        """
        file = self._open_file()
        out = np.empty([part.stop - part.start for part in box], self._dtype)
        flat, done = out.ravel().view(np.uint8), 0
        for piece in self._pieces(box):
            target = flat[done : done + piece.rows * piece.length].reshape(piece.rows, piece.length)
            done += target.size
            if piece.rows == 1:
                read_into(file, piece.offset, target)
            elif piece.stride - piece.length > _GAP:
                for row in range(piece.rows):
                    read_into(file, piece.offset + row * piece.stride, target[row])
            else:
                for row, rows in self._blocks(file, piece):
                    target[row : row + len(rows)] = rows
        return out

    def holds_one_value(self, box: Sequence[slice]) -> bool:
        """Whether all of a box is one value, bit for bit; read in small parts, of which holes in the file are none."""
        file, code = self._open_file(), f"u{self._dtype.itemsize}"
        if self._dtype.itemsize not in (1, 2, 4, 8):
            return False
        value: np.ndarray | None = None
        for piece in self._pieces(box):
            for rows in self._small_parts(file, piece):
                voxels = rows.view(code)
                value = voxels[0, 0] if value is None else value
                if not (voxels == value).all():
                    return False
        return True

    def _small_parts(self, file: BinaryIO, piece: "_Piece") -> Iterator[np.ndarray]:
        """The bytes of a piece, some of them at a time; of a hole one voxel."""
        if is_hole(file, piece.offset, piece.nbytes):
            yield np.zeros((1, self._dtype.itemsize), np.uint8)
            return
        step = piece.length if piece.rows > 1 else max(1, BLOCK_BYTES // 8) * 8
        for start in range(0, piece.length, step):
            length = min(step, piece.length - start)
            for _, rows in self._blocks(file, _Piece(piece.offset + start, piece.rows, piece.stride, length)):
                yield np.ascontiguousarray(rows)

    def _open_file(self) -> BinaryIO:
        if self._file is None:
            raise ValueError("the volume is closed")
        return self._file

    def _pieces(self, box: Sequence[slice]) -> Iterator["_Piece"]:
        """Where the bytes of a box lie, in its order."""
        shape = [part.stop - part.start for part in box]
        if 0 in shape:
            return
        whole = len(box)  # the axes from here on are wanted whole, so that they lie in one piece
        while whole > 0 and shape[whole - 1] == self._shape[whole - 1]:
            whole -= 1
        rows = max(whole - 2, 0)
        strides, item = self._strides, self._dtype.itemsize
        for index in product(*(range(part.start, part.stop) for part in box[:rows])):
            place = self._offset + sum(i * n for i, n in zip(index, strides, strict=False))
            place += sum(part.start * n for part, n in zip(box[rows : rows + 2], strides[rows:], strict=False))
            if whole - rows < 2:
                length = math.prod(shape[rows:]) * item
                yield _Piece(place, 1, length, length)
            else:
                yield _Piece(place, shape[rows], strides[rows], math.prod(shape[rows + 1 :]) * item)

    def _blocks(self, file: BinaryIO, piece: "_Piece") -> Iterator[tuple[int, np.ndarray]]:
        """Rows of a piece, as many at a time as fit into this thread's scratch, each with the number of the first."""
        stride = piece.stride if piece.rows > 1 else piece.length
        step = max(1, BLOCK_BYTES // stride)
        for row in range(0, piece.rows, step):
            count = min(step, piece.rows - row)
            block = self._block(count * stride)
            read_into(file, piece.offset + row * stride, block[: (count - 1) * stride + piece.length])
            yield row, block[: count * stride].reshape(count, stride)[:, : piece.length]

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

    `axes` are the stored ones that are z, y and x; of others the first entry is taken, but of `colours`, which lie
    along the last axis: by default along a fourth one.
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
