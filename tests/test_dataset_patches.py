"""One pass over a dataset's patches: pixels, hashes, rows, what cannot be read; and what is odd about it."""

from hashlib import sha256
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest

from made_collection import SIDE, add_dataset, image_names, pixels, volume_names
from utils.collection.dataset_patches import Gathered, Pixels, gather, summarize
from utils.collection.inventory import Part, list_parts
from utils.collection.manifest import PartWriter
from utils.collection.overviews import Overviews
from utils.collection.page_files import AROUND, THUMB, Thumbs
from utils.contact_sheet import fit
from utils.dictionaries import load_patches, save_patches
from utils.records.scores import Score

NAMES = volume_names("fly", 2, 1)


@pytest.fixture
def part(tmp_path):
    """A dictionary of two slices, classified."""
    add_dataset(tmp_path, "fly", NAMES, shape=(2, 96, 96))
    return list_parts(tmp_path / "filtered", [tmp_path / "patches"])[0]


def gathered(folder, parts):
    overviews = Overviews()
    with PartWriter(folder / "m.parquet", "train", {}) as rows, Thumbs(folder / "thumbs") as thumbs:
        found = gather(parts, thumbs, rows, overviews)
        small = [thumbs[i] for i in range(len(found.decisions))] if found.pictures else []
    return found, small, pq.read_table(folder / "m.parquet").to_pylist(), overviews


def test_every_patch_once(part, tmp_path):
    found, small, rows, overviews = gathered(tmp_path, [part])
    assert [d.name for d in found.decisions] == NAMES and found.pictures == 2 and found.parts == [part]
    assert found.sources == {"fly": 0} and found.where == [(0, name.removeprefix("fly-LOC-")) for name in NAMES]
    assert found.shapes == {"fly": [2, 96, 96]} and found.failures == {} and found.warnings == []
    for name, cell, contrast, row in zip(NAMES, small, found.contrast, rows, strict=True):
        np.testing.assert_array_equal(cell, fit(pixels(name), THUMB, AROUND))
        assert contrast == pytest.approx(pixels(name)[::4, ::4].std())
        assert row["sha256"] == sha256(pixels(name).tobytes()).hexdigest() and row["name"] == name
    assert list(overviews.sizes) == [("fly", 0)] and SIDE == 32


@pytest.mark.parametrize("shape", [None, [1, 2], [-1, 1e99, None], "abc", ["a"] * 3])
def test_a_shape_that_is_none(part, tmp_path, shape):
    found = load_patches(part.dictionary)
    save_patches(part.dictionary, found["names"], found["patches"], meta={**found["meta"], "shape": shape})
    assert gathered(tmp_path, [part])[0].shapes == {}


def test_without_a_dictionary_there_are_kept_patches(part, tmp_path):
    kept = [d.name for d in part.decisions() if d.kept]
    found, _, rows, _ = gathered(tmp_path, [Part(part.name, part.table)])
    assert found.pictures == len(kept) == 1 and len(found.decisions) == 2
    assert [bool(row["sha256"]) for row in rows] == [row["name"] in kept for row in rows]


def test_what_cannot_be_read_costs_its_own(part, tmp_path):
    add_dataset(tmp_path, "gone", image_names(["g"]))
    gone = Part("gone", tmp_path / "filtered/gone.csv", tmp_path / "patches/gone.pkl")
    gone.dictionary.write_bytes(b"\xae" * 99)
    found, _, rows, _ = gathered(tmp_path, [gone, part])
    assert list(found.failures) == [str(gone.dictionary)] and found.warnings == ["failed: gone.pkl cannot be read"]
    assert found.parts == [part] and len(rows) == 2
    tiff = next(part.folder.iterdir())
    tiff.write_bytes(b"no")
    found, *_ = gathered(tmp_path, [Part(part.name, part.table)])
    assert list(found.failures) == [str(tiff)] and found.pictures == 0


def test_images_that_could_not_be_read_are_said(tmp_path):
    add_dataset(tmp_path, "tem", image_names(["a"]), unreadable={"b.tif": "no", "c.tif": "no"})
    (part,) = list_parts(tmp_path / "filtered", [tmp_path / "patches"])
    assert gathered(tmp_path, [part])[0].warnings == ["2 images of tem could not be read"]


def test_hashes_are_shown_in_hexadecimal(part, tmp_path):
    content = load_patches(part.dictionary)
    for hashes, shown in (
        (np.array([1, 2**63], np.uint64), ["0" * 15 + "1", "8" + "0" * 15]),
        (np.array([[1, 2], [3, 4]], np.uint64), ["0" * 15 + "1" + "0" * 15 + "2", "0" * 15 + "3" + "0" * 15 + "4"]),
        (np.array([1], np.uint64), ["", ""]),  # not one for each patch
    ):
        save_patches(part.dictionary, content["names"], content["patches"], meta=content["meta"], hashes=hashes)
        with Pixels(part, {}) as pixels_of:
            assert [pixels_of.of(Score(name, 0.5, True, "kept"))[1] for name in NAMES] == shown
            assert pixels_of.of(Score("none", 0.5, True, "kept")) == (None, "")


def test_names_without_a_place(tmp_path):
    add_dataset(tmp_path, "odd", ["noplace"])
    found, *_ = gathered(tmp_path, list_parts(tmp_path / "filtered", [tmp_path / "patches"]))
    assert found.sources == {"": 0} and found.where == [(0, "noplace")]


def part_called(name="fly", size=(9.0, 4.0, 4.0), **meta):
    return SimpleNamespace(name=name, voxel_size=size, meta={"patches": 10, "source": f"{name}.nrrd", **meta})


def decisions(kept=1, low=1, duplicate=0, excluded=0):
    reasons = {"kept": kept, "low score": low, "duplicate": duplicate, "excluded": excluded}
    return [
        Score(f"{r}{i}", 0.99 if r == "kept" else 0.049, r == "kept", r) for r, n in reasons.items() for i in range(n)
    ]


def summary(found=None, free=None, **said):
    said = {"decisions": decisions(), "parts": [part_called()], "contrast": [20.0], "pictures": 2, **said}
    return summarize("fly", "fly-1", "train", {"license": "CC0"} if free is None else free, found or Gathered(**said))


def test_numbers():
    row = summary(decisions=decisions(2, 1, 3, 1), pictures=7, parts=[part_called("b"), part_called("a", source=None)],
                  shapes={"a": [8, 9, 10], "b": [8, 9, 10]})  # fmt: skip
    assert {k: row[k] for k in ("dataset", "slug", "split", "cut", "deduplicated", "across", "kept", "parts")} == {
        "dataset": "fly", "slug": "fly-1", "split": "train", "cut": 20, "deduplicated": 7, "across": 3, "kept": 2,
        "parts": 2,
    }  # fmt: skip
    assert row["histogram"] == [5, *[0] * 18, 2] and row["voxel_size"] == [9.0, 4.0, 4.0]
    assert row["shapes"] == ["8 x 9 x 10"] and row["sources"] == ["a", "b.nrrd"] and row["free"] == {"license": "CC0"}
    assert row["flags"] == []
    assert summary(parts=[part_called(), part_called(patches=None)])["cut"] is None and summary(parts=[])["cut"] is None


@pytest.mark.parametrize(
    ("said", "flags"),
    [
        ({"contrast": [9.9, 9.9, 50.0]}, ["near-constant: hardly any contrast"]),
        ({"contrast": [10.0]}, []),
        ({"contrast": []}, []),
        ({"parts": [part_called(patches=20)]}, []),
        ({"parts": [part_called(patches=21)]}, ["duplicates 90%"]),
        ({"decisions": decisions(0, 2)}, ["nothing kept"]),
        ({"decisions": decisions(1, 19), "pictures": 20}, []),
        ({"decisions": decisions(1, 20), "pictures": 21}, ["kept 4.8%"]),
        ({"parts": [part_called(size=None)]}, ["voxel size missing"]),
        ({"parts": [part_called(), part_called(size=(9.0, 5.0, 5.0))]}, ["several voxel sizes"]),
        ({"free": {}}, ["license missing"]),
        ({"pictures": 1}, ["1 patches without a picture: no dictionary at hand"]),
        ({"warnings": ["failed: x"]}, ["failed: x"]),
    ],
)
def test_what_is_odd(said, flags):
    assert summary(**said)["flags"] == flags
