"""What is said of an exported patch: its place in voxels and nm, its volume, free columns."""

from pathlib import Path

import pytest

from utils.collection.places import AXES, LENGTHS, WHOLE, place_of
from utils.collection.samples import Sample

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
