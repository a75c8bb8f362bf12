"""Boxes worth cropping: the grid, how much of each is specimen, the seeded choice."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.ngff.metadata import downsampling
from utils.sampling.rois import Boxes, Roi, grid, spans

lengths = st.integers(1, 400)
sides = st.integers(1, 120)


def test_sides_that_no_image_has_are_refused_before_they_are_listed():
    assert len(grid((1, 1, 1 << 20), 1)[2]) == 1 << 20
    with pytest.raises(ValueError, match="promise 5 x 1048577 x 7 voxels"):
        grid((5, (1 << 20) + 1, 7), 1)
    with pytest.raises(ValueError, match="no image has such sides"):
        grid((1 << 62, 1, 1), 224)


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


BOX = Roi((1, 4), (10, 15), (100, 107))


def test_a_box():
    assert BOX.voxels == 3 * 5 * 7 and BOX.slices == np.s_[1:4, 10:15, 100:107]
    assert Roi.of((3, 4, 5)) == ((0, 3), (0, 4), (0, 5))
    assert BOX.shifted((1, -2, 3)) == ((2, 5), (8, 13), (103, 110))


SPANS = grid((8, 12, 8), 4)


def test_boxes_of_a_grid_in_c_order():
    assert SPANS == ([(0, 4), (4, 8)], [(0, 4), (4, 8), (8, 12)], [(0, 4), (4, 8)])
    boxes, plain = Boxes(SPANS), [Roi(z, y, x) for z in SPANS[0] for y in SPANS[1] for x in SPANS[2]]
    assert len(boxes) == 12 and list(boxes) == plain and boxes[3:9:2] == plain[3:9:2] and boxes[-3:] == plain[-3:]
    assert boxes.places.tolist() == list(range(12))
    for outside in (-1, 12):
        with pytest.raises(IndexError):
            boxes[outside]
    assert boxes.counts == [2, 3, 2]


def test_some_boxes_of_a_grid():
    some = Boxes(SPANS, np.array([1, 7, 10]))
    assert len(some) == 3 and list(some) == [Boxes(SPANS)[i] for i in (1, 7, 10)] and some.places.tolist() == [1, 7, 10]
    with pytest.raises(IndexError):
        some[3]
    assert not Boxes(SPANS, np.array([], int))
