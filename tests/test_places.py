"""utils/collection/places.py: where a patch lies, by its name alone."""

import pytest

from utils.collection.places import LENGTHS, WHOLE, Location, image_of, place_columns, place_of


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


def test_levels_show_the_same_image():
    assert (image_of("fly_s2"), image_of("fly_s"), image_of("fly")) == ("fly", "fly_s", "fly")
