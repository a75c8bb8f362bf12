"""utils/records/kept_patch.py: what is written is read back."""

import json
import os

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from utils.contrast import Contrast
from utils.records.kept_patch import KeptRecord, possible_size, read_description, read_kept_record

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
    with pytest.raises(ValueError, match=r"a\.tiff is a pipe"):
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
