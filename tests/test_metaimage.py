"""utils/formats/metaimage.py: headers by hand, compressed voxels."""

import zlib

import numpy as np
import pytest
import SimpleITK as sitk

from utils.formats.metaimage import voxel_size
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


HEADER = "NDims = {}\nDimSize = {}\nElementSpacing = 4 5 6\nElementType = MET_SHORT\n"


@pytest.mark.parametrize("compressed", [False, True])
def test_a_flat_image_is_a_volume_of_one_slice(tmp_path, compressed):
    data = zlib.compress(VOXELS[0].tobytes()) if compressed else VOXELS[0].tobytes()
    rest = f"CompressedData = {compressed}\nElementDataFile = LOCAL\n"
    (tmp_path / "a.mha").write_bytes((HEADER.format(2, "5 4") + rest).encode() + data)
    with open_volume(tmp_path / "a.mha") as volume:
        np.testing.assert_array_equal(volume[:], VOXELS[:1])


def test_compressed_claims_are_checked_before_anything_is_read(tmp_path):
    rest = "CompressedData = True\nElementDataFile = LOCAL\n"
    (tmp_path / "a.mha").write_bytes((HEADER.format(3, "9000 9000 9000") + rest).encode() + bytes(100))
    with pytest.raises(ValueError, match="voxels"):
        open_volume(tmp_path / "a.mha")


@pytest.mark.parametrize(("named", "said"), [
    ("s%02d.raw 1 6 1", ""), ("s%02d.raw 1 5 1", "the header promises 6 slices and names 5 files$"),
    ("s%02d.raw 1 7 1", r"the header promises 6 slices and names 7 files, s07\.raw is missing$"),
    ("s%02d.raw 2 12 2", r"names 6 files, s08\.raw is missing$"),
    ("s%02d.raw 1 999999999999 1", r"names 999999999999 files, s07\.raw is missing$"),
    ("s%999999999d.raw 1 6 1", "expected a number in it"), ("s%n.raw 1 6 1", "expected a number in it"),
    ("LIST\ns01.raw\ns02.raw\ns03.raw\ns04.raw\ns05.raw\ns06.raw", ""),
    ("LIST\ns01.raw\ns02.raw", "names 2 files$"), ("s%02d.raw 6 1 -1", "counts slices down"),
    ("s%02d.raw 1 6 0", "expected a number in it"), ("s%02d.raw 1 6", "expected a number in it"),
])  # fmt: skip
def test_slices_in_files_of_their_own(tmp_path, named, said):
    for z, page in enumerate(VOXELS, 1):
        (tmp_path / f"s{z:02d}.raw").write_bytes(page.tobytes())
    (tmp_path / "a.mhd").write_text(HEADER.format(3, "5 4 6") + f"ElementDataFile = {named}\n")
    if said:
        with pytest.raises(ValueError, match=said):
            open_volume(tmp_path / "a.mhd")
    else:
        with open_volume(tmp_path / "a.mhd") as volume:
            np.testing.assert_array_equal(volume[:], VOXELS)


@pytest.mark.parametrize(("fields", "said"), [
    ("NDims = 2\nDimSize = 5 4 6\n", r"NDims 2, DimSize \[5, 4, 6\]"), ("NDims = 3\nDimSize = 5 0 6\n", "NDims 3"),
    ("NDims = 0\nDimSize =\n", r"NDims 0, DimSize \[\]"),
    ("NDims = 3\nDimSize = 5 4 6\nHeaderSize = -2\n", "HeaderSize -2"),
    ("NDims = 3\nDimSize = 5 4 6\nHeaderSize = 1\n", "skips 1 bytes"), ("NDims = 3\njunk\n", "has no ElementDataFile"),
])  # fmt: skip
def test_headers_that_contradict_themselves(tmp_path, fields, said):
    path = tmp_path / "a.mha"
    path.write_bytes((fields + "ElementType = MET_SHORT\nElementDataFile = LOCAL\n").encode() + VOXELS.tobytes())
    with pytest.raises(ValueError, match=said):
        open_volume(path)


@pytest.mark.parametrize(("sizes", "skipped", "compressed"), [("5 4 1", 0, False), ("5 4", 7, False), ("5 4", 7, True)])
def test_voxels_in_a_file_of_their_own(tmp_path, sizes, skipped, compressed):
    data = zlib.compress(VOXELS[0].tobytes()) if compressed else VOXELS[0].tobytes()
    (tmp_path / "d.raw").write_bytes(bytes(skipped) + data)
    rest = f"HeaderSize = {skipped}\nCompressedData = {compressed}\nElementDataFile = d.raw\n"
    (tmp_path / "a.mhd").write_text(HEADER.format(len(sizes.split()), sizes) + rest)
    with open_volume(tmp_path / "a.mhd") as volume:
        np.testing.assert_array_equal(volume[:], VOXELS[:1])


def test_two_lengths_are_no_voxel_size():
    assert voxel_size({"ElementSpacing": "4 5"}).nm is None
    assert voxel_size({"ElementSize": "4 5 6", "DistanceUnits": "um"}).nm == (6000, 5000, 4000)
