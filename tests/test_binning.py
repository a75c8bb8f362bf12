"""utils/binning.py: averages of blocks, exact for integers."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from utils import binning
from utils.binning import bin_block, binned_dtype, binned_shape, binned_slabs
from utils.formats.volume_base import DecodedVolume
from utils.formats.voxel_size import VoxelSize


@given(
    data=st.data(),
    dtype=st.sampled_from(["u1", "i1", "u2", "i2", "u4", "i4"]),
    factors=st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4)),
)
def test_integers_are_averaged_exactly_and_halves_go_up(data, dtype, factors):
    block = data.draw(hnp.arrays(dtype, st.tuples(*(st.integers(f, 9) for f in factors))))
    found = bin_block(block, factors)
    assert found.dtype == block.dtype and found.shape == binned_shape(block.shape, factors)
    for index in np.ndindex(found.shape):
        part = block[tuple(slice(i * f, (i + 1) * f) for i, f in zip(index, factors, strict=True))]
        assert found[index] == floor(Fraction(sum(part.ravel().tolist()), part.size) + Fraction(1, 2))


def test_rounding_and_other_types():
    pairs = np.array([[[2, 3, -2, -3, 1, 1, 255, 255]]], np.int16)
    assert bin_block(pairs, (1, 1, 2)).tolist() == [[[3, -2, 1, 255]]]
    assert bin_block(pairs.astype(np.uint8), (1, 1, 8)).dtype == np.uint8
    assert bin_block(np.array([[[True, False, True, True]]]), (1, 1, 2)).tolist() == [[[128, 255]]]
    assert bin_block(np.array([[[0.5, 1.0]]], np.float16), (1, 1, 2)).tolist() == [[[0.75]]]
    assert np.isnan(bin_block(np.array([[[np.nan, 1.0]]], np.float32), (1, 1, 2))).all()
    assert bin_block(np.full((2, 2, 2), 2**63, np.uint64), (2, 2, 2)).tolist() == [[[2**63]]]
    with pytest.raises(ValueError, match="has 1 voxels along z, too few to bin by 2"):
        bin_block(pairs, (2, 1, 1))


def test_masks_become_gray():
    assert binned_dtype(np.dtype(bool)) == np.uint8 and binned_dtype(np.dtype("f4")) == np.dtype("f4")


def test_what_is_left_over_is_dropped():
    assert binned_shape((7, 8, 9), (2, 4, 9)) == (3, 2, 1)
    assert bin_block(np.zeros((7, 8, 9), np.uint8), (2, 4, 9)).shape == (3, 2, 1)
    with pytest.raises(ValueError, match="has 8 voxels along y, too few to bin by 9"):
        binned_shape((9, 8, 9), (9, 9, 9))


@pytest.mark.parametrize("voxels", [1, 100, 1 << 22])
def test_slabs_are_the_whole(voxels, monkeypatch):
    monkeypatch.setattr(binning, "SLAB_VOXELS", voxels)
    block = np.random.default_rng(0).integers(0, 99, (11, 4, 6)).astype(np.uint8)
    volume = DecodedVolume("v", lambda: block, VoxelSize(None), block.shape, block.dtype)
    slabs = list(binned_slabs(volume, (2, 1, 3)))
    np.testing.assert_array_equal(np.concatenate(slabs), bin_block(block, (2, 1, 3)))
    assert len(slabs) == {1: 5, 100: 3, 1 << 22: 1}[voxels]
