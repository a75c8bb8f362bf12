"""Enlarged patches are Pillow's, bit for bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from utils.enlarging import bilinear_steps, enlarge


def pillows(patches: np.ndarray, height: int, width: int) -> np.ndarray:
    """Patches (n, h, w) as the library enlarges them."""
    size = (width, height)
    return np.stack([np.asarray(Image.fromarray(p).resize(size, Image.Resampling.BILINEAR)) for p in patches])


def squared(patches: np.ndarray, side: int) -> np.ndarray:
    """Patches (n, h, w) as `enlarge` does it."""
    stack = np.ascontiguousarray(np.moveaxis(patches, 0, -1))
    return np.moveaxis(enlarge(enlarge(stack, side, 1), side, 0), -1, 0)


@given(side=st.integers(1, 230), data=st.data(), seed=st.integers(0, 999))
def test_bit_for_bit_as_the_library(side, data, seed):
    shape = (2, data.draw(st.integers(1, side)), data.draw(st.integers(1, side)))
    patches = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    square = squared(patches, side)
    assert square.dtype == np.uint8
    assert np.array_equal(square, pillows(patches, side, side))


@pytest.mark.parametrize("shape", [(3, 128, 128), (3, 112, 224), (3, 224, 138)])
def test_sizes_of_thin_volumes(shape, rng):
    patches = rng.integers(0, 256, shape, dtype=np.uint8)
    assert np.array_equal(squared(patches, 224), pillows(patches, 224, 224))


@pytest.mark.parametrize("side", [3, 7, 8, 224, 512])
def test_every_pair_of_neighbours(side):
    pairs = np.stack(np.meshgrid(*2 * [np.arange(256, dtype=np.uint8)], indexing="ij"))
    expected = pillows(pairs.reshape(1, 2, -1), side, 1 << 16)
    assert np.array_equal(enlarge(pairs, side, 0).reshape(1, side, -1), expected)


def test_what_is_large_enough_stays(rng):
    stack = rng.integers(0, 256, (9, 8, 2), dtype=np.uint8)
    assert np.shares_memory(enlarge(stack, 9, 0), stack)
    assert np.array_equal(enlarge(stack, 8, 1), stack)


@pytest.mark.parametrize(("axis", "side"), [(0, 9), (0, 5), (1, 9), (1, 6)])
def test_some_rows_of_the_enlarged_axis(axis, side, rng):
    stack = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
    some = enlarge(stack, side, axis, slice(2, 5))
    assert np.array_equal(some, enlarge(stack, side, axis).take(range(2, 5), axis=axis))


def test_steps_begin_within_the_side_and_go_no_further_than_the_next_pixel():
    first, second, shares = zip(*bilinear_steps(4, 7), strict=True)
    assert first == (0, 0, 0, 1, 2, 2, 2)
    assert second == (1, 1, 1, 2, 3, 3, 3)
    assert (shares[0], shares[3], shares[6]) == (0, 0.5, 1)
    assert {step[:2] for step in bilinear_steps(1, 5)} == {(0, 0)}


@pytest.mark.parametrize("length", [2, 3, 100, 128, 223])
def test_shares_are_far_from_all_at_which_a_blend_changes(length):
    exact = ((np.arange(224) + 0.5) * (length / 224) - 0.5) % 1
    for (*_, share), true in zip(bilinear_steps(length, 224), exact, strict=True):
        blends = np.arange(1, 256) * share
        between = np.abs(blends % 1 - 0.5)
        assert ((between > 2.0**-10.5) | (between == 0)).all()
        assert abs(share - true) < 1 / 255 or share in (0, 1)
