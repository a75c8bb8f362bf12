"""Volumes that are masks or label maps: told from a sample, or from every slice where that holds next to nothing."""

from functools import partial

import numpy as np
import pytest

from label_pictures import PICTURE, SHAPE, cells
from utils.formats.nrrd import write_nrrd
from utils.volume_labels import why_labels_volume
from utils.volume_samples import slabs
from utils.volumes import open_volume


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
    monkeypatch.setattr("utils.volume_labels.slabs", partial(slabs, voxels=1))
    nothing = np.full((6, 64, 64), np.nan, np.float32)
    for voxels, wanted in ((nothing, ""), (np.where(np.arange(64) < 9, nothing, 0), "2 distinct values")):
        with volume_of(tmp_path, voxels.astype(np.float32)) as volume:
            reason = why_labels_volume(volume)
        assert wanted in reason and bool(reason) == bool(wanted)
