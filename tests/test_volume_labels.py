"""Volumes that are masks or label maps: told from a sample, or from every slice where that holds next to nothing."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from utils.formats.nrrd import write_nrrd
from utils.volume_labels import why_labels_volume
from utils.volumes import open_volume

SHAPE = (300, 320)
RNG = np.random.default_rng(5)
NOISE = RNG.normal(size=SHAPE)
# A picture of 8 bits: blobs, and a little noise.
PICTURE = np.clip(128 + gaussian_filter(NOISE, 4) * 400 + RNG.normal(0, 4, SHAPE), 0, 255).astype(np.uint8)


def cells(count: int, empty: float = 0.3, classes: int = 0) -> np.ndarray:
    """Areas around random points, each with its number or its class; a share of them is background."""
    rng = np.random.default_rng(6)
    tree = cKDTree(rng.random((count, 2)) * SHAPE)
    nearest = tree.query(np.argwhere(np.ones(SHAPE)))[1].reshape(SHAPE)
    names = rng.integers(1, classes + 1, count) if classes else np.arange(1, count + 1)
    return np.where(rng.random(count) < empty, 0, names)[nearest]


def volume_of(folder, voxels):
    write_nrrd(folder / "a.nrrd", voxels)
    return open_volume(folder / "a.nrrd")


@pytest.mark.parametrize("sample", [1 << 22, 4096])
def test_volumes(tmp_path, monkeypatch, sample):
    monkeypatch.setattr("utils.volumes.SAMPLE_VOXELS", sample)
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
