"""Boxes worth cropping: the grid, how much of each is specimen, the seeded choice."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.ngff.metadata import downsampling
from utils.sampling.rois import spans

lengths = st.integers(1, 400)
sides = st.integers(1, 120)


@given(lengths, sides)
def test_every_voxel_lies_in_a_span_and_spans_are_cubes(length, crop):
    found = spans(length, crop)
    assert sorted({voxel for first, stop in found for voxel in range(first, stop)}) == list(range(length))
    for first, stop in found:
        assert stop - first == crop or (stop == length and (2 * (stop - first) >= crop or length < crop))
        assert first % crop == 0 or stop == length
    assert all(a[1] == b[0] for a, b in pairwise(found[:-1]))


@pytest.mark.parametrize(("crop", "chunk"), [(257, 256), (300, 256), (128, 96), (224, 64), (256, 64), (64, 128)])
def test_every_voxel_has_a_chance_and_snaps_where_sides_divide(crop, chunk):
    found = spans(4000, crop)
    assert {voxel for span in found for voxel in range(*span)} == set(range(4000))
    if crop % chunk == 0 or chunk % crop == 0:
        widest = max(1, crop // chunk)
        assert all((b - 1) // chunk - a // chunk < widest for a, b in found[:-1])


def test_half_a_cube_at_the_border_counts():
    assert spans(24, 16) == [(0, 16), (16, 24)]
    assert spans(23, 16) == [(0, 16), (7, 23)]
    assert spans(7, 16) == [(0, 7)]


@given(st.integers(1, 5), st.integers(30, 60))
def test_downsampling_finds_whole_factors(factor, coarse):
    assert downsampling(coarse * factor, coarse) == factor
    assert downsampling(coarse * factor + factor - 1, coarse) == factor
