"""Arrays written to disk block by block, whatever their size: memory is one block."""

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import DTypeLike

from utils.formats.volume_base import Region
from utils.ngff.metadata import Triple

# Gives a box's values, an array of the box's shape (z, y, x).
ReadBox = Callable[[Region], np.ndarray]


def blocks(shape: Triple, chunk: Triple, most_bytes: int, itemsize: int) -> Iterator[Region]:
    """Boxes that cover a volume, made of whole chunks as far as `most_bytes` allows, in z, y, x order."""
    z, y, x = (min(c, n) for c, n in zip(chunk, shape, strict=True))
    row = most_bytes // (z * y * itemsize)
    x = min(shape[2], max(1, row // x) * x)
    if x == shape[2]:
        y = min(shape[1], max(1, most_bytes // (z * x * itemsize * y)) * y)
    sides = zip(shape, (z, y, x), strict=True)
    parts = [[slice(first, min(first + step, n)) for first in range(0, n, step)] for n, step in sides]
    yield from product(*parts)


def write_blocks(file: BinaryIO, shape: Triple, dtype: DTypeLike, boxes: Iterator[Region], read: ReadBox) -> None:
    """Write a C-ordered array from the file's position on; blocks land where they belong."""
    start, dtype = file.tell(), np.dtype(dtype)
    for box in boxes:
        block = np.ascontiguousarray(read(box), dtype)
        whole_rows = block.shape[2] == shape[2]
        for i, plane in enumerate(block):
            for j, part in enumerate([plane] if whole_rows else plane):
                row = (box[0].start + i) * shape[1] + box[1].start + (0 if whole_rows else j)
                file.seek(start + (row * shape[2] + box[2].start) * dtype.itemsize)
                file.write(part.data)


def write_npy(path: Path, shape: Triple, dtype: np.dtype, boxes: Iterator[Region], read: ReadBox) -> None:
    """Write an array as ``.npy``, block by block."""
    with path.open("wb") as file:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        write_blocks(file, shape, dtype, boxes, read)


def npy_planes(path: Path) -> Iterator[np.ndarray]:
    """The planes of a 3D ``.npy`` one after another, read rather than mapped so that memory stays one plane.

    Yields
    ------
    ndarray, shape (y, x)
    """
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        for _ in range(shape[0]):
            yield np.fromfile(file, dtype, shape[1] * shape[2]).reshape(shape[1:])
