"""Boxes worth cropping: the grid, how much of each is specimen, the seeded choice."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.axes import TakenBoxes
from utils.ngff.metadata import downsampling
from utils.sampling.rois import (
    Boxes,
    Roi,
    boxes_that_fit,
    choose_without_padding,
    grid,
    is_whole,
    shuffled,
    spans,
    stratified,
)

lengths = st.integers(1, 400)
sides = st.integers(1, 120)


@pytest.mark.parametrize(("size", "whole"), [(None, False), (24, False), (25, True)])
def test_a_file_that_was_cut_short_is_not_whole(tmp_path, size, whole):
    """Before its voxels there is a header."""
    if size:
        (tmp_path / "a.nrrd").write_bytes(bytes(size))
    assert is_whole(tmp_path / "a.nrrd", Roi((1, 3), (0, 3), (5, 9))) is whole


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
    assert len(boxes) == 12 and list(boxes) == plain
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


@given(st.integers(0, 1000), st.floats(0, 3000), st.floats(1, 3))
def test_a_larger_budget_keeps_and_adds(seed, budget, factor):
    rois = Boxes(grid((20, 24, 28), 8))
    order = list(shuffled(rois, seed))
    assert sorted(order) == list(rois) and order == list(shuffled(rois, seed))
    less, more = boxes_that_fit(order, budget), boxes_that_fit(order, budget * factor)
    assert more[: len(less)] == less
    assert sum(roi.voxels for roi in more) <= budget * factor


def test_kept_boxes_count_first_and_are_not_overlapped():
    order = [Roi((0, 8), (0, 8), (x, x + 8)) for x in (0, 8, 16)]
    kept = [Roi((0, 8), (0, 8), (4, 10))]
    assert boxes_that_fit(order, 384 + 512, kept) == [*kept, order[2]]
    assert boxes_that_fit(order, 384, kept) == kept


@pytest.mark.parametrize("seed", [0, 1])
def test_seeds_differ(seed):
    rois = Boxes(grid((64, 64, 64), 8))
    assert list(shuffled(rois, seed)) != list(shuffled(rois, seed + 1))


def test_a_petabyte_costs_no_more_than_a_gigabyte():
    rois = Boxes(grid((13_000, 130_000, 190_000), 256))
    assert len(rois) > 19_000_000
    assert 298 <= len(boxes_that_fit(shuffled(rois, 0), 5e9)) < 320


@given(st.integers(0, 2**31), st.integers(7, 40))
def test_no_two_chosen_boxes_overlap(seed, crop):
    chosen = boxes_that_fit(shuffled(Boxes(grid((30, 47, 61), crop)), seed), 1e9)
    assert len(chosen) >= 1
    taken = TakenBoxes()
    for roi in chosen:
        assert not taken.covers(roi)
        taken.add(roi)


def test_the_choice_is_uniform_over_seeds():
    boxes = Boxes(grid((64, 64, 64), 16))
    counts = dict.fromkeys(boxes, 0)
    for seed in range(200):
        for roi in boxes_that_fit(shuffled(boxes, seed), 16 * 16**3):
            counts[roi] += 1
    expected = 200 * 16 / 64
    # Chi-square with 63 degrees of freedom (less, since draws are without replacement): 103 is passed 1 in 1000 times.
    assert sum((n - expected) ** 2 / expected for n in counts.values()) < 103


def test_stratified_beginnings_are_spread_evenly():
    boxes = Boxes(grid((64, 64, 64), 8))
    for seed in range(20):
        order = list(stratified(boxes, seed))
        assert sorted(order) == list(boxes)
        assert len({tuple(side[0] // 32 for side in roi) for roi in order[:8]}) == 8
        assert len({tuple(side[0] // 16 for side in roi) for roi in order[:64]}) == 64
    assert next(stratified(boxes, 0)) != next(stratified(boxes, 1))


def test_stratified_takes_every_box_of_an_odd_number_once():
    boxes = Boxes(grid((40, 24, 24), 8), np.array([0, 3, 4, 9, 11, 30, 44]))
    assert sorted(stratified(boxes, 3)) == list(boxes)
    assert list(stratified(Boxes(grid((8, 8, 8), 8), np.empty(0, int)), 0)) == []


def test_topping_up_thousands_is_quick():
    boxes = Boxes(grid((512, 512, 512), 16))
    kept = boxes_that_fit(shuffled(boxes, 0), 4000 * 16**3)
    chosen = boxes_that_fit(shuffled(boxes, 1), 6025 * 16**3, kept)
    assert len(chosen) == 6025 and chosen[:4000] == kept and len(set(chosen)) == 6025


def test_every_machine_draws_the_same():
    boxes = Boxes(grid((64, 64, 64), 8))
    place = {roi: i for i, roi in enumerate(boxes)}
    assert [place[roi] for roi in list(shuffled(boxes, 3))[:6]] == [415, 44, 93, 123, 96, 411]
    assert [place[roi] for roi in list(stratified(boxes, 3))[:8]] == [253, 249, 221, 217, 509, 505, 477, 473]
    few = Boxes(grid((24, 40, 8), 8))
    assert [list(few).index(roi) for roi in stratified(few, 5)] == [8, 5, 9, 11, 7, 0, 13, 6, 12, 1, 14, 2, 3, 4, 10]


def test_boxes_that_turn_out_to_be_padding_are_replaced():
    order = [Roi((0, 8), (0, 8), (x, x + 8)) for x in range(0, 48, 8)]
    padding, asked = {order[0]: "known"}, []

    def find(chosen):
        asked.append(list(chosen))
        return {roi: "found" for roi in chosen if roi in order[1:3]}

    assert choose_without_padding(lambda: order, 2 * 512, padding, find) == order[3:5]
    assert asked == [order[1:3], order[3:5]]
    assert padding == {order[0]: "known", order[1]: "found", order[2]: "found"}
    assert choose_without_padding(lambda: order, 2 * 512, padding, find, order[5:]) == [order[5], order[3]]
