"""utils/collection/places.py: where a patch lies, by its name alone; what is said of one; some of many, evenly."""

from pathlib import Path

import numpy as np
import pytest

from utils.collection.places import (
    AXES,
    LENGTHS,
    WHOLE,
    Gaps,
    Location,
    Sample,
    key_of,
    place_columns,
    place_of,
    spread_order,
)


@pytest.mark.parametrize(
    ("axis", "box"), [(0, ((7, 8), (0, 9), (10, 20))), (1, ((0, 9), (7, 8), (10, 20))), (2, ((0, 9), (10, 20), (7, 8)))]
)
def test_the_slice_lies_at_its_axis(axis, box):
    assert place_of(f"fly-LOC-{axis}_07_0-9_10-20") == Location("fly", axis, 7, box)


def test_a_region_s_offset_counts_in_and_a_subvolume_has_several_slices():
    found = place_of("fly-ROI-x100-200_y30-90_z50-99-LOC-0_3-8_0-9_10-20")
    assert found == Location("fly", 0, 3, ((53, 58), (30, 39), (110, 120)))
    found = place_of("fly-ROI-x-64--32_y-8-24_z0-32-LOC-0_3_0-9_10-20")
    assert found == Location("fly", 0, 3, ((3, 4), (-8, 1), (-54, -44)))


def test_an_image_has_one_slice_and_no_axis():
    assert place_of("cell-LOC-2d-0-9_10-20") == Location("cell", None, 0, ((0, 1), (0, 9), (10, 20)))


def test_other_names_say_nothing():
    assert place_of("cell") is None


def test_places_by_column():
    place = Location("v", 1, 4, ((1, 2), (3, 4), (5, 6)))
    assert place_columns(place, (10.0, 2.0, 1 / 3)) == {
        "axis": 1, "slice": 4, "z0": 1, "z0_nm": 10, "z1": 2, "z1_nm": 20, "voxel_z": 10,
        "y0": 3, "y0_nm": 6, "y1": 4, "y1_nm": 8, "voxel_y": 2,
        "x0": 5, "x0_nm": 1.6667, "x1": 6, "x1_nm": 2, "voxel_x": 1 / 3,
    }  # fmt: skip
    assert set(place_columns(place, None)) == {*WHOLE, *LENGTHS}
    assert not any(place_columns(None, None).values()) and place_columns(None, (1.0, 2.0, 3.0))["voxel_x"] == 3


REGION = "fly-ROI-x100-200_y0-90_z50-99-LOC-1_07_0-9_10-20"
FLAT = "tem-LOC-2d-5-14_0-9"


def sample(name, voxel_size=(40.0, 4.0, 8.0), **more):
    return Sample(name, "fly", "fly-ROI", "fly.nrrd", Path("x"), 0.75, place_of(name), voxel_size, 3, **more)


def test_a_place_in_voxels_and_nm():
    row = sample(REGION).row({})
    assert {key: row[key] for key in ("name", "dataset", "dictionary", "source", "score")} == {
        "name": REGION, "dataset": "fly", "dictionary": "fly-ROI", "source": "fly.nrrd", "score": 0.75,
    }  # fmt: skip
    assert (row["axis"], row["slice"]) == (1, 7)
    assert [row[f"{axis}{end}"] for axis in AXES for end in (0, 1)] == [50, 59, 7, 8, 110, 120]
    assert [row[f"{axis}{end}_nm"] for axis in AXES for end in (0, 1)] == [2000, 2360, 28, 32, 880, 960]
    assert [row[f"voxel_{axis}"] for axis in AXES] == [40, 4, 8] and "weight" not in row
    assert sample(REGION).volume == "fly"


def test_images_have_no_depth():
    row = sample(FLAT, (1.0, 4.0, 4.0)).row({})
    assert (row["axis"], row["slice"], row["z0"], row["z1_nm"]) == (None,) * 4
    assert [row[key] for key in ("y0", "y1", "x0", "x1", "y0_nm", "x1_nm")] == [5, 14, 0, 9, 20, 36]
    assert sample(FLAT).volume == "tem"


@pytest.mark.parametrize("name", [REGION, FLAT])
def test_without_a_voxel_size_there_are_no_lengths(name):
    row = sample(name, None).row({})
    assert {row[key] for key in row if key.endswith("_nm") or key.startswith("voxel")} == {None} and row["y1"] in (
        8,
        14,
    )


def test_names_that_say_no_place():
    row = sample("noname").row({})
    assert {row[key] for key in (*WHOLE, *LENGTHS) if not key.startswith("voxel_")} == {None}
    assert row["voxel_z"] == 40 and sample("noname").volume == "fly.nrrd"


def test_weights_and_free_columns():
    row = sample(REGION, weight=0.5).row({"license": "CC0", "score": "mine", "weight": "mine"})
    assert row["weight"] == 0.5 and row["license"] == "CC0" and row["score"] == 0.75
    assert set(WHOLE) | set(LENGTHS) <= set(row)
    assert round(sample(REGION, (1 / 3, 1.0, 1.0)).row({})["z0_nm"], 9) == 16.6667


def test_keys_are_names_own():
    assert len({key_of(seed, name) for seed in (0, 1) for name in ("a", "b", "a\udc80")}) == 6
    assert (
        all(0 <= key_of(0, str(i)) < 1 << 64 for i in range(100))
        and max(key_of(0, str(i)) for i in range(100)) > 1 << 62
    )


def test_every_beginning_is_spread():
    grid = np.stack(np.meshgrid(*[np.arange(4.0)] * 3, indexing="ij"), -1).reshape(-1, 3)
    keys = np.array([key_of(1, str(i)) for i in range(64)], np.uint64)
    order = spread_order(grid, keys)
    assert sorted(order) == list(range(64))
    assert np.array_equal(spread_order(grid + np.array([7, 500, -90]), keys), order)  # wherever the space begins
    assert np.array_equal(spread_order(grid * 0.3, keys), order)  # and however large it is
    assert order[0] == np.argmin(keys)
    assert len({tuple(grid[i] // 2) for i in order[:8]}) == 8  # an eighth of the space each
    eighths = [tuple(grid[i] // 2) for i in order[8:]]
    assert {eighths.count(e) for e in set(eighths)} == {7}
    later = order[8:]
    assert (np.diff(keys[later].astype(object)) > 0).all()  # of one size the smallest key goes first


def test_no_points_have_an_order():
    assert spread_order(np.empty((0, 3)), np.empty(0, np.uint64)).tolist() == []


def test_points_of_one_place_go_by_their_keys():
    keys = np.array([5, 2, 9], np.uint64)
    assert spread_order(np.ones((3, 3)), keys).tolist() == [1, 0, 2]
    assert spread_order(np.ones((1, 3)), keys[:1]).tolist() == [0]


@pytest.mark.parametrize(
    ("depth", "box", "admitted"),
    [
        (139, (0, 10, 0, 10), False),
        (140, (0, 10, 0, 10), True),
        (60, (0, 10, 0, 10), True),
        (61, (0, 10, 0, 10), False),
        (100, (9, 20, 9, 20), False),
        (100, (10, 20, 0, 10), True),
        (100, (0, 10, 10, 20), True),
        (100, (5, 600, 5, 600), False),
        (100, (300, 600, 0, 600), True),
    ],
)
def test_slices_of_one_place_are_apart(depth, box, admitted):
    gaps = Gaps(40)
    assert gaps.admit(("v", 0), (0, 10, 0, 10), 100)
    assert gaps.admit(("v", 0), box, depth) is admitted
    assert gaps.admit(("v", 1), (0, 10, 0, 10), 100) and gaps.admit(("w", 0), (0, 10, 0, 10), 100)


@pytest.mark.parametrize(
    ("box", "admitted"),
    [
        ((0, 10, 10, 20), True),
        ((10, 20, 0, 10), True),
        ((0, 11, 0, 11), False),
        ((20, 30, 10, 20), True),
    ],
)
def test_boxes_that_touch_do_not_overlap(box, admitted):
    gaps = Gaps(40)
    assert gaps.admit(("v",), (10, 20, 10, 20), 0) and gaps.admit(("v",), box, 0) is admitted


def test_who_was_refused_does_not_count():
    gaps = Gaps(40)
    assert [gaps.admit(("v",), (0, 9, 0, 9), z) for z in (0, 30, 60, 99, 100)] == [True, False, True, False, True]
    large = Gaps(40)
    assert large.admit(("v",), (0, 700, 0, 700), 0)
    assert not large.admit(("v",), (690, 710, 690, 710), 0) and large.admit(("v",), (700, 710, 690, 710), 0)


def test_no_rule():
    gaps = Gaps(0)
    assert all(gaps.admit(("v",), (0, 9, 0, 9), 0) for _ in range(3))
