"""Pixels of what is looked at: of TIFFs, of dictionaries read once, and of the slices around."""

import numpy as np
import pytest

from conftest import smooth_volume
from kept_patches import save_kept
from made_collection import add_dataset, image_names, pixels
from utils.collection.label_queue import Item
from utils.collection.stock import OPEN_VOLUMES, Neighbours, Stock
from utils.dictionaries import save_patches
from utils.formats.nrrd import write_nrrd

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
