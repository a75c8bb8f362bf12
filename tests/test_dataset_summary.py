"""What the table of datasets shows of a dataset, and what is odd about it."""

from types import SimpleNamespace

import pytest

from utils.collection.dataset_patches import Gathered
from utils.collection.dataset_summary import summarize
from utils.records.scores import Score


def part(name="fly", size=(9.0, 4.0, 4.0), **meta):
    return SimpleNamespace(name=name, voxel_size=size, meta={"patches": 10, "source": f"{name}.nrrd", **meta})


def decisions(kept=1, low=1, duplicate=0, excluded=0):
    reasons = {"kept": kept, "low score": low, "duplicate": duplicate, "excluded": excluded}
    return [
        Score(f"{r}{i}", 0.99 if r == "kept" else 0.049, r == "kept", r) for r, n in reasons.items() for i in range(n)
    ]


def summary(found=None, free=None, **said):
    said = {"decisions": decisions(), "parts": [part()], "contrast": [20.0], "pictures": 2, **said}
    return summarize("fly", "fly-1", "train", {"license": "CC0"} if free is None else free, found or Gathered(**said))


def test_numbers():
    row = summary(decisions=decisions(2, 1, 3, 1), pictures=7, parts=[part("b"), part("a", source=None)],
                  shapes={"a": [8, 9, 10], "b": [8, 9, 10]})  # fmt: skip
    assert {k: row[k] for k in ("dataset", "slug", "split", "cut", "deduplicated", "across", "kept", "parts")} == {
        "dataset": "fly", "slug": "fly-1", "split": "train", "cut": 20, "deduplicated": 7, "across": 3, "kept": 2,
        "parts": 2,
    }  # fmt: skip
    assert row["histogram"] == [5, *[0] * 18, 2] and row["voxel_size"] == [9.0, 4.0, 4.0]
    assert row["shapes"] == ["8 x 9 x 10"] and row["sources"] == ["a", "b.nrrd"] and row["free"] == {"license": "CC0"}
    assert row["flags"] == []
    assert summary(parts=[part(), part(patches=None)])["cut"] is None and summary(parts=[])["cut"] is None


@pytest.mark.parametrize(
    ("said", "flags"),
    [
        ({"contrast": [9.9, 9.9, 50.0]}, ["near-constant: hardly any contrast"]),
        ({"contrast": [10.0]}, []),
        ({"contrast": []}, []),
        ({"parts": [part(patches=20)]}, []),
        ({"parts": [part(patches=21)]}, ["duplicates 90%"]),
        ({"decisions": decisions(0, 2)}, ["nothing kept"]),
        ({"decisions": decisions(1, 19), "pictures": 20}, []),
        ({"decisions": decisions(1, 20), "pictures": 21}, ["kept 4.8%"]),
        ({"parts": [part(size=None)]}, ["voxel size missing"]),
        ({"parts": [part(), part(size=(9.0, 5.0, 5.0))]}, ["several voxel sizes"]),
        ({"free": {}}, ["license missing"]),
        ({"pictures": 1}, ["1 patches without a picture: no dictionary at hand"]),
        ({"warnings": ["failed: x"]}, ["failed: x"]),
    ],
)
def test_what_is_odd(said, flags):
    assert summary(**said)["flags"] == flags
