"""utils/collection/places.py: where a patch lies, by its name alone."""

import pytest

from utils.collection.places import Location, image_of, place_of


@pytest.mark.parametrize(
    ("axis", "box"), [(0, ((7, 8), (0, 9), (10, 20))), (1, ((0, 9), (7, 8), (10, 20))), (2, ((0, 9), (10, 20), (7, 8)))]
)
def test_the_slice_lies_at_its_axis(axis, box):
    assert place_of(f"fly-LOC-{axis}_07_0-9_10-20") == Location("fly", axis, 7, box)


def test_a_region_s_offset_counts_in_and_a_subvolume_has_several_slices():
    found = place_of("fly-ROI-x100-200_y30-90_z50-99-LOC-0_3-8_0-9_10-20")
    assert found == Location("fly", 0, 3, ((53, 58), (30, 39), (110, 120)))


def test_an_image_has_one_slice_and_no_axis():
    assert place_of("cell-LOC-2d-0-9_10-20") == Location("cell", None, 0, ((0, 1), (0, 9), (10, 20)))


def test_other_names_say_nothing():
    assert place_of("cell") is None


def test_nanometres():
    assert Location("v", 0, 0, ((1, 2), (3, 4), (5, 6))).nm((10.0, 2.0, 3.0)) == ((10, 20), (6, 8), (15, 18))
    assert Location("v", 0, 0, ((1, 2), (3, 4), (5, 6))).nm(None) is None


def test_levels_show_the_same_image():
    assert (image_of("fly_s2"), image_of("fly_s"), image_of("fly")) == ("fly", "fly_s", "fly")
