"""Arrays written to disk block by block, whatever their size: memory is one block."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import DTypeLike

from utils.formats.volume_base import Region
from utils.sampling.rois import Triple


def blocks(shape: Triple, chunk: Triple, most_bytes: int, itemsize: int) -> Iterator[Region]:
    """Boxes that cover a volume, made of whole chunks as far as `most_bytes` allows, in z, y, x order."""
    z, y, x = (min(c, n) for c, n in zip(chunk, shape, strict=True))
    row = most_bytes // (z * y * itemsize)
    x = min(shape[2], max(1, row // x) * x)
    if x == shape[2]:
        y = min(shape[1], max(1, most_bytes // (z * x * itemsize * y)) * y)
    for z0 in range(0, shape[0], z):
        for y0 in range(0, shape[1], y):
            for x0 in range(0, shape[2], x):
                yield (
                    slice(z0, min(z0 + z, shape[0])),
                    slice(y0, min(y0 + y, shape[1])),
                    slice(x0, min(x0 + x, shape[2])),
                )


def write_blocks(
    file: BinaryIO, shape: Triple, dtype: DTypeLike, boxes: Iterator[Region], read: Callable[[Region], np.ndarray]
) -> None:
    """Write a C-ordered array from the file's position on; blocks land where they belong.

    Parameters
    ----------
    file : binary file
    shape : tuple of int
    dtype : dtype
    boxes : iterator of Region
    read : callable
        Gives a box's values, an ndarray of the box's shape (z, y, x).
    """
    start, dtype = file.tell(), np.dtype(dtype)
    for box in boxes:
        block = np.ascontiguousarray(read(box), dtype)
        whole_rows = block.shape[2] == shape[2]
        for i, plane in enumerate(block):
            for j, part in enumerate([plane] if whole_rows else plane):
                row = (box[0].start + i) * shape[1] + box[1].start + (0 if whole_rows else j)
                file.seek(start + (row * shape[2] + box[2].start) * dtype.itemsize)
                file.write(part.data)


def write_npy(
    path: Path, shape: Triple, dtype: np.dtype, boxes: Iterator[Region], read: Callable[[Region], np.ndarray]
) -> None:
    """Write an array as ``.npy``, block by block.

    Parameters
    ----------
    path : Path
    shape : tuple of int
    dtype : dtype
    boxes : iterator of Region
    read : callable
        Gives a box's values, an ndarray of the box's shape (z, y, x).
    """
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
