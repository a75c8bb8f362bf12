"""Enlarged patches are Pillow's, bit for bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from utils.dhash import PRECISION_BITS
from utils.enlarging import bilinear_steps, enlarge_last, enlarge_middle


def pillows(patches: np.ndarray, side: int) -> np.ndarray:
    size = (side, side)
    return np.stack([np.asarray(Image.fromarray(p).resize(size, Image.Resampling.BILINEAR)) for p in patches])


@given(side=st.integers(1, 230), data=st.data(), seed=st.integers(0, 999))
def test_bit_for_bit_as_the_library(side, data, seed):
    shape = (2, data.draw(st.integers(1, side)), data.draw(st.integers(1, side)))
    patches = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    wide = enlarge_last(patches, side)
    square = enlarge_middle(wide, side)
    assert (wide.dtype, square.dtype) == (np.uint8, np.float32)
    assert np.array_equal(square, pillows(patches, side))


@pytest.mark.parametrize("shape", [(3, 128, 128), (3, 112, 224), (3, 224, 138)])
def test_sizes_of_thin_volumes(shape, rng):
    patches = rng.integers(0, 256, shape, dtype=np.uint8)
    assert np.array_equal(enlarge_middle(enlarge_last(patches, 224), 224), pillows(patches, 224))


def test_what_is_large_enough_stays(rng):
    patches = rng.integers(0, 256, (2, 9, 9), dtype=np.uint8)
    assert enlarge_last(patches, 9) is patches
    assert np.array_equal(enlarge_middle(patches, 9), patches)


def test_sums_begin_within_the_side_and_go_no_further_than_the_next_pixel():
    places, shares = bilinear_steps(4, 7)
    assert places.tolist() == [0, 0, 0, 1, 2, 2, 2]
    assert shares.min() == 0 and shares.max() == 1 << PRECISION_BITS
    places, shares = bilinear_steps(1, 5)
    assert not places.any() and not shares[:3].any()
