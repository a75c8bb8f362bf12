"""Correlations of uint8 images, of all their pixels, and tile by tile: from exact whole sums.

Sums of bytes and of their products are whole numbers that OpenCV adds as integers, and float32 holds over a column of
a tile: every machine finds the same, and finds it several times as fast as by way of float64.
"""

import math
from typing import Any

import numpy as np

TILE = 28
# The share of the tiles that must have contrast in both patches.
TEXTURED = 0.25


def correlation(a: np.ndarray, b: np.ndarray, known: np.ndarray | None = None) -> float:
    """Pearson's correlation of uint8 values; 0 where one is constant.

    Parameters
    ----------
    a, b : ndarray of uint8, shape (h, w)
    known : ndarray of bool, shape (h, w), optional
        Which of them count.
    """
    import cv2

    mask: Any = None if known is None else known.view(np.uint8)
    n = a.size if known is None else int(np.count_nonzero(known))
    # With a mask OpenCV squares a root: what is a whole number comes back as nearly one.
    total_a, total_b = (round(cv2.norm(values, cv2.NORM_L1, mask)) for values in (a, b))
    squares_a, squares_b = (round(cv2.norm(values, cv2.NORM_L2SQR, mask)) for values in (a, b))
    shared = (squares_a + squares_b - round(cv2.norm(a, b, cv2.NORM_L2SQR, mask))) // 2
    variance = (n * squares_a - total_a**2) * (n * squares_b - total_b**2)
    return (n * shared - total_a * total_b) / math.sqrt(variance) if variance > 0 else 0.0


def tile_correlations(a: np.ndarray, b: np.ndarray, known: np.ndarray | None = None, tile: int = TILE) -> list[float]:
    """Correlations of corresponding tiles that are wholly known; nothing when too few have contrast.

    Tiles without contrast in both patches say nothing; without contrast in one they disagree.

    Parameters
    ----------
    a, b : ndarray of uint8, shape (h, w)
    known : ndarray of bool, shape (h, w), optional
    tile : int
        Side of a tile; smaller patches are one.
    """
    side = min(tile, *a.shape)
    first, second = (_inner(values, side).astype(np.float32) for values in (a, b))
    total_a, total_b = (_tile_sums(values, side) for values in (first, second))
    squares_a, squares_b, both = (
        _tile_sums(x * y, side) for x, y in ((first, first), (second, second), (first, second))
    )
    n = side * side
    spread_a, spread_b = n * squares_a - total_a**2, n * squares_b - total_b**2
    product = spread_a * spread_b
    shared = n * both - total_a * total_b
    values = np.divide(shared, np.sqrt(product), out=np.zeros_like(shared), where=product > 0)
    textured = (spread_a > 0) | (spread_b > 0)
    if known is not None:
        textured &= _tile_sums(_inner(known, side).astype(np.float32), side) == n
    enough = textured.sum() >= max(1, TEXTURED * len(textured) / (1 if known is None else 4))
    return values[textured].tolist() if enough else []


def _inner(values: np.ndarray, side: int) -> np.ndarray:
    """The middle of an array that whole tiles cover."""
    y, x = (length % side // 2 for length in values.shape)
    rows, columns = (length // side * side for length in values.shape)
    return values[y : y + rows, x : x + columns]


def _tile_sums(values: np.ndarray, side: int) -> np.ndarray:
    """Sums of whole numbers over the tiles of an array, row by row of tiles: exact.

    A column of a tile sums up to less than 2^24, which float32 holds, whatever the order.
    """
    height, width = values.shape
    columns = np.add.reduce(values.reshape(height // side, side, width), axis=1)
    return np.add.reduceat(columns, np.arange(0, width, side), axis=1, dtype=np.float64).ravel()
