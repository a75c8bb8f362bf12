"""utils/volume_index.py: volumes by the names of their patches."""

import numpy as np

import ngff_download
from ngff_images import write_precomputed
from utils.volume_index import VolumeIndex


def noise(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 250, shape).astype("uint8")


def test_regions_named_the_older_way_are_found(tmp_path):
    root = write_precomputed(tmp_path / "cell.pc", [noise((32, 32, 64))], offset=(1000, 200, 30))
    assert ngff_download.main([str(root), str(tmp_path / "out"), "-cs", "32"]) == 0
    index = VolumeIndex([str(tmp_path / "out")])
    for x in (0, 32):
        found = index.find(f"cell_s0-ROI-x{x}-{x + 32}_y0-32_z0-32")
        assert found is not None
        assert found.address.name == f"cell_s0-ROI-x{1000 + x}-{1032 + x}_y200-232_z30-62.nrrd"
        assert found.name == f"cell_s0-ROI-x{x}-{x + 32}_y0-32_z0-32"
    assert index.find("cell_s0-ROI-x64-96_y0-32_z0-32") is None and index.find("cell_s1-ROI-x0-32_y0-32_z0-32") is None
