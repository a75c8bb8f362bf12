"""utils/cubes.py: every patch of every axis, once, from cells read once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.cubes import axes_with_patches, common_region, cut, grid, side_by_side, within
from utils.memory import limited_to
from utils.patches import EDGES, tiles, too_small

shapes = st.tuples(*[st.integers(1, 40)] * 3)
axis_sets = st.sampled_from([(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)])


@given(shapes, st.integers(3, 20), axis_sets, st.sampled_from(EDGES), st.integers(1, 4), st.integers(0, 20))
def test_the_grid_covers_every_patch_once(shape, crop, axes, edges, spacing, min_side):
    voxels = np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
    seen = set()
    for cell in grid(shape, crop, axes, edges=edges, spacing=spacing, min_side=min_side):
        cube = voxels[tuple(slice(*span) for span in cell.region())]
        assert len(cell) == len(cell.patches()) > 0
        for axis, index in cell.patches():
            box = cell.box(axis)
            expected = np.take(voxels, index, axis)[box.y0 : box.y1, box.x0 : box.x1]
            assert np.array_equal(cut(cube, cell, axis, index), expected)
            assert (axis, index, box) not in seen
            seen.add((axis, index, box))
            assert min(expected.shape) >= min_side
    assert len(seen) == sum(expected_count(shape, crop, axis, edges, spacing, min_side) for axis in axes)


@pytest.mark.parametrize(("shape", "axes"), [((20, 30, 40), (0, 1, 2)), ((4, 30, 40), (0,))])
def test_a_cell_of_a_box_is_that_of_the_volume_moved(shape, axes):
    for cell in grid(shape, 10, axes, min_side=5):
        moved = cell.shifted((100, 200, 300))
        assert moved.axes == cell.axes and len(moved) == len(cell)
        for (start, stop), (first, last), step in zip(cell.region(), moved.region(), (100, 200, 300), strict=True):
            assert (first, last) == (start + step, stop + step)
        for axis in axes:
            steps = [step for side, step in enumerate((100, 200, 300)) if side != axis]
            box, other = cell.box(axis), moved.box(axis)
            assert other[:2] == (box.y0 + steps[0], box.y1 + steps[0])
            assert other[2:] == (box.x0 + steps[1], box.x1 + steps[1])


def expected_count(shape, crop, axis, edges, spacing, min_side) -> int:
    rows, columns = (
        sum(stop - start >= min_side for start, stop in tiles(side, crop, edges))
        for i, side in enumerate(shape)
        if i != axis
    )
    return len(range(0, shape[axis], spacing)) * rows * columns


@given(shapes, st.integers(3, 20), axis_sets, st.sampled_from(EDGES), st.data())
def test_axes_are_lost_when_no_patch_is_left(shape, crop, axes, edges, data):
    min_side = data.draw(st.integers(0, crop))
    kept, sentence = axes_with_patches(shape, axes, min_side)
    cells = grid(shape, crop, axes, edges=edges, min_side=min_side)
    assert {axis for cell in cells for axis, _ in cell.patches()} == set(kept)
    assert bool(sentence) == (kept != axes)
    assert bool(too_small(shape, min_side)) == (not grid(shape, crop, edges=edges, min_side=min_side))


@pytest.mark.parametrize(
    ("shape", "axes", "kept", "sentence"),
    [
        ((8, 300, 300), (0, 1, 2), (0,), "axes 1 and 2 give no patches: 8 slices, --min-side 112"),
        ((300, 8, 300), (0, 1, 2), (1,), "axes 0 and 2 give no patches: 8 rows, --min-side 112"),
        ((8, 300, 300), (0, 1), (0,), "axis 1 gives no patches: 8 slices, --min-side 112"),
        ((8, 300, 9), (0, 1, 2), (), "axes 0, 1 and 2 give no patches: 8 slices and 9 columns, --min-side 112"),
        ((8, 300, 9), (0,), (), "axis 0 gives no patches: 9 columns, --min-side 112"),
        ((112, 112, 112), (0, 1, 2), (0, 1, 2), ""),
    ],
)
def test_what_is_lost_is_said(shape, axes, kept, sentence):
    assert axes_with_patches(shape, axes, 112) == (kept, sentence)


def test_cells_side_by_side_are_read_at_once(rng, monkeypatch):
    cells = grid((20, 20, 50), 10)
    rows = side_by_side(cells, 1, 3)
    assert [cell for row in rows for cell in row] == cells
    assert [len(row) for row in rows] == [3, 2] * 4
    volume = rng.integers(0, 255, (20, 20, 50), dtype=np.uint8)
    for row in rows:
        region = common_region(row)
        voxels = volume[tuple(slice(*span) for span in region)]
        for cell in row:
            own = volume[tuple(slice(*span) for span in cell.region())]
            assert np.array_equal(voxels[within(cell.region(), region)], own)
    assert all(len(row) == 1 for row in side_by_side(cells, 1, 0))
    monkeypatch.setattr("utils.cubes.ROW_BYTES", 2 * 10 * 10 * 20)
    assert [len(row) for row in side_by_side(cells, 2, 9)] == [2, 2, 1] * 4
    apart = [cells[0], cells[0].shifted((0, 0, 30))]
    assert [len(row) for row in side_by_side(apart, 1, 9)] == [1, 1]


def test_a_volume_whose_patches_alone_would_fill_the_memory_is_refused():
    said = "60000000000 patches, which take 6960 GB of memory .* 2 GB"
    with limited_to(2), pytest.raises(ValueError, match=said):
        grid((100_000, 200_000, 300_000), 100, (0,), spacing=10)
