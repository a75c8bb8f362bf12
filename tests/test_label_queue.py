"""What is shown for labelling, and in what order; its pixels, and the slices around it."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from conftest import smooth_volume
from kept_patches import save_kept
from made_collection import add_dataset, image_names, pixels
from utils.cli import UsageError
from utils.collection.label_queue import OPEN_VOLUMES, Item, Neighbours, Stock, list_items, ordered
from utils.dictionaries import save_patches
from utils.formats.writers import write_nrrd


def test_uncertain_patches_come_first_and_datasets_take_turns():
    scores = {"a": [0.51, 0.52, 0.53, 0.95], "b": [0.56, 0.1], "c": [0.99]}
    items = [Item(f"{d}{i}", d, Path("x"), score) for d, own in scores.items() for i, score in enumerate(own)]
    found = [item.name for item in ordered(items, "uncertain", threshold=0.5, seed=0)]
    assert found == ["a0", "b0", "a1", "a2", "b1", "a3", "c0"]
    assert [i.name for i in ordered(items, "borderline", threshold=0.5, seed=0)][:4] == ["a0", "a1", "a2", "b0"]
    assert sorted(i.name for i in ordered(items, "random", threshold=0.5, seed=1)) == sorted(found)


def test_random_is_the_same_whatever_else_is_there():
    items = [Item(f"p{i}", "d", Path("x")) for i in range(30)]
    found = ordered(items, "random", threshold=0.5, seed=3)
    assert (
        found
        == ordered(items[::-1], "random", threshold=0.5, seed=3)
        != ordered(items, "random", threshold=0.5, seed=4)
    )
    assert [i for i in found if i in items[:9]] == ordered(items[:9], "random", threshold=0.5, seed=3)
    for order in ("uncertain", "borderline"):
        with pytest.raises(UsageError, match=f"--order {order} goes by scores"):
            ordered(items, order, threshold=0.5, seed=3)


def test_bands_are_a_tenth():
    items = [Item("a", "d", Path("x"), 0.501), Item("b", "d", Path("x"), 0.59), Item("c", "e", Path("x"), 0.599),
             Item("d", "f", Path("x"), 0.601), Item("e", "f", Path("x"), 0.398)]  # fmt: skip
    assert [i.name for i in ordered(items, "uncertain", threshold=0.5, seed=0)] == ["a", "c", "b", "d", "e"]


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    """A dictionary of four patches, of which two are kept."""
    root = tmp_path_factory.mktemp("collection")
    add_dataset(root, "tem", image_names(["a"]))
    return root


def test_what_a_folder_holds(collection):
    names, kept = image_names(["a"]), {path.stem for path in (collection / "filtered").rglob("*.tiff")}
    dictionary = collection / "patches/tem.pkl"
    found, failures = list_items(collection / "patches", None)
    assert [(i.name, i.dataset, i.where, i.score) for i in found] == [(n, "tem", dictionary, None) for n in names]
    assert failures == {}
    scored, _ = list_items(collection / "patches", collection / "filtered")
    assert [(i.name, i.where) for i in scored] == [(n, dictionary) for n in names]
    assert [i.score for i in scored] == [0.125, 0.875, 0.625, 0.375]
    tiffs, _ = list_items(collection / "filtered", None)
    assert {i.name for i in tiffs} == kept == {names[1], names[2]}
    assert all(i.where == collection / f"filtered/tem/{i.name}.tiff" and i.score > 0.5 for i in tiffs)


def test_what_cannot_be_read_costs_its_own_patches(collection, tmp_path):
    shutil.copytree(collection, tmp_path / "c")
    (tmp_path / "c/patches/damaged.pkl").write_bytes(b"\xae" * 100)
    items, failures = list_items(tmp_path / "c/patches", None)
    assert len(items) == 4 and list(failures) == [str(tmp_path / "c/patches/damaged.pkl")]
    gone = next((tmp_path / "c/filtered").rglob("*.tiff"))
    gone.unlink()
    assert len(list_items(tmp_path / "c/filtered", None)[0]) == 1


def test_names_that_no_table_could_hold(collection, tmp_path):
    shutil.copy(collection / "patches/tem.pkl", tmp_path / "tem.pkl")
    save_patches(tmp_path / "other.pkl", ["bad\udcff-LOC-2d-0-32_0-32"], [pixels("bad")])
    items, failures = list_items(tmp_path, None)
    assert [item.dataset for item in items] == ["tem"] * 4
    assert "is no UTF-8; rename" in failures[str(tmp_path / "other.pkl")]


NAMES = image_names(["a", "b"])


def test_dictionaries_are_read_once_and_tiffs_as_they_are(tmp_path):
    add_dataset(tmp_path, "tem", NAMES)
    dictionary = tmp_path / "patches/tem.pkl"
    tiff = next((tmp_path / "filtered/tem").iterdir())
    items = [Item(name, "tem", dictionary) for name in reversed(NAMES)]
    items += [Item("gone", "tem", dictionary), Item(tiff.stem, "tem", tiff)]
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    stock = Stock(items, scratch)
    for i, name in enumerate(reversed(NAMES)):
        np.testing.assert_array_equal(stock.pixels(i), pixels(name))
    np.testing.assert_array_equal(stock.pixels(len(NAMES) + 1), pixels(tiff.stem))
    assert len(list(scratch.iterdir())) == 1
    dictionary.unlink()
    np.testing.assert_array_equal(stock.pixels(0), pixels(NAMES[-1]))


def test_a_patch_that_is_not_in_its_dictionary(tmp_path):
    add_dataset(tmp_path, "tem", NAMES)
    dictionary = tmp_path / "patches/tem.pkl"
    stock = Stock([Item("gone", "tem", dictionary)], tmp_path / "filtered/tem")
    with pytest.raises(ValueError, match=r"tem\.pkl: no patch 'gone' in it; classify it again"):
        stock.pixels(0)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_around_a_patch(tmp_path, axis):
    voxels = smooth_volume((8, 9, 10))
    write_nrrd(tmp_path / "fly.nrrd", voxels, (1.0, 1.0, 1.0))
    name = f"fly-LOC-{axis}_3_2-6_1-8"
    patch = np.moveaxis(voxels, axis, 0)[3, 2:6, 1:8]
    contrast = {"contrast": {"method": "none", "low": 0, "high": 255}}
    item = Item(name, "fly", save_kept(tmp_path / "kept", name, patch, contrast))
    around = Neighbours([str(tmp_path)])
    for step in (-3, -1, 0, 4):
        np.testing.assert_array_equal(around.cut(item, step), np.moveaxis(voxels, axis, 0)[3 + step, 2:6, 1:8])
    assert around.cut(item, -4) is None and around.cut(item, 8 + axis - 3) is None
    assert around.cut(Item(name.replace("fly", "bee"), "bee", item.where), 1) is None
    assert around.cut(Item("tem-LOC-2d-0-9_0-9", "tem", item.where), 1) is None
    assert around.cut(Item("noname", "tem", item.where), 1) is None


def test_the_patch_s_own_window(tmp_path):
    voxels = np.arange(4 * 4 * 4, dtype=np.uint16).reshape(4, 4, 4)
    write_nrrd(tmp_path / "fly.nrrd", voxels, (1.0, 1.0, 1.0))
    contrast = {"contrast": {"method": "minmax", "low": 0, "high": 63.75}}
    name = "fly-LOC-0_0_0-4_0-4"
    item = Item(name, "fly", save_kept(tmp_path / "kept", name, np.zeros((4, 4), np.uint8), contrast))
    np.testing.assert_array_equal(Neighbours([str(tmp_path)]).cut(item, 1), voxels[1] * 4)


def test_a_window_that_is_none_is_measured_anew(tmp_path):
    """As a damaged dictionary may remember one."""
    voxels = smooth_volume((2, 9, 10))
    write_nrrd(tmp_path / "v.nrrd", voxels, (1.0, 1.0, 1.0))
    save_patches(tmp_path / "v.pkl", ["v-LOC-0_0_0-9_0-9"], voxels[:1, :9, :9], meta={"contrast": {"low": None}})
    item = Item("v-LOC-0_0_0-9_0-9", "v", tmp_path / "v.pkl")
    np.testing.assert_array_equal(Neighbours([str(tmp_path)]).cut(item, 1), voxels[1, :, :9])


def test_few_volumes_are_open(tmp_path):
    for i in range(OPEN_VOLUMES + 2):
        write_nrrd(tmp_path / f"v{i}.nrrd", smooth_volume((2, 4, 4)), (1.0, 1.0, 1.0))
    kept = save_kept(tmp_path / "kept", "v0-LOC-0_0_0-4_0-4", np.zeros((4, 4), np.uint8), None)
    around = Neighbours([str(tmp_path)])
    for i in range(OPEN_VOLUMES + 2):
        assert around.cut(Item(f"v{i}-LOC-0_0_0-4_0-4", "v", kept), 1) is not None
        around.cut(Item("v0-LOC-0_0_0-4_0-4", "v", kept), 1)
    said = around._volume.cache_info()
    assert (said.currsize, said.misses) == (OPEN_VOLUMES, OPEN_VOLUMES + 2)  # the one that is looked at stays open
