"""Hashes of all patches of a cell at once: what patches of two axes share is computed once.

Small patches are made larger first, bit for bit as by Pillow: bilinear, columns, then rows, each a sum of integer
weights that is rounded to uint8. Of a side that becomes longer each sum has two terms at most: one call blends a row.

References
----------
Pillow, src/libImaging/Resample.c: ``precompute_coeffs`` and ``normalize_coeffs_8bpc``.
"""

from collections.abc import Callable, Iterator
from functools import cache
from itertools import groupby

import numpy as np

from utils.cubes import Cell, cut
from utils.dhash import PRECISION_BITS, bits_of_rows, reduce_last, reduce_middle
from utils.hashing import is_flat, patch_hasher

# Slices turned to float32 at a time, so that the scratch stays in a core's cache.
SLAB = 8
# Patches that are enlarged at a time.
STACK = 384
# Added to every blend: what lies between two whole numbers is rounded up, as Pillow does. Blends that do not lie there
# are at least twice as far from it.
UPWARDS = 2.0**-11


def hash_cell(
    cube: np.ndarray, cell: Cell, crop: int, *, hash_size: int = 8, method: str = "dhash"
) -> tuple[np.ndarray, np.ndarray]:
    """Hash every patch of a cell.

    Parameters
    ----------
    cube : ndarray of uint8, shape (z, y, x)
        The voxels of ``cell.region()``.
    cell : Cell
    crop : int
        Patches with a shorter side are resized (bilinear) to crop x crop before they are hashed.
    hash_size : int
    method : str

    Returns
    -------
    hashes : ndarray of uint64, shape (len(cell), words)
    flat : ndarray of bool, shape (len(cell),)
        Patches of one value throughout: they have no meaningful hash, theirs is 0.
    """
    if is_one_value(cube):
        return flat_hashes(len(cell), hash_size)
    patches = cell.patches()
    if method == "dhash":
        reduced = _reduced(cube, cell, hash_size) if _is_square(cell, crop) else _enlarged(cube, cell, crop, hash_size)
        hashes = np.concatenate([bits_of_rows(rows) for rows in reduced])
    else:
        hash_one = patch_hasher(crop, hash_size, method)
        hashes = np.stack([hash_one(cut(cube, cell, *where)) for where in patches])
    # A flat patch has equal neighbours everywhere, so only patches with an all-zero dHash need a look at their pixels.
    suspects = ~hashes.any(axis=1) if method == "dhash" else np.ones(len(hashes), bool)
    flat = np.zeros(len(hashes), bool)
    for patch in np.flatnonzero(suspects).tolist():
        flat[patch] = is_flat(cut(cube, cell, *patches[patch]))
    hashes[flat] = 0
    return hashes, flat


def flat_hashes(patches: int, hash_size: int) -> tuple[np.ndarray, np.ndarray]:
    """What `hash_cell` gives for so many patches of one value throughout.

    Returns
    -------
    hashes : ndarray of uint64, shape (patches, words)
    flat : ndarray of bool, shape (patches,)
    """
    return np.zeros((patches, -(-(hash_size**2) // 64)), np.uint64), np.ones(patches, bool)


def is_one_value(cube: np.ndarray) -> bool:
    """Whether all voxels are alike, as in the padding of sparse volumes; its first slice says no of most tissue.

    Parameters
    ----------
    cube : ndarray, shape (z, y, x)
    """
    return bool(cube[0].min() == cube[0].max() and cube.min() == cube.max())


def _is_square(cell: Cell, crop: int) -> bool:
    return all(cell.box(axis)[1::2] == (cell.box(axis).y0 + crop, cell.box(axis).x0 + crop) for axis in cell.axes)


def _reduced(cube: np.ndarray, cell: Cell, hash_size: int) -> Iterator[np.ndarray]:
    """For each axis of the cell its patches shrunk to (slices, hash size, hash size + 1).

    The xy and the xz patches share their first pass, along x; both second passes then run on an array that is 25
    times smaller. The yz patches are reduced along y, then z.
    """
    own = _own_slices(cell)
    if 0 in cell.axes or 1 in cell.axes:
        along_x = _by_slabs(cube, lambda slab: reduce_last(slab, hash_size + 1))
        if 0 in cell.axes:
            yield reduce_middle(along_x[own[0]], hash_size)
        if 1 in cell.axes:
            yield reduce_middle(along_x[:, own[1]].swapaxes(0, 1), hash_size)
    if 2 in cell.axes:
        along_y = _by_slabs(cube, lambda slab: reduce_middle(slab, hash_size + 1))
        yield reduce_middle(along_y[:, :, own[2]].transpose(2, 0, 1), hash_size)


def _enlarged(cube: np.ndarray, cell: Cell, crop: int, hash_size: int) -> Iterator[np.ndarray]:
    """As `_reduced`, of patches that are made square first, those of one size together."""
    for _, alike in groupby(_stacks(cube, cell), lambda stack: stack.shape[:2]):
        stack = np.concatenate(list(alike), axis=2)
        for part in np.array_split(stack, -(-stack.shape[2] // STACK), axis=2):
            yield _squared(part, crop, hash_size)


def _stacks(cube: np.ndarray, cell: Cell) -> Iterator[np.ndarray]:
    """For each axis of the cell its patches (h, w, slices): one operation then is for the same row of all."""
    own = _own_slices(cell)
    if 0 in cell.axes:
        yield _slices_last(cube[own[0]])
    if 1 in cell.axes:
        yield _slices_last(cube[:, own[1]].swapaxes(0, 1))
    if 2 in cell.axes:
        yield np.ascontiguousarray(cube[:, :, own[2]])


def _slices_last(patches: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.transpose(patches.reshape(len(patches), -1)).reshape(*patches.shape[1:], -1)


def _squared(stack: np.ndarray, crop: int, hash_size: int) -> np.ndarray:
    """Patches (h, w, n), made (crop, crop, n) a few rows at a time, and shrunk to (n, hash size, hash size + 1)."""
    wide = enlarge(stack, crop, 1)
    slabs = (enlarge(wide, crop, 0, slice(first, first + SLAB)) for first in range(0, crop, SLAB))
    rows = np.concatenate([reduce_middle(slab.astype(np.float32), hash_size + 1) for slab in slabs])
    return np.moveaxis(reduce_middle(rows.reshape(crop, -1), hash_size).reshape(hash_size, hash_size + 1, -1), 2, 0)


@cache
def bilinear_steps(length: int, enlarged: int) -> list[tuple[int, int, float]]:
    """Which two pixels are blended to each new one, and the share of the second.

    Pillow's shares have 22 binary digits. Those here lead to the same whole numbers, and lie in the middle of all that
    do: float32 is far from precise enough to miss them.

    Parameters
    ----------
    length, enlarged : int
        Of the side before and after; it becomes no shorter.

    Returns
    -------
    list of (int, int, float), `enlarged` of them
    """
    centres = (np.arange(enlarged) + 0.5) * (length / enlarged) - 0.5
    first = np.clip(np.floor(centres).astype(np.intp), 0, max(length - 2, 0))
    shares = (np.clip(centres - first, 0, 1) * (1 << PRECISION_BITS) + 0.5).astype(np.int64)
    steps, half = np.arange(1, 256), 1 << (PRECISION_BITS - 1)  # from one pixel to the other; upwards and downwards:
    least = (((half + shares[:, np.newaxis] * steps) >> PRECISION_BITS) - 0.5) / steps
    most = (0.5 - ((half - shares[:, np.newaxis] * steps) >> PRECISION_BITS)) / steps
    middle = (least.max(axis=1) + most.min(axis=1)) / 2
    return list(zip(first.tolist(), np.minimum(first + 1, length - 1).tolist(), middle.tolist(), strict=True))


def enlarge(pixels: np.ndarray, enlarged: int, axis: int, rows: slice = slice(None)) -> np.ndarray:
    """Enlarge the first or the second axis.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (m, n, patches)
        Of which the last axis is contiguous.
    enlarged : int
    axis : {0, 1}
    rows : slice
        Which of the enlarged axis are made.

    Returns
    -------
    ndarray of uint8, shape (enlarged, n, patches) or (m, enlarged, patches), or only some rows of it
    """
    import cv2

    across = pixels.swapaxes(0, axis)
    if len(across) == enlarged:
        return across[rows].swapaxes(0, axis)
    steps = bilinear_steps(len(across), enlarged)[rows]
    shape = list(pixels.shape)
    shape[axis] = len(steps)
    result = np.empty(shape, np.uint8)
    for (first, second, share), row in zip(steps, result.swapaxes(0, axis), strict=True):
        cv2.addWeighted(across[first], 1 - share, across[second], share, UPWARDS, dst=row)
    return result


def _own_slices(cell: Cell) -> list[slice]:
    """Where in a cell's cube, along z, y, x, the slices are that are patches of each axis."""
    cut = [cell.slices(axis) for axis in range(3)]
    return [slice(c.start - f, c.stop - f, c.step) for c, (f, _) in zip(cut, cell.region(), strict=True)]


def _by_slabs(cube: np.ndarray, reduce: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    parts = [reduce(cube[first : first + SLAB].astype(np.float32)) for first in range(0, len(cube), SLAB)]
    return np.concatenate(parts)
