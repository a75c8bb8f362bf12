"""Kept patches as TIFFs: tifffile's own bytes, whatever the patch and what is said of it."""

import numpy as np
import pytest
import tifffile

from utils.classification.kept_tiff import KeptTiffs
from utils.records.kept_patch import KeptRecord, read_kept_record


@pytest.mark.parametrize("shape", [(224, 224), (1, 1), (3, 5), (112, 224), (2048, 2051)])
def test_kept_tiffs_are_tifffiles_own_bytes(tmp_path, shape):
    tiffs, rng = KeptTiffs(), np.random.default_rng(0)
    for score in (0.5, 0.9876, 0.9875, 0.9):
        patch = rng.integers(0, 256, shape, np.uint8)
        record = KeptRecord("brain \u00b5m 'a\\b'", score)
        tiffs.write(tmp_path / "a.tiff", patch, record)
        options: dict = {"photometric": "minisblack", "metadata": None, "software": False}
        tifffile.imwrite(tmp_path / "b.tiff", patch, description=record.to_json(), **options)
        assert (tmp_path / "a.tiff").read_bytes() == (tmp_path / "b.tiff").read_bytes()
        assert read_kept_record(tmp_path / "a.tiff") == record


def test_kinds_that_are_remembered_are_few(tmp_path, monkeypatch):
    monkeypatch.setattr("utils.classification.kept_tiff.MOST_KINDS", 2)
    tiffs = KeptTiffs()
    for side in (4, 5, 4, 5):
        tiffs.write(tmp_path / "a.tiff", np.zeros((side, 4), np.uint8), KeptRecord("d", 0.5))
    assert len(tiffs._kinds) == 2
    for side in (4, 5, 6, 4):
        patch = np.full((side, 4), side, np.uint8)
        tiffs.write(tmp_path / "a.tiff", patch, KeptRecord("d", 0.5))
        assert np.array_equal(tifffile.imread(tmp_path / "a.tiff"), patch) and len(tiffs._kinds) <= 2
    view = np.arange(32, dtype=np.uint8).reshape(4, 8)[:, ::2]
    tiffs.write(tmp_path / "a.tiff", view, KeptRecord("d", 0.5))
    assert np.array_equal(tifffile.imread(tmp_path / "a.tiff"), view)


def test_compressed_ones_are_laid_out_by_tifffile(tmp_path):
    tiffs, patch = KeptTiffs("zstd"), np.zeros((64, 64), np.uint8)
    tiffs.write(tmp_path / "a.tiff", patch, KeptRecord("d", 0.5))
    assert (tmp_path / "a.tiff").stat().st_size < 1000 and tiffs._kinds == {}
    assert np.array_equal(tifffile.imread(tmp_path / "a.tiff"), patch)
    assert read_kept_record(tmp_path / "a.tiff") == KeptRecord("d", 0.5)
