"""Small stacks as TIFF: voxel size and axes where ImageJ and tifffile look for them."""

import numpy as np
import pytest
import tifffile

from utils.reconstruction.stack_tiff import IMAGEJ_DTYPES, write_imagej
from utils.volumes import open_volume

STACK = np.arange(24).reshape(2, 3, 4)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "int32", "float64"])
def test_stacks_are_read_back(tmp_path, dtype):
    path = tmp_path / "a.tif"
    write_imagej(path, STACK.astype(dtype), (30.0, 5.0, 4.0))
    with tifffile.TiffFile(path) as tif:
        assert tif.is_imagej is (dtype in IMAGEJ_DTYPES) and tif.series[0].axes == "ZYX"
        np.testing.assert_array_equal(tif.asarray(), STACK)
        x, y = (tif.pages.first.tags[name].value for name in ("XResolution", "YResolution"))
        assert (x[1] / x[0], y[1] / y[0]) == pytest.approx((4, 5)) and "Software" not in tif.pages.first.tags
        if tif.imagej_metadata:
            assert (tif.imagej_metadata["spacing"], tif.imagej_metadata["unit"]) == (30.0, "nm")
    with open_volume(path) as volume:
        assert volume.voxel_size == pytest.approx((30, 5, 4))


def test_without_a_voxel_size_none_is_written(tmp_path):
    write_imagej(tmp_path / "a.tif", STACK.astype(np.uint8), None)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert "spacing" not in (tif.imagej_metadata or {}) and tif.series[0].axes == "ZYX"
    with open_volume(tmp_path / "a.tif") as volume, pytest.warns(UserWarning, match="voxel size missing"):
        assert volume.voxel_size is None
