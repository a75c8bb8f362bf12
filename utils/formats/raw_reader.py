"""Boxes of an array in a file, read where they lie: never the whole, never mapped.

A mapped file that shrinks ends its reader by a signal; a read that comes up short is an error like any other.
"""

import math
import threading
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from utils.reading import is_hole, open_regular, read_into

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
    """Boxes of an array in a file; safe to use from many threads at once.

    Parameters
    ----------
    dtype : numpy.dtype
        With its byte order.
    shape : tuple of int
        As stored.
    offset : int
        Where the array begins.
    """

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
