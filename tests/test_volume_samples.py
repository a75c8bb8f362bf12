"""utils/volume_samples.py: the window of a whole volume, and whether it holds labels."""

from functools import partial

import numpy as np
import pytest
import tifffile

from label_pictures import PICTURE, SHAPE, cells
from utils.contrast import Contrast
from utils.formats.writers import write_nrrd
from utils.volume_samples import _sample_boxes, slabs, volume_contrast, why_labels_volume
from utils.volumes import open_volume

VOXEL_SIZE = (30.0, 8.0, 6.0)


def voxels_of(dtype):
    return np.random.default_rng(1).integers(0, 200, (7, 9, 11)).astype(dtype)


def test_small_volumes_are_sampled_whole(tmp_path):
    voxels = voxels_of("int16")
    write_nrrd(tmp_path / "a.nrrd", voxels, VOXEL_SIZE)
    with open_volume(tmp_path / "a.nrrd") as volume:
        low, high = np.percentile(voxels, (0.1, 99.9))
        assert volume_contrast(volume, "percentile") == Contrast("percentile", low, high)
        assert volume_contrast(volume, "minmax") == Contrast("minmax", voxels.min(), voxels.max())
        assert volume_contrast(volume, "dtype") == Contrast("dtype", -32768, 32767)


def test_large_volumes_are_sampled_from_first_to_last_slice(tmp_path, monkeypatch):
    monkeypatch.setattr("utils.volume_samples.SAMPLE_VOXELS", 6000)
    voxels = np.random.default_rng(0).normal(0, 10, (90, 60, 70)).astype(np.float32)
    voxels[[0, -1]] += 1000
    voxels[50, 5, 5] = 5e4
    voxels[51, 5, 5] = np.nan
    write_nrrd(tmp_path / "a.nrrd", voxels, VOXEL_SIZE)
    with open_volume(tmp_path / "a.nrrd") as volume:
        seen = []
        monkeypatch.setattr(type(volume), "_read", lambda self, box: seen.append(box) or voxels[box])
        window = volume_contrast(volume, "percentile")
        assert {box[0].start for box in seen} >= {0, 89}
        assert sum(np.prod([s.stop - s.start for s in box]) for box in seen) <= 6000
        assert window.low < 0 and window.high > 900
        with pytest.warns(UserWarning, match="1 values are not finite"):
            assert volume_contrast(volume, "minmax").high == 5e4


def test_bytes_are_looked_at_where_they_are_to_be_stretched(tmp_path):
    voxels = voxels_of("uint8")
    write_nrrd(tmp_path / "a.nrrd", voxels, VOXEL_SIZE)
    with open_volume(tmp_path / "a.nrrd") as volume:
        low, high = np.percentile(voxels, (0.1, 99.9))
        assert volume_contrast(volume, stretch=True) == Contrast("percentile", low, high, stretch=True)
        assert volume_contrast(volume, "minmax", stretch=True) == Contrast("minmax", 0, 199, stretch=True)


@pytest.mark.parametrize("large", [False, True])
def test_fills_and_hot_voxels_set_no_window(tmp_path, monkeypatch, large):
    monkeypatch.setattr("utils.volume_samples.SAMPLE_VOXELS", 60_000 if large else 1 << 22)
    rng = np.random.default_rng(0)
    voxels = rng.normal(1000, 100, (40, 90, 80)).astype(np.uint16)
    hot = rng.random(voxels.shape) < 0.004
    voxels[hot] = rng.integers(5000, 60000, int(hot.sum()))
    voxels[:, :10] = 65535
    tifffile.imwrite(tmp_path / "a.tif", voxels, photometric="minisblack")
    with open_volume(tmp_path / "a.tif") as volume, pytest.warns(UserWarning, match="fill values 65535 .* and hot"):
        window = volume_contrast(volume)
    assert 600 < window.low < 750 and 1250 < window.high < 1400


def test_what_the_sample_does_not_see(tmp_path):
    """A sparse volume is not constant because the bands of the sample lie beside what it holds."""
    voxels = np.zeros((64, 300, 300), np.uint16)
    voxels[33, 5:20, 5:20] = 900
    tifffile.imwrite(tmp_path / "sparse.tif", voxels, photometric="minisblack")
    with open_volume(tmp_path / "sparse.tif") as volume:
        assert volume_contrast(volume) == Contrast("minmax", 0, 900)


@pytest.mark.parametrize("method", ["percentile", "minmax", "dtype"])
def test_values_that_are_not_finite_are_said(tmp_path, method):
    voxels = voxels_of("float32")
    voxels[0, 0, :3] = np.nan, np.inf, -np.inf
    for name, content, count in (("some", voxels, 3), ("all", np.full_like(voxels, np.nan), voxels.size)):
        tifffile.imwrite(tmp_path / f"{name}.tif", content, photometric="minisblack")
        with open_volume(tmp_path / f"{name}.tif") as volume, pytest.warns(UserWarning) as said:
            volume_contrast(volume, method)
        assert [str(w.message).split(":")[0] for w in said] == [f"{count} values are not finite"]


def test_uint8_needs_no_look_at_the_voxels(tmp_path):
    write_nrrd(tmp_path / "a.nrrd", voxels_of("uint8"), VOXEL_SIZE)
    with open_volume(tmp_path / "a.nrrd") as volume:
        assert volume_contrast(volume).method == "none"


def volume_of(folder, voxels):
    write_nrrd(folder / "a.nrrd", voxels)
    return open_volume(folder / "a.nrrd")


@pytest.mark.parametrize("sample", [1 << 22, 4096])
def test_volumes(tmp_path, monkeypatch, sample):
    monkeypatch.setattr("utils.volume_samples.SAMPLE_VOXELS", sample)
    picture, labels = np.stack([PICTURE] * 4), np.stack([cells(300)] * 4).astype(np.uint16)
    sparse, mask, ids = (np.zeros((40, *SHAPE), np.uint16) for _ in range(3))
    sparse[33, 100:200], mask[33, 100:104], ids[33, 40:60] = PICTURE[100:200], 1, cells(300)[40:60]
    for voxels, wanted in (
        (picture, ""),
        (labels, "areas of exactly one value each"),
        (sparse, ""),
        (mask, "2 distinct values"),
        (ids, "areas of exactly one value each"),
        (np.zeros_like(mask), ""),
    ):
        with volume_of(tmp_path, voxels) as volume:
            reason = why_labels_volume(volume)
        assert wanted in reason and bool(reason) == bool(wanted)


def test_what_is_no_number_counts_once_in_all_slices(tmp_path, monkeypatch):
    monkeypatch.setattr("utils.volume_samples.SAMPLE_VOXELS", 4096)
    monkeypatch.setattr("utils.volume_samples.slabs", partial(slabs, voxels=1))
    nothing = np.full((6, 64, 64), np.nan, np.float32)
    for voxels, wanted in ((nothing, ""), (np.where(np.arange(64) < 9, nothing, 0), "2 distinct values")):
        with volume_of(tmp_path, voxels.astype(np.float32)) as volume:
            reason = why_labels_volume(volume)
        assert wanted in reason and bool(reason) == bool(wanted)


def test_slices_that_a_sample_holds_wholly_are_not_cut_into_bands(monkeypatch):
    monkeypatch.setattr("utils.volume_samples.SAMPLE_SLICES", 2)
    monkeypatch.setattr("utils.volume_samples.SAMPLE_VOXELS", 2 * 6 * 5)
    whole = slice(None)
    assert _sample_boxes((4, 6, 5)) == [(slice(z, z + 1), slice(0, 6), whole) for z in (0, 3)]
    assert len(_sample_boxes((4, 7, 5))) > 2
