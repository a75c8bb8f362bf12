"""The coarse level on which candidate boxes of a fine one are found: fetched once, block by block, and kept."""

import math
import re
import zlib
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import DTypeLike

from utils.axes import Lengths, Triple, triple
from utils.files import atomic_path, list_files
from utils.formats.volume_base import Region
from utils.ngff.dataset import factors
from utils.ngff.multiscale import Multiscale
from utils.ngff.read import LevelReader
from utils.sampling.rois import Spans
from utils.sampling.survey import Survey

# Gives a box's values, an array of the box's shape (z, y, x).
ReadBox = Callable[[Region], np.ndarray]
FOLDER = ".overview"
LARGEST = 256 << 20
# Overview voxels that a cube should span at least, so that its share of specimen means something.
FINE_ENOUGH = 8
BLOCK_BYTES = 16 << 20


def overview_levels(image: Multiscale, level: int, crop: int) -> list[int]:
    """Levels of at most 256 MB on which boxes of `level` can be judged, the best one first.

    That is the coarsest on which a cube spans at least 8 voxels per axis; then finer ones, then coarser ones.
    """
    small = [i for i in range(len(image.levels)) if image.levels[i].nbytes <= LARGEST and _coarser(image, i, level)]
    fine = {i for i in small if min(_spanned(image, i, level, crop)) >= FINE_ENOUGH}
    size = {i: math.prod(image.levels[i].shape) for i in small}
    return sorted(small, key=lambda i: (i not in fine, size[i] if i in fine else -size[i]))


def _coarser(image: Multiscale, index: int, level: int) -> bool:
    if image.levels[index].problem:
        return False
    pairs = zip(image.levels[index].shape, image.levels[level].shape, strict=True)
    return all(a <= b for a, b in pairs)


def _spanned(image: Multiscale, index: int, level: int, crop: int) -> list[float]:
    """Overview voxels that a cube spans, z, y, x; an axis shorter than a cube is spanned whole."""
    return [min(crop, n) / r for n, r in zip(image.levels[level].shape, ratio(image, index, level), strict=True)]


def ratio(image: Multiscale, index: int, level: int) -> Lengths:
    """Voxels of `level` per voxel of level `index`, z, y, x."""
    return triple(a / b for a, b in zip(factors(image, index), factors(image, level), strict=True))


def overview_path(image: Multiscale, index: int, folder: Path, name: str) -> Path:
    """Where an overview is kept; the address is part of the name, lest two images share one."""
    return folder / FOLDER / f"{name}_s{index}-{zlib.crc32(str(image.store).encode()):08x}.npy"


def fetch_overview(image: Multiscale, index: int, path: Path) -> None:
    """Bring a level into a ``.npy`` file, unless it is there."""
    if path.exists():
        return
    level = image.levels[index]
    reader = LevelReader(image.store, level)
    boxes = blocks(level.shape, level.chunk, BLOCK_BYTES, level.dtype.itemsize)
    with atomic_path(path) as scratch:
        write_npy(scratch, level.shape, level.dtype, boxes, reader.read)
    reader.close()


def survey(image: Multiscale, index: int, path: Path, level: int, spans_zyx: Spans, padding: float) -> Survey:
    """The boxes of `level`, seen on the overview that was fetched to `path`."""
    seen = Survey(spans_zyx, ratio(image, index, level), image.levels[index].shape, padding, index)
    for z, plane in enumerate(npy_planes(path)):
        seen.add(z, plane)
    return seen


def discard_overviews(folder: Path, name: str) -> None:
    """Remove what is kept of a dataset's overviews, and of its mask's."""
    own = re.compile(rf"{re.escape(name)}(-mask)?_s\d+-[0-9a-f]{{8}}\.npy")
    for path in list_files(folder / FOLDER):
        if own.fullmatch(path.name):
            path.unlink()


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
