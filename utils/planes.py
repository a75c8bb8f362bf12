"""Planes: a bounded look at an image or a stack, in which neighbours are still neighbours."""

import numpy as np

# Pixels looked at; of more, so many bands of rows of every plane.
SAMPLE, BANDS = 1 << 22, 8
# Rows of a band at least, so that each has one above and one below.
ROWS = 3


def in_bands(planes: np.ndarray) -> np.ndarray:
    """Planes in one row: whole ones, or where they are large a few bands of rows of each.

    Parameters
    ----------
    planes : ndarray, shape (..., h, w)

    Returns
    -------
    ndarray, shape (n, rows, w)
    """
    planes = planes.reshape(-1, *planes.shape[-2:])
    count, height, width = planes.shape
    if planes.size <= SAMPLE:
        return planes
    rows = max(ROWS, SAMPLE // (BANDS * count * width))
    if height <= rows * BANDS:
        return planes
    starts = np.linspace(0, height - rows, BANDS).astype(int).tolist()
    return np.concatenate([planes[:, start : start + rows] for start in starts])
