"""Whether two patches show the same tissue, decided on their pixels alone."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

# Patches are laid over each other within this many pixels, then compared in tiles of TILE pixels.
REACH = 12
TILE = 28
# Both must hold; the first is what --similarity moves.
SIMILARITY = 0.5
CORRELATION = 0.6
# The share of the tiles that must have contrast in both patches.
TEXTURED = 0.25
# Below this after the coarse registration, pairs are not looked at any further.
HOPELESS = 0.3


@dataclass(frozen=True)
class Agreement:
    """How well two patches agree where they lie over each other best.

    Attributes
    ----------
    similarity : float
        Mean correlation of corresponding tiles; of an inverted copy too it is positive.
    correlation : float
        Of all pixels at once; negative for an inverted copy.
    shift : tuple of int
        Rows and columns by which the second is moved.
    """

    similarity: float
    correlation: float
    shift: tuple[int, int] = (0, 0)

    def holds(self, similarity: float = SIMILARITY) -> bool:
        """Whether this is the same tissue."""
        return self.similarity >= similarity and abs(self.correlation) >= min(CORRELATION, similarity + 0.1)


NOTHING = Agreement(0.0, 0.0)


def compare(first: np.ndarray, second: np.ndarray, valid: np.ndarray | None = None) -> Agreement:
    """Register `second` on `first`, from coarse to fine, and compare them.

    Parameters
    ----------
    first, second : (h, w) uint8 arrays
        Of one shape; the second may be inverted.
    valid : (h, w) bool array, optional
        Where the second shows anything at all.
    """
    shift = _coarse_shift(first, second, valid)
    for size in (2, 1):
        if shift is None:
            return NOTHING
        a, b, known = (first, second, valid) if size == 1 else (_reduced(each, 2) for each in (first, second, valid))
        shift = _refined(a, b, known, (2 * shift[0], 2 * shift[1]), rows=4 // size)
    return NOTHING if shift is None else _compared(first, second, valid, shift)


def _coarse_shift(first: np.ndarray, second: np.ndarray, valid: np.ndarray | None) -> tuple[int, int] | None:
    """The best shift at a quarter of the size, in pixels of that size; None when nothing fits."""
    import cv2

    small, other = _reduced(first, 4), _reduced(second, 4)
    reach = min(REACH // 4, (min(small.shape) - 8) // 2)
    if reach < 0:
        return None
    inner = (slice(reach, other.shape[0] - reach), slice(reach, other.shape[1] - reach))
    if valid is None or valid.all():
        core = np.ascontiguousarray(other[inner])
        if core.min() == core.max():
            return None
        scores = np.abs(np.nan_to_num(cv2.matchTemplate(small, core, cv2.TM_CCOEFF_NORMED), posinf=0, neginf=0))
    else:
        scores = np.abs(shifted_correlations(small, other[inner], _reduced(valid, 4)[inner]))
    row, column = np.unravel_index(int(scores.argmax()), scores.shape)
    return (int(row) - reach, int(column) - reach) if scores[row, column] >= HOPELESS else None


def shifted_correlations(image: np.ndarray, inner: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Correlations of a smaller image, where it is known, with every place of a larger one; 0 where one is constant.

    What is not known has no say: a patch of which half lies in an image is laid there by that half alone.

    Parameters
    ----------
    image : ndarray of uint8, shape (h, w)
    inner : ndarray, shape (rows, columns)
    known : ndarray of bool, shape (rows, columns)

    Returns
    -------
    ndarray of float64, shape (h - rows + 1, w - columns + 1)
    """
    windows = np.lib.stride_tricks.sliding_window_view(image.astype(np.float64), inner.shape)
    weight, values, n = known.astype(np.float64), inner * known.astype(np.float64), float(known.sum())
    total, mine = np.einsum("abij,ij->ab", windows, weight), values.sum()
    squares = np.einsum("abij,ij->ab", windows * windows, weight)
    shared = n * np.einsum("abij,ij->ab", windows, values) - total * mine
    product = (n * squares - total**2) * (n * (values * values).sum() - mine**2)
    correlations: np.ndarray = np.divide(shared, np.sqrt(product), out=np.zeros_like(shared), where=product > 0)
    return correlations


def _reduced(values: Any, factor: int) -> Any:
    """An image at 1 / factor of its size by area; of a mask what is wholly known."""
    import cv2

    if values is None:
        return None
    size = (values.shape[1] // factor, values.shape[0] // factor)
    if values.dtype == np.bool_:
        return cv2.resize(values.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) == 255
    return cv2.resize(values, size, interpolation=cv2.INTER_AREA)


def _refined(
    first: np.ndarray, second: np.ndarray, valid: np.ndarray | None, shift: tuple[int, int], *, rows: int
) -> tuple[int, int] | None:
    """The best of a shift and its eight neighbours, textured by every `rows`-th row; None when none fits."""
    best, found = HOPELESS, None
    for y in (0, -1, 1):
        for x in (0, -1, 1):
            near = (shift[0] + y, shift[1] + x)
            a, b, known = overlapping(first, second, valid, near)
            a, b = a[::rows], b[::rows]
            value = abs(correlation(a, b) if known is None else correlation(a[known[::rows]], b[known[::rows]]))
            if value > best:
                best, found = value, near
    return found


def overlapping(
    first: np.ndarray, second: np.ndarray, valid: np.ndarray | None, shift: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """What of both lies over each other when the second is moved by `shift`.

    Parameters
    ----------
    first, second : ndarray, shape (h, w)
    valid : ndarray of bool, shape (h, w), optional
    shift : tuple of int

    Returns
    -------
    first, second, valid : ndarray, one shape
    """
    (y, x), (height, width) = shift, first.shape
    mine = (slice(max(0, y), height + min(0, y)), slice(max(0, x), width + min(0, x)))
    other = (slice(max(0, -y), height + min(0, -y)), slice(max(0, -x), width + min(0, -x)))
    return first[mine], second[other], None if valid is None else valid[other]


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's correlation of uint8 values; 0 where one is constant. The sums are exact integers.

    Parameters
    ----------
    a, b : ndarray of uint8, one shape
    """
    first, second = (values.ravel().astype(np.float64) for values in (a, b))
    n = first.size
    if n == 0:
        return 0.0
    total_a, total_b = first.sum(), second.sum()
    variance = (n * (first @ first) - total_a**2) * (n * (second @ second) - total_b**2)
    return float((n * (first @ second) - total_a * total_b) / math.sqrt(variance)) if variance > 0 else 0.0


def _compared(first: np.ndarray, second: np.ndarray, valid: np.ndarray | None, shift: tuple[int, int]) -> Agreement:
    a, b, known = overlapping(first, second, valid, shift)
    whole = correlation(a, b) if known is None else correlation(a[known], b[known])
    tiles = tile_correlations(a, b, known)
    if not tiles:
        return NOTHING
    return Agreement(math.copysign(1, whole) * math.fsum(tiles) / len(tiles), whole, shift)


def tile_correlations(a: np.ndarray, b: np.ndarray, known: np.ndarray | None = None) -> list[float]:
    """Correlations of corresponding tiles that are wholly known; nothing when too few have contrast.

    Tiles without contrast in both patches say nothing; without contrast in one they disagree.

    Parameters
    ----------
    a, b : ndarray of uint8, shape (h, w)
    known : ndarray of bool, shape (h, w), optional
    """
    side = min(TILE, *a.shape)
    rows, columns = a.shape[0] // side, a.shape[1] // side
    first, second = (_tiles(values, side, rows, columns).astype(np.float64) for values in (a, b))
    n = side * side
    total_a, total_b = first.sum(axis=1), second.sum(axis=1)
    spread_a = n * np.einsum("ij,ij->i", first, first) - total_a**2
    spread_b = n * np.einsum("ij,ij->i", second, second) - total_b**2
    shared = n * np.einsum("ij,ij->i", first, second) - total_a * total_b
    product = spread_a * spread_b
    values = np.divide(shared, np.sqrt(product), out=np.zeros_like(shared), where=product > 0)
    textured = (spread_a > 0) | (spread_b > 0)
    if known is not None:
        textured &= _tiles(known, side, rows, columns).all(axis=1)
    enough = textured.sum() >= max(1, TEXTURED * len(textured) / (1 if known is None else 4))
    return values[textured].tolist() if enough else []


def _tiles(values: np.ndarray, side: int, rows: int, columns: int) -> np.ndarray:
    """Square tiles from the middle of an array, one a row."""
    y, x = (values.shape[0] - rows * side) // 2, (values.shape[1] - columns * side) // 2
    inner = values[y : y + rows * side, x : x + columns * side]
    return inner.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(rows * columns, side * side)
