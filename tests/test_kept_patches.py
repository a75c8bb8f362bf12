"""utils/reconstruction/kept_patches.py: listing kept patches, and what their files remember."""

import json
from itertools import chain

import cv2
import numpy as np
import pytest
import tifffile

from utils.contrast import Contrast
from utils.reconstruction.kept_patches import list_kept, read_kept
from utils.records.fingerprints import fingerprint
from utils.records.recipes import Recipe, record_of, save_record


@pytest.mark.parametrize("text", [None, "ImageJ=1.11a\n", "[1]", '{"contrast": {"low": 3}, "voxel_size": [1, "x", 2]}'])
def test_a_file_that_records_nothing(tmp_path, text):
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    tifffile.imwrite(tmp_path / "a.tif", pixels, description=text, metadata=None, photometric="minisblack")
    found = read_kept(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.pixels, pixels)
    assert (found.record.contrast, found.record.voxel_size) == (None, None)


def test_a_file_that_records(tmp_path):
    said = {"contrast": {"method": "minmax", "low": -3, "high": 2000.5}, "voxel_size": [30, 8, 0.0]}
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 4), np.uint8), description=json.dumps(said), metadata=None)
    found = read_kept(tmp_path / "a.tif")
    assert (found.record.contrast, found.record.voxel_size) == (Contrast("minmax", -3, 2000.5), None)
    cv2.imwrite(str(tmp_path / "b.png"), np.full((3, 4), 7, np.uint8))
    assert read_kept(tmp_path / "b.png").pixels.tolist() == [[7] * 4] * 3


def test_what_a_folder_holds_beside_patches(tmp_path):
    names = {
        "patches": ["fly/fly-LOC-0_1_0-9_0-9.tif"],
        "flat": ["photo-LOC-2d-0-9_0-9.png"],
        "passed_over": [
            "fly/fly.png", "fly/scores.csv", "fly-LOC-0_1-6_0-9_0-9.tif", "fly-LOC-0_1_0-9_0-9.txt", "other.csv",
            "other.png", "scores.txt",
        ],
        "records": ["fly.png", "none-kept.png", "scores.csv"],
        "not searched": ["out/fly-LOC-0_2_0-9_0-9.tif", ".cache/fly-LOC-0_3_0-9_0-9.tif"],
    }  # fmt: skip
    for name in chain.from_iterable(names.values()):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("name,score,kept\n" if "scores" in name else "name,voxel_z\n")
    recipe = Recipe("classify_patches", {"fly": ()}, {})
    sheet = tmp_path / "none-kept.png"
    save_record(sheet, record_of(recipe, sheet, {}, fingerprint([sheet])))
    found = list_kept(tmp_path, without=tmp_path / "fly/../out")
    listed = {"patches": [p.path for p in found.patches], "flat": found.flat, "passed_over": found.passed_over}
    assert {
        kind: sorted(path.relative_to(tmp_path).as_posix() for path in paths) for kind, paths in listed.items()
    } == {kind: sorted(names[kind]) for kind in listed}


def test_listing_counts_as_people_do(tmp_path):
    for name in ("v-LOC-0_10_0-9_0-9.tiff", "v-LOC-0_9_0-9_0-9.TIF", "deep/er/w.b-LOC-2_1_0-9_0-9.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [patch.name for patch in list_kept(tmp_path).patches] == [
        "v-LOC-0_9_0-9_0-9",
        "v-LOC-0_10_0-9_0-9",
        "w.b-LOC-2_1_0-9_0-9",
    ]
