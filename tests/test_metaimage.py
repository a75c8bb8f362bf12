"""utils/formats/metaimage.py: headers by hand, compressed voxels."""

import numpy as np
import pytest
import SimpleITK as sitk

from utils.volumes import open_volume

VOXELS = np.random.default_rng(0).integers(0, 200, (6, 4, 5)).astype(np.int16)


@pytest.mark.parametrize("code", ["<i2", ">i2", "<f4", "u1"])
@pytest.mark.parametrize("local", [True, False])
def test_metaimage_by_hand(tmp_path, code, local):
    kind = {"i2": "MET_SHORT", "f4": "MET_FLOAT", "u1": "MET_UCHAR"}[code[-2:]]
    header = (
        f"ObjectType = Image\nNDims = 3\nBinaryData = True\nElementByteOrderMSB = {code[0] == '>'}\nDimSize = 5 4 6\n"
        f"ElementSize = 4 5 6\nHeaderSize = -1\nElementType = {kind}\n"
        f"ElementDataFile = {'LOCAL' if local else 'd.raw'}\n"
    )
    data = b"junk before" * (not local) + VOXELS.astype(code).tobytes()
    path = tmp_path / ("a.mha" if local else "a.mhd")
    path.write_bytes(header.encode() + data * local)
    (tmp_path / "d.raw").write_bytes(data)
    with open_volume(path) as volume:
        np.testing.assert_array_equal(volume[:], VOXELS)
        assert volume.voxel_size == (6.0, 5.0, 4.0)


def test_metaimage_compressed(tmp_path):
    image = sitk.GetImageFromArray(VOXELS)
    image.SetSpacing((4, 5, 6))
    sitk.WriteImage(image, str(tmp_path / "a.mha"), True)
    with open_volume(tmp_path / "a.mha") as volume:
        np.testing.assert_array_equal(volume[:], VOXELS)
        assert not volume.streams and volume.voxel_size == (6.0, 5.0, 4.0)
