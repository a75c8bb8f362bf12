"""Whether two patches show the same tissue, decided on their pixels alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from utils.correlations import TILE, correlation, tile_correlations

# Patches are laid over each other within this many pixels, then compared tile by tile.
REACH = 12
# Both must hold; the first is what --similarity moves.
SIMILARITY = 0.5
CORRELATION = 0.6
# Below this after the coarse registration, pairs are not looked at any further.
HOPELESS = 0.3
# Nor below this similarity there: of copies a shift of half such a pixel leaves .26 and more, unrelated pairs have .21
# at most in 99 of 100.
FAINT = 0.15


@dataclass(frozen=True)
class Agreement:
    """How well two patches agree where they lie over each other best."""

    similarity: float  # mean correlation of corresponding tiles; of an inverted copy too it is positive
    correlation: float  # of all pixels at once; negative for an inverted copy
    shift: tuple[int, int] = (0, 0)  # rows and columns by which the second is moved

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
    known = None if valid is None or valid.all() else sizes_of(valid)
    return compare_sizes(sizes_of(first), sizes_of(second), known)


def sizes_of(image: np.ndarray) -> list[np.ndarray]:
    """An image as it is, at half and at a quarter of its size, by area; of a mask what is wholly known.

    Parameters
    ----------
    image : (h, w) uint8 or bool array

    Returns
    -------
    list of ndarray, shapes (h, w), (h // 2, w // 2), (h // 4, w // 4)
    """
    half = _halved(image)
    return [image, half, _halved(half)]


def _halved(values: Any) -> Any:
    import cv2

    size = (max(1, values.shape[1] // 2), max(1, values.shape[0] // 2))
    if values.dtype == np.bool_:
        return cv2.resize(values.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) == 255
    return cv2.resize(values, size, interpolation=cv2.INTER_AREA)


def compare_sizes(
    first: Sequence[np.ndarray], second: Sequence[np.ndarray], valid: Sequence[np.ndarray] | None = None
) -> Agreement:
    """Compare what `sizes_of` gives, or views of it; a size is looked at only when the smaller ones agree.

    Parameters
    ----------
    first, second : sequence of ndarray of uint8, shape (h, w)
    valid : sequence of ndarray of bool, shape (h, w), optional
    """

    def at(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        a, b = (np.ascontiguousarray(each[size]) for each in (first, second))
        return a, b, None if valid is None else valid[size]

    shift = _coarse_shift(*at(2))
    for size in (1, 0):
        if shift is None:
            return NOTHING
        shift = _refined(*at(size), (2 * shift[0], 2 * shift[1]), rows=4 >> size)
    return NOTHING if shift is None else _compared(*at(0), shift)


def _coarse_shift(first: np.ndarray, second: np.ndarray, known: np.ndarray | None) -> tuple[int, int] | None:
    """The best shift of images of a quarter of the size; None when nothing fits."""
    import cv2

    reach = min(REACH // 4, (min(first.shape) - 8) // 2)
    if reach < 0:
        return None
    inner = (slice(reach, second.shape[0] - reach), slice(reach, second.shape[1] - reach))
    core = np.ascontiguousarray(second[inner])
    # What is not known has no say: a patch of which half lies in an image is laid there by that half alone.
    mask: Any = None if known is None else np.ascontiguousarray(known[inner]).view(np.uint8)
    if np.equal(*cv2.minMaxLoc(core, mask)[:2]):
        return None
    scores = np.abs(cv2.matchTemplate(first, core, cv2.TM_CCOEFF_NORMED, mask=mask))
    scores[~np.isfinite(scores)] = 0
    row, column = np.unravel_index(int(scores.argmax()), scores.shape)
    if scores[row, column] < HOPELESS:
        return None
    shift = (int(row) - reach, int(column) - reach)
    tiles = tile_correlations(*_overlapping(first, second, known, shift), tile=TILE // 4)
    return None if tiles and abs(math.fsum(tiles)) < FAINT * len(tiles) else shift


def _refined(
    first: np.ndarray, second: np.ndarray, valid: np.ndarray | None, shift: tuple[int, int], *, rows: int
) -> tuple[int, int] | None:
    """The best of a shift and its eight neighbours, textured by every `rows`-th row; None when none fits."""
    best, found = HOPELESS, None
    for y in (0, -1, 1):
        for x in (0, -1, 1):
            near = (shift[0] + y, shift[1] + x)
            a, b, known = _overlapping(first, second, valid, near)
            value = abs(correlation(a[::rows], b[::rows], None if known is None else known[::rows]))
            if value > best:
                best, found = value, near
    return found


def _overlapping(
    first: np.ndarray, second: np.ndarray, valid: np.ndarray | None, shift: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """What of both (h, w) lies over each other when the second is moved by `shift`; `valid` is a mask of the second."""
    (y, x), (height, width) = shift, first.shape
    # What reaches over the end is cut there.
    mine = (slice(max(0, y), height + y), slice(max(0, x), width + x))
    other = (slice(max(0, -y), height - y), slice(max(0, -x), width - x))
    return first[mine], second[other], None if valid is None else valid[other]


def _compared(first: np.ndarray, second: np.ndarray, valid: np.ndarray | None, shift: tuple[int, int]) -> Agreement:
    a, b, known = _overlapping(first, second, valid, shift)
    whole, tiles = correlation(a, b, known), tile_correlations(a, b, known)
    if not tiles:
        return NOTHING
    return Agreement(math.copysign(1, whole) * math.fsum(tiles) / len(tiles), whole, shift)
