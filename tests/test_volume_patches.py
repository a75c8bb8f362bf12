"""Volumes become patches: axes, cells of cubes, hashes row by row, and the kept patches by their names."""

import pickle
import warnings

import numpy as np
import pytest

from utils.contrast import NO_CONTRAST
from utils.cubes import cut
from utils.formats.writers import write_nrrd
from utils.hashing import is_flat, patch_hasher
from utils.names import format_name_3d
from utils.outcomes import PassedOver
from utils.sources import VolumeSource
from utils.volume_patches import (
    VolumeCutting,
    VolumeReader,
    _rows,
    axes_to_cut,
    cells_of,
    hash_volume,
    kept_patches,
    refuse_unwanted,
)

CUTTING = VolumeCutting(
    crop=16, min_side=8, edges="shift", contrast_method="percentile", stretch=False, keep_labels=False,
    axes=(0, 1, 2), spacing=3, hash="dhash", hash_size=8, distance=12, seed=0,
)  # fmt: skip


@pytest.fixture
def source(tmp_path, rng):
    voxels = rng.integers(0, 256, (20, 40, 50)).astype(np.uint8)
    voxels[:, :16, :16] = 7
    write_nrrd(tmp_path / "v.nrrd", voxels, (4.0, 4.0, 4.0))
    return VolumeSource("v", tmp_path / "v.nrrd")


def source_of(path, voxels, size=(4.0, 4.0, 4.0)):
    write_nrrd(path, voxels, size)
    return VolumeSource(path.stem, path)


def changed(**fields) -> VolumeCutting:
    return VolumeCutting(**{**vars(CUTTING), **fields})


def test_the_axes_that_are_cut(tmp_path, source):
    with source.open() as volume:
        assert axes_to_cut(volume, CUTTING) == ((0, 1, 2), "")
        assert axes_to_cut(volume, changed(axes=(1,))) == ((1,), "")
    flat = source_of(tmp_path / "flat.nrrd", np.zeros((20, 20, 20), np.uint8), (40.0, 4.0, 4.0))
    with flat.open() as volume:
        assert axes_to_cut(volume, CUTTING)[0] == (0,)
        with pytest.raises(ValueError, match=r"only axis 0 \(xy\) can be cut, and --axes leaves it out"):
            axes_to_cut(volume, changed(axes=(1, 2)))


@pytest.mark.parametrize(
    ("voxels", "reason"),
    [
        (np.zeros((5, 5, 20), np.uint8), "too small for a patch"),
        (np.arange(20**3).reshape(20, 20, 20) % 2, r"2 distinct values: a mask or a label map \(--keep-labels"),
    ],
)
def test_what_gives_no_patches(tmp_path, voxels, reason):
    with source_of(tmp_path / "a.nrrd", voxels.astype(np.uint8)).open() as volume:
        with pytest.raises(PassedOver, match=reason):
            refuse_unwanted(volume, CUTTING)
        if "labels" in reason:
            refuse_unwanted(volume, changed(keep_labels=True))


def test_axes_without_patches_are_said_or_all_there_are(tmp_path, rng):
    thin = source_of(tmp_path / "thin.nrrd", rng.integers(0, 256, (5, 30, 30)).astype(np.uint8))
    with thin.open() as volume:
        with pytest.warns(UserWarning, match="axes 1 and 2 give no patches: 5 slices, --min-side 8"):
            refuse_unwanted(volume, CUTTING)
        with pytest.raises(PassedOver, match="axes 1 and 2 give no patches"):
            refuse_unwanted(volume, changed(axes=(1, 2)))


def test_cubes_are_cut_as_if_they_were_volumes(source):
    with source.open() as volume:
        whole = cells_of(volume, CUTTING)
        assert cells_of(volume, CUTTING, [((0, 20), (0, 40), (0, 50))]) == whole
        [cell] = cells_of(volume, CUTTING, [((2, 18), (16, 32), (20, 36))])
    assert cell.box(0) == (16, 32, 20, 36) and list(cell.slices(0)) == [3, 6, 9, 12, 15]


def test_hashes_and_kept_patches(source):
    with source.open() as volume, warnings.catch_warnings(action="error"):
        cells = cells_of(volume, CUTTING)
        patches = [(cell, axis, index) for cell in cells for axis, index in cell.patches()]
        reading = VolumeReader(source, volume, NO_CONTRAST, CUTTING)
        hashes, flat = hash_volume(reading, cells, 1)
        for again in (hash_volume(reading, cells, 2), hash_volume(pickle.loads(pickle.dumps(reading)), cells, 1)):
            np.testing.assert_array_equal(again[0], hashes)
            np.testing.assert_array_equal(again[1], flat)
        kept = np.flatnonzero(np.arange(len(patches)) % 5 == 1)
        found = dict(kept_patches(reading, kept, cells, 2))
        voxels = volume[:]
    images = [cut(voxels[tuple(slice(*s) for s in cell.region())], cell, axis, index) for cell, axis, index in patches]
    assert flat.tolist() == [is_flat(image) for image in images] and flat.any()
    one = patch_hasher(16)
    np.testing.assert_array_equal(hashes, [one(image) * (not is_flat(image)) for image in images])
    names = [
        format_name_3d("v", axis, index, voxels.shape[axis], cell.box(axis))
        for cell, axis, index in (patches[i] for i in kept)
    ]
    assert list(found) == names
    for i, patch in zip(kept, found.values(), strict=True):
        np.testing.assert_array_equal(patch, images[i])


def test_each_thread_gets_rows_and_cells_without_kept_patches_are_not_read(tmp_path, rng, monkeypatch):
    monkeypatch.setattr("utils.volume_patches.ROWS_PER_THREAD", 2)
    read = []

    class Watching(VolumeReader):
        def voxels(self, region):
            read.append(region)
            return super().voxels(region)

    long = source_of(tmp_path / "long.nrrd", rng.integers(0, 256, (16, 16, 128)).astype(np.uint8))
    with long.open() as volume:
        reading, cells = Watching(long, volume, NO_CONTRAST, CUTTING), cells_of(volume, CUTTING)
        assert [[len(row) for row in _rows(reading, cells, threads)] for threads in (1, 2)] == [[4, 4], [2, 2, 2, 2]]
        assert len(list(kept_patches(reading, np.array([len(cells[0])]), cells, 1))) == 1
    assert read == [cells[1].region()]
