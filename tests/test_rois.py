"""Boxes worth cropping: the grid, how much of each is specimen, the seeded choice."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.ngff.metadata import downsampling
from utils.sampling.rois import Boxes, Roi, grid, not_padding, spans
from utils.sampling.selection import Occupied, shuffled, stratified, within
from utils.sampling.survey import Survey

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


@given(st.integers(0, 2**31), st.floats(0, 1))
def test_survey_counts_what_is_not_padding(seed, min_frac):
    rng = np.random.default_rng(seed)
    volume = (rng.random((12, 20, 28)) < 0.6).astype("u1") * 7
    boxes = grid(volume.shape, 8)
    seen = Survey(boxes, (1, 1, 1), volume.shape, 0)
    for z, plane in enumerate(volume):
        seen.add(z, plane)
    expected = [roi for roi in Boxes(boxes) if np.mean(volume[roi.slices] != 0) >= min_frac - 1e-9]
    assert list(seen.candidates(min_frac)) == expected
    assert set(np.unique(seen.sample())) <= {0, 7} and seen.sample().ndim == 3


def test_survey_of_a_coarser_overview():
    volume = np.zeros((16, 64, 64), "u1")
    volume[:, 32:, :32] = 9
    boxes = grid(volume.shape, 16)
    seen = Survey(boxes, (2, 4, 4), (8, 16, 16), 0)
    for z, plane in enumerate(volume[::2, ::4, ::4]):
        seen.add(z, plane)
    found = seen.candidates(0.7)
    assert {(roi.y, roi.x) for roi in found} == {((a, a + 16), (b, b + 16)) for a in (32, 48) for b in (0, 16)}


def test_padding_may_be_nan():
    plane = np.array([[np.nan, 1.0, 0.0]])
    assert not_padding(plane, float("nan")).tolist() == [[False, True, True]]
    assert not_padding(plane, 0.0).tolist() == [[False, True, False]]
    assert not_padding(np.array([[0, 300]], "u2"), 300.0).tolist() == [[True, False]]


@given(st.integers(0, 1000), st.floats(0, 3000), st.floats(1, 3))
def test_a_larger_budget_keeps_and_adds(seed, budget, factor):
    rois = Boxes(grid((20, 24, 28), 8))
    order = list(shuffled(rois, seed))
    assert sorted(order) == list(rois) and order == list(shuffled(rois, seed))
    less, more = within(order, budget), within(order, budget * factor)
    assert more[: len(less)] == less
    assert sum(roi.voxels for roi in more) <= budget * factor


def test_kept_boxes_count_first_and_are_not_overlapped():
    order = [Roi((0, 8), (0, 8), (x, x + 8)) for x in (0, 8, 16)]
    kept = [Roi((0, 8), (0, 8), (4, 10))]
    assert within(order, 384 + 512, kept) == [*kept, order[2]]
    assert within(order, 384, kept) == kept


@pytest.mark.parametrize("seed", [0, 1])
def test_seeds_differ(seed):
    rois = Boxes(grid((64, 64, 64), 8))
    assert list(shuffled(rois, seed)) != list(shuffled(rois, seed + 1))


def test_a_petabyte_costs_no_more_than_a_gigabyte():
    rois = Boxes(grid((13_000, 130_000, 190_000), 256))
    assert len(rois) > 19_000_000
    assert 298 <= len(within(shuffled(rois, 0), 5e9)) < 320


@given(st.integers(0, 2**31), st.integers(7, 40))
def test_no_two_chosen_boxes_overlap(seed, crop):
    chosen = within(shuffled(Boxes(grid((30, 47, 61), crop)), seed), 1e9)
    assert len(chosen) >= 1
    assert not any(a.overlaps(b) for i, a in enumerate(chosen) for b in chosen[:i])


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30)), min_size=1, max_size=8), st.integers(1, 40))
def test_occupied_finds_every_overlap(sides, cell):
    rois = [Roi((a, a + n), (2 * a, 2 * a + n), (a // 2, a // 2 + n)) for a, n in sides]
    occupied = Occupied(cell)
    for i, roi in enumerate(rois):
        assert occupied.meets(roi) == any(roi.overlaps(other) for other in rois[:i])
        occupied.add(roi)


def test_the_choice_is_uniform_over_seeds():
    boxes = Boxes(grid((64, 64, 64), 16))
    counts = dict.fromkeys(boxes, 0)
    for seed in range(200):
        for roi in within(shuffled(boxes, seed), 16 * 16**3):
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
    kept = within(shuffled(boxes, 0), 4000 * 16**3)
    chosen = within(shuffled(boxes, 1), 6025 * 16**3, kept)
    assert len(chosen) == 6025 and chosen[:4000] == kept and len(set(chosen)) == 6025
