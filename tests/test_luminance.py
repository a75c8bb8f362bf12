"""Colours as one channel."""

import numpy as np
import pytest

from utils.luminance import LUMINANCE, luminance


def test_luminance_keeps_dtype(rng):
    pixels = rng.normal(size=(5, 6, 3)).astype(np.float32)
    assert luminance(pixels).dtype == np.float32
    equal = np.repeat(pixels[..., :1], 3, axis=-1)
    assert np.shares_memory(luminance(equal), equal)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("at_once", [1, 13, 1 << 22])
def test_colours_are_mixed_by_their_weights_however_many_at_once(rng, monkeypatch, dtype, at_once):
    monkeypatch.setattr("utils.luminance._MIXED_AT_ONCE", at_once)
    pixels = (rng.random((5, 6, 4)) * 250).astype(dtype)
    sums = pixels[..., :3] @ np.array(LUMINANCE)
    for channels in (3, 4):  # what is transparent is shown
        found = luminance(pixels[..., :channels])
        np.testing.assert_allclose(found, np.rint(sums) if found.dtype.kind == "u" else sums, rtol=1e-6)
    assert luminance(pixels[:0]).shape == (0, 6)


@pytest.mark.parametrize("channels", [1, 2])
def test_gray_is_what_it_is(rng, channels):
    pixels = rng.integers(0, 256, (5, 6, channels), dtype=np.uint8)
    np.testing.assert_array_equal(luminance(pixels), pixels[..., 0])
