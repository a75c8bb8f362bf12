"""utils/classification/shared_names.py: dictionaries whose kept patches would be one file all fail, in any order."""

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

import utils.classification.shared_names as shared_names_module
from utils.classification.shared_names import refuse_shared_files, shared_names
from utils.dictionaries import save_patches

PATCH = np.arange(64, dtype=np.uint8).reshape(8, 8)


@pytest.fixture
def make(tmp_path):
    def save(name: str, *patches: str, **meta: object) -> Path:
        path = tmp_path / f"{name}.pkl"
        save_patches(path, patches, [PATCH] * len(patches), **({"meta": meta} if meta else {}))
        return path

    return save


def test_groups_of_one_dataset_all_fail_in_any_order(make):
    a = make("a", "img-LOC-2d-0-8_0-8", "own", source="a")
    roi = make("a-ROI-b", "x", "IMG-LOC-2d-0-8_0-8", source="a-ROI-b")
    loc = make("a-LOC-c", "img-LOC-2d-0-8_0-8")
    alone, other = make("a-ROI-d", "another", source="a-ROI-d"), make("b", "img-LOC-2d-0-8_0-8", source="b")
    for order in permutations([a, roi, loc, alone, other]):
        reasons = shared_names(order)
        assert reasons.keys() == {a, roi, loc}
        for path, reason in reasons.items():
            assert "of the folder a with" in reason and f"{path.name}" not in reason
            assert all(beside.name in reason for beside in {a, roi, loc} - {path})
    assert "its patch 'IMG-LOC-2d-0-8_0-8' would share" in reasons[roi]


def test_of_many_a_few_are_named(make):
    paths = [make(f"a-ROI-{n}", "same") for n in range(6)]
    reasons = shared_names(paths)
    assert "with that of a-ROI-0.pkl, a-ROI-1.pkl, a-ROI-2.pkl and 2 more; rename one of them" in reasons[paths[5]]
    assert "with that of a-ROI-1.pkl, a-ROI-2.pkl, a-ROI-3.pkl and 2 more; rename one of them" in reasons[paths[0]]
    assert len(reasons) == 6
    reasons = shared_names(paths[:4])
    assert "with that of a-ROI-0.pkl, a-ROI-1.pkl, a-ROI-2.pkl; rename one of them" in reasons[paths[3]]
    assert "a-ROI-2.pkl and 1 more;" in shared_names(paths[:5])[paths[4]]


def test_a_case_that_some_disks_ignore(make):
    one, other = make("Fly", "x"), make("fly-ROI-b", "X")
    assert shared_names([one, other]).keys() == {one, other}


def test_regions_of_different_volumes_are_not_read(make, monkeypatch):
    regions = [make(f"v-ROI-{n}", "same", source=f"v-ROI-{n}.nrrd", shape=(9, 9, 9)) for n in range(3)]
    monkeypatch.setattr(shared_names_module, "PatchFile", None)
    assert shared_names(regions) == {}


def test_copies_of_one_volume_are_told(make):
    copies = [make(f"v-ROI-{n}", "same", source="v.nrrd", shape=(9, 9, 9)) for n in range(2)]
    assert shared_names(copies).keys() == set(copies)


def test_what_cannot_be_read_stops_no_other(make, tmp_path):
    one, other = make("a", "same"), make("a-ROI-b", "same")
    (tmp_path / "a-ROI-c.pkl").write_bytes(b"nothing")
    assert shared_names([tmp_path / "a-ROI-c.pkl", one, tmp_path / "a-ROI-gone.pkl", other]).keys() == {one, other}


def test_names_that_meet_on_some_file_system():
    refuse_shared_files(["a", "b", "a.b"])
    with pytest.raises(ValueError, match="two patches would share a file: 'a' and 'A'"):
        refuse_shared_files(["a", "b", "A"])
    with pytest.raises(ValueError, match=r"\.\."):
        refuse_shared_files(["../a"])
    with pytest.raises(ValueError, match="share a file"):
        refuse_shared_files(["ab", "ab"])  # one string, as a pickle remembers it
