"""utils/collection/places.py: where a patch lies, by its name alone; and what is said of one."""

from pathlib import Path

import pytest

from utils.collection.places import AXES, LENGTHS, WHOLE, Location, Sample, image_of, place_columns, place_of


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
