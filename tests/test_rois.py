"""Boxes worth cropping: the grid, how much of each is specimen, the seeded choice."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.sampling.rois import Boxes, Roi, Survey, downsampling, grid, not_padding, shuffled, spans, within

lengths = st.integers(1, 400)
sides = st.integers(1, 120)


@given(lengths, sides, sides)
def test_spans_are_cubes_on_the_chunk_grid(length, crop, chunk):
    found = spans(length, crop, chunk)
    for (first, stop), following in zip(found, [*found[1:], (length, length)], strict=False):
        assert 0 <= first < stop <= length and stop <= following[0] + (following[0] == length) * length
        assert stop - first == crop or (stop == length and 2 * (stop - first) >= crop)
        if crop >= chunk:
            assert first % chunk == 0
        else:
            assert first // chunk == (stop - 1) // chunk or stop == length


@given(lengths, sides)
def test_without_chunks_everything_but_short_ends_is_covered(length, crop):
    covered = sum(stop - first for first, stop in spans(length, crop))
    assert length - covered < crop / 2 or covered == length


def test_half_a_cube_at_the_border_counts():
    assert spans(24, 16) == [(0, 16), (16, 24)]
    assert spans(23, 16) == [(0, 16)]
    assert spans(7, 16) == []


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
    assert set(np.unique(seen.sample())) <= {7}


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
