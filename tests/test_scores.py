"""utils/records/scores.py and utils/records/kept_patch.py: what is written is read back."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.contrast import Contrast
from utils.records.kept_patch import KeptRecord
from utils.records.scores import Score, is_scores_header, load_scores, save_scores

ROWS = [Score("a,b", 0.25, False, "low score"), Score("c\nd", 1.0, True, "kept"), Score("é", 0.9, False, "duplicate")]


def test_scores_round_trip(tmp_path):
    save_scores(tmp_path / "a.csv", ROWS, reasons=True)
    assert load_scores(tmp_path / "a.csv") == ROWS
    save_scores(tmp_path / "b.csv", ROWS[:2])
    assert load_scores(tmp_path / "b.csv") == ROWS[:2]
    assert (tmp_path / "b.csv").read_text().startswith("name,score,kept\n")


def test_other_tables_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("path,label\n")
    with pytest.raises(ValueError, match="expected the columns name, score, kept"):
        load_scores(tmp_path / "a.csv")
    assert is_scores_header(["name", "score", "kept", "reason"]) and not is_scores_header([])


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
