"""Windows that an image chooses by its content: where a blob is, whatever the offset, the view or the contrast.

A copy of a patch of tissue chooses the same windows, so that a few hundred windows a megapixel do for what a window at
every fourth pixel would: a patch and an image that overlap share those that lie in both. All numbers are integers that
float64 holds exactly: every machine chooses the same windows.
"""

from dataclasses import dataclass

import numpy as np

from utils.duplicates.embedding import KEPT, STEP, VIEWS, code_views, codes_of, transform

# Side of a window, blur of a blob and of its surroundings, and the radius in which it is the only one; in blocks.
WINDOW = 40
INNER, OUTER = 5, 9
RADIUS = 4
# Blocks of a patch are this many pixels wide; those of an excluded image half, as and twice as much: other scales.
BLOCK = 2
LEVELS = (1, 2, 4)
# A view is in doubt when what decides it is less than this many deviations.
DOUBT = 0.35
# Windows at a time: bounds the copies of pixels.
CHUNK = 512


@dataclass(frozen=True)
class Windows:
    """Windows of one image."""

    places: np.ndarray  # (n, 2) float64: their middles, row and column in pixels of the image
    codes: np.ndarray  # (n, SIZE) int8, in the canonical view and polarity
    views: np.ndarray  # (n,) uint8: the view that is canonical, and 8 more where it is inverted


def find_windows(image: np.ndarray, block: int, *, most: int | None = None, doubts: bool = False) -> Windows:
    """The windows of an image at one size of blocks.

    Parameters
    ----------
    image : ndarray of uint8, shape (h, w)
    block : int
        In pixels.
    most : int, optional
        Only so many, those of the strongest blobs.
    doubts : bool
        Give a window once in each view that might be canonical, not only in the likeliest.
    """
    sums = _blocks_of(image, block)
    rows, columns, strength = _blobs(sums)
    if most is not None and len(rows) > most:
        chosen = np.sort(np.argsort(-np.abs(strength), kind="stable")[:most])
        rows, columns, strength = rows[chosen], columns[chosen], strength[chosen]
    coefficients = np.empty((len(rows), KEPT, KEPT))
    windows = np.lib.stride_tricks.sliding_window_view(sums, (WINDOW, WINDOW)) if len(rows) else sums
    half = WINDOW // 2
    for start in range(0, len(rows), CHUNK):
        part = slice(start, start + CHUNK)
        coefficients[part] = transform(windows[rows[part] - half, columns[part] - half])
    inverted = strength < 0
    codes = codes_of(np.where(inverted[:, np.newaxis, np.newaxis], -coefficients, coefficients))
    window, view = _canonical_views(codes, doubts=doubts)
    places = np.stack([rows, columns], axis=1)[window] * float(block)
    turned = code_views(codes)[window, view] if len(codes) else codes
    return Windows(places, turned, (view + 8 * inverted[window]).astype(np.uint8))


def _blocks_of(image: np.ndarray, block: int) -> np.ndarray:
    """Sums over blocks of block x block pixels; what is left over at the far edges is left out."""
    rows, columns = (side // block for side in image.shape)
    image = image[: rows * block, : columns * block]
    return np.asarray(image.reshape(rows, block, columns, block).sum(axis=(1, 3), dtype=np.float64))


def _blobs(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns and signed strength, (n,) each, of blobs that are far enough from the edges for a window.

    A window's middle lies between four blocks, and so does a blob's: it is the same seen from every side.
    """
    import cv2

    nothing = np.zeros(0, np.int64)
    half = WINDOW // 2
    if min(sums.shape) < WINDOW:
        return nothing, nothing, nothing.astype(np.float64)
    corners = cv2.boxFilter(sums, -1, (2, 2), anchor=(1, 1), normalize=False)
    inner, outer = (_blurred(corners, width) for width in (INNER, OUTER))
    contrast = inner * float(OUTER**6) - outer * float(INNER**6)
    size = np.ones((2 * RADIUS + 1, 2 * RADIUS + 1), np.uint8)
    bright, dark = ((signed == cv2.dilate(signed, size)) & (signed > 0) for signed in (contrast, -contrast))
    middle = (bright | dark)[half : sums.shape[0] - half + 1, half : sums.shape[1] - half + 1]
    rows, columns = (places + half for places in np.nonzero(middle))
    return rows, columns, contrast[rows, columns]


def _blurred(values: np.ndarray, width: int) -> np.ndarray:
    import cv2

    for _ in range(3):
        values = cv2.boxFilter(values, -1, (width, width), normalize=False, borderType=cv2.BORDER_REFLECT_101)
    return values


def _canonical_views(codes: np.ndarray, *, doubts: bool) -> tuple[np.ndarray, np.ndarray]:
    """Which view makes a window brighter to the right and below, and more so below."""
    margin = DOUBT * STEP if doubts else 0.0
    right, below = codes[:, 1].astype(np.int64), codes[:, KEPT].astype(np.int64)
    possible = np.zeros((len(codes), len(VIEWS)), bool)
    for number, (transposed, rows, columns) in enumerate(VIEWS):
        y, x = (right, below) if transposed else (below, right)
        y, x = (-y if rows else y), (-x if columns else x)
        possible[:, number] = (y >= -margin) & (x >= -margin) & (y >= x - margin)
    if doubts:
        window, view = np.nonzero(possible)
        return window, view
    return np.arange(len(codes)), possible.argmax(axis=1)


def view_matrix(view: int) -> np.ndarray:
    """Where a point of an image, (row, column) from its middle, lies in one of its views.

    Returns
    -------
    ndarray, shape (2, 2)
    """
    transposed, rows, columns = VIEWS[view]
    matrix = np.array([[0.0, 1.0], [1.0, 0.0]]) if transposed else np.eye(2)
    return np.asarray(np.diag([-1.0 if rows else 1.0, -1.0 if columns else 1.0]) @ matrix)
