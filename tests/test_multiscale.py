"""A multiscale image: its levels by number and by size, and a level as a volume."""

import numpy as np
import pytest

from ngff_images import SIZES, pyramid, write_ome_zarr
from utils.ngff.metadata import Level
from utils.ngff.multiscale import Multiscale, mirrored
from utils.ngff.opening import open_multiscale


@pytest.fixture
def image(tmp_path):
    """Levels whose finest sides are 6, 12 and 24 nm."""
    return open_multiscale(write_ome_zarr(tmp_path / "cell.zarr", pyramid()))


def test_levels_by_number(image):
    assert [image.index(i) for i in range(3)] == [0, 1, 2]
    for absent in (-1, 3):
        with pytest.raises(ValueError, match=rf"^no level {absent}; it has 3 \(0 to 2\)$"):
            image.index(absent)
    broken = Multiscale("u", "zarr", image.store, (image.levels[0], Level.broken("1", "no array")))
    with pytest.raises(ValueError, match=r"^level 1 cannot be read: no array$"):
        broken.open_level(1)


@pytest.mark.parametrize(("nm", "level"), [(1, 0), (8.4, 0), (8.5, 1), (12, 1), (16.9, 1), (17, 2), (900, 2)])
def test_the_nearest_level_is_nearest_by_ratio(image, nm, level):
    assert image.nearest(nm) == level  # 6 and 12 part at 8.49, 12 and 24 at 16.97


def test_sizes_that_are_not_known(tmp_path):
    image = open_multiscale(write_ome_zarr(tmp_path / "a.zarr", pyramid(), unit=None))
    with pytest.raises(ValueError, match="no voxel sizes to compare 8 nm with; choose a --level"):
        image.nearest(8)
    assert image.in_unit(None) is image
    assert next(level.voxel_size for level in image.in_unit("um").levels) == (30000.0, 8000.0, 6000.0)


def test_a_level_is_a_volume(image):
    with image.open_level(1) as volume:
        assert (volume.name, volume.shape, volume.voxel_size) == ("cell_s1", (24, 20, 26), SIZES[1])
        np.testing.assert_array_equal(volume[3:5, 2:, :7], pyramid()[1][3:5, 2:, :7])
        assert volume[4:4].shape == (0, 20, 26)
        assert volume[30:40].shape == (0, 20, 26)
        assert volume.shown(7.0) == 7.0 and volume.streams
    assert image.open_level(0, name="fly").name == "fly_s0"
    assert image.open_level(0, voxel_size=(1.0, 2.0, 3.0)).voxel_size == (1.0, 2.0, 3.0)


@pytest.mark.parametrize(
    ("values", "others"),
    [
        (np.array([0, 1, 255], "u1"), [255, 254, 0]),
        (np.array([0, 65535], "u2"), [65535, 0]),
        (np.array([-32768, -1, 0, 5], "i2"), [32767, 0, -1, -6]),
        (np.array([-0.5, 2.0], "f4"), [0.5, -2.0]),
        (np.array([True, False]), [False, True]),
    ],
)
def test_what_was_bright_is_dark(tmp_path, values, others):
    assert mirrored(values).tolist() == others
    assert mirrored(values).dtype == values.dtype
    voxels = np.resize(values, (2, 2, 8))
    volume = open_multiscale(write_ome_zarr(tmp_path / "a.zarr", [voxels])).open_level(0, invert=True)
    np.testing.assert_array_equal(volume[:], mirrored(voxels))
    assert [volume.shown(float(value)) for value in values] == others


def test_chunks_that_no_memory_holds_are_refused(image):
    from dataclasses import replace

    large = Multiscale("u", "zarr", image.store, (replace(image.levels[0], chunk=(1 << 14,) * 3),))
    with pytest.raises(ValueError, match="a chunk of 16384 x 16384 x 16384 voxels"):
        large.open_level(0)
