"""Luminance: colours as the one channel that would be displayed."""

import numpy as np

# Rec. 709 weights, those of skimage.color.rgb2gray (https://poynton.ca/PDFs/ColorFAQ.pdf, question 9).
LUMINANCE = (0.2125, 0.7154, 0.0721)
_MIXED_AT_ONCE = 1 << 22


def luminance(pixels: np.ndarray) -> np.ndarray:
    """One channel of an image whose last axis is gray, gray + alpha, RGB or RGBA.

    Parameters
    ----------
    pixels : ndarray, shape (..., channels)

    Returns
    -------
    ndarray, shape (..., without the last axis), same dtype
        The channel itself where all three are equal; else Rec. 709 luminance, rounded for integers.
    """
    if pixels.shape[-1] < 3:
        return pixels[..., 0]
    red, green, blue = (pixels[..., channel] for channel in range(3))
    if np.array_equal(red, green) and np.array_equal(red, blue):
        return red
    mixed = np.empty(red.shape, pixels.dtype)
    for first in range(0, len(red), rows := max(1, _MIXED_AT_ONCE // max(1, red[:1].size))):
        some = slice(first, first + rows)  # floats of all pixels would be many times the image
        sums = red[some] * LUMINANCE[0] + green[some] * LUMINANCE[1] + blue[some] * LUMINANCE[2]
        mixed[some] = np.rint(sums) if pixels.dtype.kind in "iu" else sums
    return mixed
