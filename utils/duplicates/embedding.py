"""What a window looks like, in 64 bytes: the lowest coefficients of its cosine transform, comparable in eight views.

Every number is made from integers that float64 holds exactly, and rounded once, so that machines agree on every bit.
"""

from collections.abc import Sequence
from functools import cache
from itertools import product

import numpy as np

# Blocks along a side of a window, and coefficients kept along a side; the constant one is left out, a 0 stands for it.
BLOCKS = 32
KEPT = 8
SIZE = KEPT * KEPT
# Coefficients in units of their deviation are clipped here, and stored in steps of 1/STEP.
CLIP = 2.5
STEP = 48
# Cosines are rounded to integers of this size.
PRECISION = 256
# The eight views of a square: transposed first, then rows mirrored, then columns mirrored.
VIEWS: tuple[tuple[bool, bool, bool], ...] = tuple((bool(t), bool(y), bool(x)) for t, y, x in product((0, 1), repeat=3))


def view_of(patch: np.ndarray, view: int) -> np.ndarray:
    """One of the eight views of an image: transposed, rows mirrored, columns mirrored.

    >>> view_of(np.array([[1, 2], [3, 4]]), 4).tolist(), view_of(np.array([[1, 2], [3, 4]]), 1).tolist()
    ([[1, 3], [2, 4]], [[2, 1], [4, 3]])

    Parameters
    ----------
    patch : ndarray, shape (h, w)
    view : int

    Returns
    -------
    ndarray, shape (h, w) or (w, h)
    """
    transposed, rows, columns = VIEWS[view]
    patch = patch.T if transposed else patch
    return patch[:: -1 if rows else 1, :: -1 if columns else 1]


def _relative_views() -> np.ndarray:
    """The view that makes one image like another, when this view of it is like that view of the other: (8, 8)."""
    image = np.array([[0, 1], [2, 3]])
    seen = [view_of(image, view).tolist() for view in range(len(VIEWS))]
    table = np.empty((len(VIEWS), len(VIEWS)), np.int64)
    for its_view in range(len(VIEWS)):
        for view in range(len(VIEWS)):
            table[seen.index(view_of(view_of(image, view), its_view).tolist()), its_view] = view
    return table


RELATIVE_VIEWS = _relative_views()


def view_name(view: int, inverted: bool = False) -> str:
    """How tables call a view; ``rot`` turns counterclockwise.

    >>> view_name(0), view_name(6, inverted=True)
    ('same', 'rot90 inverted')
    """
    names = ("same", "mirrored columns", "mirrored rows", "rot180", "transposed", "rot270", "rot90", "antitransposed")
    return names[view] + (" inverted" if inverted else "")


def _block_sums(patch: np.ndarray) -> np.ndarray:
    """Sums over a grid of equal areas of an image (h, w): (BLOCKS, BLOCKS) integers, in 1 / BLOCKS**2 of a pixel."""
    # A column of a block sums up to less than 2^24, which float32 holds exactly as long as a side is below 2^16.
    exact = np.float32 if max(patch.shape) < 1 << 16 else np.float64
    height, width = patch.shape
    if height % BLOCKS == 0:
        rows = BLOCKS * np.add.reduce(patch.astype(exact).reshape(BLOCKS, height // BLOCKS, width), axis=1)
    else:
        rows = _overlaps(height).astype(exact) @ patch.astype(exact)
    return np.asarray(rows.astype(np.float64) @ _overlaps(width).T)


@cache
def _overlaps(side: int) -> np.ndarray:
    """How much of each pixel lies in each block, in units of 1 / BLOCKS of a pixel: (BLOCKS, side)."""
    edges = np.arange(BLOCKS + 1) * side
    pixels = np.arange(side + 1) * BLOCKS
    low = np.maximum(edges[:-1, np.newaxis], pixels[np.newaxis, :-1])
    high = np.minimum(edges[1:, np.newaxis], pixels[np.newaxis, 1:])
    return np.asarray(np.maximum(high - low, 0), np.float64)


@cache
def _cosines(blocks: int) -> np.ndarray:
    """The lowest basis vectors of the cosine transform as integers: (KEPT, blocks)."""
    phase = np.pi * np.arange(KEPT)[:, np.newaxis] * (2 * np.arange(blocks) + 1) / (2 * blocks)
    return np.asarray(np.rint(PRECISION * np.cos(phase)))


def transform(sums: np.ndarray) -> np.ndarray:
    """The lowest coefficients of windows of block sums.

    Parameters
    ----------
    sums : ndarray, shape (..., blocks, blocks)

    Returns
    -------
    ndarray, shape (..., KEPT, KEPT)
    """
    basis = _cosines(sums.shape[-1])
    return np.asarray(basis @ sums @ basis.T)


def codes_of(coefficients: np.ndarray) -> np.ndarray:
    """Coefficients in units of their own deviation, clipped.

    A window without contrast is 0 throughout and resembles nothing.

    Parameters
    ----------
    coefficients : ndarray, shape (n, KEPT, KEPT)

    Returns
    -------
    ndarray of int8, shape (n, SIZE)
    """
    flat = coefficients.reshape(-1, SIZE).copy()
    flat[:, 0] = 0
    deviation = np.sqrt((flat * flat).sum(axis=1, keepdims=True) / (SIZE - 1))
    scaled = np.divide(flat, deviation, out=np.zeros_like(flat), where=deviation > 0)
    return np.asarray(np.rint(np.clip(scaled, -CLIP, CLIP) * STEP), np.int8)


def embed_all(patches: Sequence[np.ndarray]) -> np.ndarray:
    """The codes of patches.

    Parameters
    ----------
    patches : sequence of ndarray of uint8, shape (h, w)

    Returns
    -------
    ndarray of int8, shape (n, SIZE)
    """
    return codes_of(transform(np.array([_block_sums(patch) for patch in patches]).reshape(-1, BLOCKS, BLOCKS)))


def code_views(codes: np.ndarray) -> np.ndarray:
    """The codes of all eight views.

    Mirroring changes the sign of odd coefficients, transposing swaps the axes; inversion is the negative.

    Parameters
    ----------
    codes : ndarray of int8, shape (n, SIZE)

    Returns
    -------
    ndarray of int8, shape (n, 8, SIZE)
    """
    square = codes.reshape(-1, KEPT, KEPT)
    odd = np.where(np.arange(KEPT) % 2, -1, 1).astype(np.int8)
    views = []
    for transposed, rows, columns in VIEWS:
        seen = square.transpose(0, 2, 1) if transposed else square
        seen = seen * odd[:, np.newaxis] if rows else seen
        views.append((seen * odd if columns else seen).reshape(-1, SIZE))
    return np.stack(views, axis=1)


def lengths(codes: np.ndarray) -> np.ndarray:
    """Euclidean lengths of codes.

    Parameters
    ----------
    codes : ndarray of int8, shape (n, SIZE)

    Returns
    -------
    ndarray of float64, shape (n,)
    """
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", codes, codes, dtype=np.float64)))
