"""utils/formats/slice_folder.py: a folder of slices as a volume."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from utils.volumes import open_volume

VOXELS = np.random.default_rng(0).integers(0, 200, (6, 4, 5)).astype(np.int16)


@pytest.mark.parametrize("end", ["png", "tif", "jpg", "bmp", "pgm"])
def test_slices_in_natural_order(tmp_path, end):
    for z in range(12):
        Image.fromarray(np.full((6, 7), z * 20, np.uint8)).save(tmp_path / f"s{z}.{end}")
    (tmp_path / "notes.txt").write_text("x")
    with open_volume(tmp_path) as volume:
        assert volume.shape == (12, 6, 7) and volume.name == tmp_path.name
        np.testing.assert_array_equal(volume[:, 0, 0], np.arange(12) * 20)
        with pytest.warns(UserWarning, match="folder of slices"):
            assert volume.voxel_size is None


def test_slices_must_be_alike(tmp_path):
    for z, shape in enumerate([(6, 7), (6, 7), (6, 8)]):
        Image.fromarray(np.zeros(shape, np.uint8)).save(tmp_path / f"{z}.png")
    with pytest.raises(ValueError, match=r"2\.png is 6 x 8, the first one 6 x 7 uint8"):
        open_volume(tmp_path)
    tifffile.imwrite(tmp_path / "2.png", np.zeros((6, 7), np.uint16))
    with open_volume(tmp_path) as volume, pytest.raises(ValueError, match=r"2\.png"):
        volume[:]


def test_a_damaged_slice_is_named(tmp_path):
    for z in range(3):
        Image.fromarray(np.zeros((6, 7), np.uint8)).save(tmp_path / f"{z}.png")
    (tmp_path / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(ValueError, match=r"slice 1\.png"), open_volume(tmp_path) as volume:
        volume[:]


def test_a_folder_of_stacks_is_no_folder_of_slices(tmp_path):
    for name in "ab":
        tifffile.imwrite(tmp_path / f"{name}.tif", VOXELS)
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="6 pages"):
        open_volume(tmp_path)


def test_a_single_slice_is_no_volume(tmp_path):
    Image.fromarray(np.zeros((6, 7), np.uint8)).save(tmp_path / "0.png")
    with pytest.raises(ValueError, match="at least 2"):
        open_volume(tmp_path)
