"""Stacks of small patches made larger, bit for bit as Pillow's bilinear filter does it.

Pillow resizes columns first, then rows, each as a sum of integer weights that is rounded to uint8. Of a side that
becomes longer, each sum has two terms at most, so that one call blends all that becomes one row.

References
----------
Pillow, src/libImaging/Resample.c: ``precompute_coeffs`` and ``normalize_coeffs_8bpc``.
"""

from functools import cache

import numpy as np

from utils.dhash import PRECISION_BITS

# Added to every blend: what lies between two whole numbers is rounded up, as Pillow does. Blends that do not lie there
# are at least twice as far from it.
UPWARDS = 2.0**-11


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
