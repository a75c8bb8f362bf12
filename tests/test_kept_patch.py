"""utils/records/kept_patch.py: what is written is read back; listing kept patches."""

import json
import os
from itertools import chain

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from utils.contrast import Contrast
from utils.records.fingerprints import fingerprint
from utils.records.kept_patch import KeptRecord, list_kept, possible_size, read_description, read_kept, read_kept_record
from utils.records.recipes import Recipe, record_of, save_record

sizes = st.none() | st.tuples(*[st.floats(0.1, 1e6)] * 3)
windows = st.none() | st.builds(Contrast, st.sampled_from(["minmax", "none"]), st.floats(-9, 0), st.floats(1, 9))


@given(st.none() | st.text(), st.none() | st.floats(0, 1), st.none() | st.text(), windows, sizes)
def test_kept_records_round_trip(dictionary, score, source, contrast, voxel_size):
    record = KeptRecord(dictionary, score, source, contrast, voxel_size)
    assert KeptRecord.from_json(record.to_json()) == record


@pytest.mark.parametrize("text", ["", "ImageJ=1.5", "[1]", '{"contrast": 3, "voxel_size": [1, 0, 2], "score": "x"}'])
def test_other_descriptions_say_nothing(text):
    assert KeptRecord.from_json(text) == KeptRecord()


def test_meta_of_any_kind_becomes_a_record():
    meta = {
        "source": 5,
        "contrast": {"method": "minmax", "low": np.float32(1), "high": 2},
        "voxel_size": np.array([4, 8, 8.0]),
    }
    record = KeptRecord.of_meta(meta, "d", 0.5)
    assert record == KeptRecord("d", 0.5, "5", Contrast("minmax", 1.0, 2.0), (4.0, 8.0, 8.0))
    assert json.loads(record.to_json())["version"] == 1
    assert KeptRecord.of_meta({}, "d", 0.5) == KeptRecord("d", 0.5)


@pytest.mark.parametrize("values", ["123", [1, 2], [1, 2, 3, 4], [1, 2, float("inf")], [1, 2, "x"], [1, None, 2], 5])
def test_what_is_no_voxel_size(values):
    assert possible_size(values) is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.tiff")
    with pytest.raises(ValueError, match=r"^a\.tiff is a pipe"):
        read_description(tmp_path / "a.tiff")


def test_a_tiff_remembers(tmp_path):
    path, record = tmp_path / "a.tiff", KeptRecord("d", 0.5, "v.mrc")
    tifffile.imwrite(path, np.zeros((4, 4), np.uint8), description=record.to_json(), metadata=None)
    assert read_description(path) == json.loads(record.to_json()) and read_kept_record(path) == record
    tifffile.imwrite(path, np.zeros((4, 4), np.uint8), description="another's", metadata=None)
    assert read_description(path) == {} and read_kept_record(path) == KeptRecord()


def test_what_is_no_tiff_is_said(tmp_path, caplog):
    path = tmp_path / "a.tiff"
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=rf"^{path}: a damaged TIFF, or none \(not a TIFF file"):
        read_description(path)
    tifffile.imwrite(path, np.zeros((4, 4), np.uint8), metadata=None)
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(ValueError, match=rf"^{path}: a damaged TIFF, or none \(\S"):
        read_description(path)
    assert caplog.records == []


@pytest.mark.parametrize("text", [None, "ImageJ=1.11a\n", "[1]", '{"contrast": {"low": 3}, "voxel_size": [1, "x", 2]}'])
def test_a_file_that_records_nothing(tmp_path, text):
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    tifffile.imwrite(tmp_path / "a.tif", pixels, description=text, metadata=None, photometric="minisblack")
    found, record = read_kept(tmp_path / "a.tif")
    np.testing.assert_array_equal(found, pixels)
    assert (record.contrast, record.voxel_size) == (None, None)


def test_a_file_that_records(tmp_path):
    said = {"contrast": {"method": "minmax", "low": -3, "high": 2000.5}, "voxel_size": [30, 8, 0.0]}
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 4), np.uint8), description=json.dumps(said), metadata=None)
    _, record = read_kept(tmp_path / "a.tif")
    assert (record.contrast, record.voxel_size) == (Contrast("minmax", -3, 2000.5), None)
    cv2.imwrite(str(tmp_path / "b.png"), np.full((3, 4), 7, np.uint8))
    assert read_kept(tmp_path / "b.png")[0].tolist() == [[7] * 4] * 3


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
