"""Colours as one channel."""

import numpy as np

from utils.luminance import luminance


def test_luminance_keeps_dtype(rng):
    pixels = rng.normal(size=(5, 6, 3)).astype(np.float32)
    assert luminance(pixels).dtype == np.float32
    equal = np.repeat(pixels[..., :1], 3, axis=-1)
    assert np.shares_memory(luminance(equal), equal)
