"""Stacks of small patches made larger, bit for bit as Pillow's bilinear filter does it.

Pillow resizes columns first, then rows, each as a sum of integer weights that is rounded to uint8. Of a side that
becomes longer, each sum has two terms at most.

References
----------
Pillow, src/libImaging/Resample.c: ``precompute_coeffs`` and ``normalize_coeffs_8bpc``.
"""

from functools import cache

import numpy as np

from utils.dhash import PRECISION_BITS


@cache
def bilinear_steps(length: int, enlarged: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each sum begins, and how far it goes towards the next pixel.

    The weights of two neighbours add up to one exactly, so that a sum is the first of them and a share of what the
    second one is more.

    Parameters
    ----------
    length, enlarged : int
        Of the side before and after; it becomes no shorter.

    Returns
    -------
    places : ndarray of int, shape (enlarged,)
        From 0 to length - 2; to 0 for a side of one pixel.
    shares : ndarray of int32, shape (enlarged,)
        Fixed point with `PRECISION_BITS` binary digits.
    """
    centres = (np.arange(enlarged) + 0.5) * (length / enlarged) - 0.5
    places = np.clip(np.floor(centres).astype(np.intp), 0, max(length - 2, 0))
    shares = np.clip(centres - places, 0, 1) * (1 << PRECISION_BITS) + 0.5
    return places, shares.astype(np.int32)


def enlarge_last(pixels: np.ndarray, enlarged: int) -> np.ndarray:
    """Enlarge the last axis; image by image, so that all that is computed stays in the cache.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (n, h, w)
    enlarged : int

    Returns
    -------
    ndarray of uint8, shape (n, h, enlarged)
    """
    length = pixels.shape[-1]
    if length == enlarged:
        return pixels
    places, shares = bilinear_steps(length, enlarged)
    following = np.minimum(places + 1, length - 1)
    result = np.empty((*pixels.shape[:-1], enlarged), np.uint8)
    for image, larger in zip(pixels, result, strict=True):
        first = image.take(places, axis=1)
        steps = np.subtract(image.take(following, axis=1), first, dtype=np.int32)
        np.add(first, _rounded_shares(steps, shares), out=larger, casting="unsafe")
    return result


def enlarge_middle(pixels: np.ndarray, enlarged: int) -> np.ndarray:
    """Enlarge the axis before the last, image by image.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (n, h, w)
    enlarged : int

    Returns
    -------
    ndarray of float32, shape (n, enlarged, w)
        Whole numbers from 0 to 255.
    """
    length, width = pixels.shape[1:]
    if length == enlarged:
        return pixels.astype(np.float32)
    places, shares = bilinear_steps(length, enlarged)
    result = np.empty((len(pixels), enlarged, width), np.float32)
    first, steps = (np.empty((enlarged, width), np.int32) for _ in range(2))
    for image, larger in zip(pixels.astype(np.int32), result, strict=True):
        np.take(np.diff(image, axis=0, append=image[-1:]), places, axis=0, out=steps, mode="clip")
        np.take(image, places, axis=0, out=first, mode="clip")  # clip: else they would be copied once more
        np.add(first, _rounded_shares(steps, shares[:, np.newaxis]), out=larger, casting="unsafe")
    return result


def _rounded_shares(steps: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Shares of steps (int32, overwritten) between pixels, rounded as the sums of which they are a part."""
    steps *= shares
    steps += 1 << (PRECISION_BITS - 1)
    steps >>= PRECISION_BITS
    return steps
