"""Where the structure of a patch is: cells beside resin or padding are judged by the part that shows them."""

import numpy as np

# A patch is looked at as so many blocks a side, at so many pixels a block side: noise and grain average out.
BLOCKS, PIXELS = 16, 7
# A block shows structure when it varies by so much of what the busiest blocks do.
FAINT, BUSIEST = 0.25, 0.95


def structured_blocks(patch: np.ndarray) -> np.ndarray:
    """Which blocks of a patch show structure; none of a patch of one gray.

    Parameters
    ----------
    patch : ndarray of uint8, shape (h, w)

    Returns
    -------
    ndarray of bool, shape (16, 16)
    """
    import cv2

    side = BLOCKS * PIXELS
    smooth = cv2.GaussianBlur(cv2.resize(patch, (side, side), interpolation=cv2.INTER_AREA), (3, 3), 0)
    centred = smooth.astype(np.float32) - cv2.mean(smooth)[0]
    means, squares = (
        cv2.resize(values, (BLOCKS, BLOCKS), interpolation=cv2.INTER_AREA) for values in (centred, centred**2)
    )
    variances = squares - means**2
    busiest = np.sort(variances, axis=None)[int(BUSIEST * BLOCKS**2)]
    structured: np.ndarray = variances > FAINT**2 * busiest
    return structured


def densest_window(patch: np.ndarray, structured: np.ndarray) -> np.ndarray:
    """The window of half a patch's height and width that holds most of its structure; the first of several.

    Parameters
    ----------
    patch : ndarray, shape (h, w)
    structured : ndarray of bool, shape (16, 16)
        Of `structured_blocks`.

    Returns
    -------
    ndarray, shape (h / 2, w / 2)
        A view.
    """
    half = BLOCKS // 2
    held = np.zeros((BLOCKS + 1, BLOCKS + 1), int)
    held[1:, 1:] = structured.cumsum(axis=0).cumsum(axis=1)
    counts = held[half:, half:] - held[:-half, half:] - held[half:, :-half] + held[:-half, :-half]
    corner = np.unravel_index(np.argmax(counts), counts.shape)
    starts = [int(at) * side // BLOCKS for at, side in zip(corner, patch.shape, strict=True)]
    rows, columns = (slice(at, at + max(1, side // 2)) for at, side in zip(starts, patch.shape, strict=True))
    return patch[rows, columns]
