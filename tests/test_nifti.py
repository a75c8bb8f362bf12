"""utils/formats/nifti.py: versions, units, scaling."""

import gzip
import re
import warnings

import numpy as np
import pytest
import SimpleITK as sitk

from utils.formats.nifti import parse_header
from utils.volumes import open_volume

VOXELS = np.random.default_rng(0).integers(0, 200, (6, 4, 5)).astype(np.int16)


def nifti(order="<", version=1, units=2, pixdim=(4.0, 5.0, 6.0), slope=(0.0, 0.0), dim=(3, 5, 4, 6), voxels=VOXELS):
    """The bytes of a single-file NIfTI, made by hand because SimpleITK writes neither big-endian nor version 2."""
    first = version == 1
    head = bytearray(348 if first else 540)
    code = {"int16": 4, "uint8": 2, "float32": 16, "float64": 64}[voxels.dtype.name]

    def put(place, kind, *numbers):
        head[place : place + np.dtype(kind).itemsize * len(numbers)] = np.array(numbers, order + kind).tobytes()

    put(0, "i4", len(head))
    put(40 if first else 16, "i2" if first else "i8", *dim)
    put(70 if first else 12, "i2", code)
    put(76 if first else 104, "f4" if first else "f8", 1.0, *pixdim)
    put(108 if first else 168, "f4" if first else "i8", len(head) + 4)
    put(112 if first else 176, "f4" if first else "f8", *slope)
    put(123 if first else 500, "u1" if first else "i4", units)
    head[344 if first else 4 : 348 if first else 8] = b"n+1\0" if first else b"n+2\0"
    return bytes(head) + b"\0" * 4 + voxels.astype(voxels.dtype.newbyteorder(order)).tobytes()


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_nifti_versions(tmp_path, order, version, name):
    content = nifti(order, version)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    with open_volume(tmp_path / name) as volume:
        np.testing.assert_array_equal(volume[:], VOXELS)
        assert volume.dtype.isnative and volume.voxel_size == (6.0, 5.0, 4.0)


@pytest.mark.parametrize(
    ("units", "pixdim", "size"),
    [
        (2, (4, 5, 6), (6, 5, 4)),  # what ITK writes for 4 x 5 x 6 nm
        (0, (4, 5, 6), (6, 5, 4)),
        (3, (0.004, 0.005, 0.05), (50, 5, 4)),
        (3 + 8, (0.004, 0.005, 0.05), (50, 5, 4)),
        (2, (4e-6, 4e-6, 5e-5), (50, 4, 4)),
        (2, (-4, 5, 6), (6, 5, 4)),
        (2, (1, 1, 1), None),
        (2, (57594928, 4, 4), None),
        (2, (0, 4, 4), None),
    ],
)
def test_nifti_voxel_sizes(tmp_path, units, pixdim, size):
    (tmp_path / "a.nii").write_bytes(nifti(units=units, pixdim=pixdim))
    with open_volume(tmp_path / "a.nii") as volume, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert volume.voxel_size == size
    assert (size is None) == bool(said)


def test_nifti_scaling_is_applied(tmp_path):
    (tmp_path / "a.nii").write_bytes(nifti(slope=(0.5, -10)))
    with open_volume(tmp_path / "a.nii") as volume:
        np.testing.assert_array_equal(volume[1:, :2], VOXELS[1:, :2] * 0.5 - 10)
        expected = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "a.nii")))
        np.testing.assert_allclose(volume[:], expected)
        assert volume.dtype == np.float32 and volume.streams


def test_eight_bytes_are_a_number(tmp_path):
    (tmp_path / "a.nii").write_bytes(content := nifti(voxels=VOXELS / 7))
    assert parse_header(content, single=True).shape == VOXELS.shape
    with open_volume(tmp_path / "a.nii") as volume:
        np.testing.assert_array_equal(volume[:], VOXELS / 7)


def test_nifti_with_several_volumes(tmp_path):
    (tmp_path / "a.nii").write_bytes(nifti(dim=(4, 5, 4, 6, 2), voxels=np.concatenate([VOXELS, VOXELS + 1])))
    with pytest.warns(UserWarning, match="2 volumes: the first"):
        volume = open_volume(tmp_path / "a.nii")
    np.testing.assert_array_equal(volume[:], VOXELS)


@pytest.mark.parametrize(("head", "data"), [
    ("a.hdr", "a.img"), ("a.hdr.gz", "a.img.gz"), ("a.hdr", "a.img.gz"), ("a.hdr.gz", "a.img"),
])  # fmt: skip
def test_pairs_are_opened_by_either_half(tmp_path, head, data):
    content = bytearray(nifti())
    content[108:112] = np.float32(0).tobytes()
    content[344:348] = b"ni1\0"
    for name, part in ((head, bytes(content[:348])), (data, bytes(content[352:]))):
        (tmp_path / name).write_bytes(gzip.compress(part) if name.endswith("gz") else part)
    for name in (head, data):
        with open_volume(tmp_path / name) as volume:
            np.testing.assert_array_equal(volume[:], VOXELS)
            assert volume.name == "a"
    if head.endswith("gz") == data.endswith("gz"):  # packed and plain may lie side by side
        other = {".gz": "", "": ".gz"}[data[5:]]
        for name, part in ((head[:5] + other, content[:348]), (data[:5] + other, content[352:][::-1])):
            (tmp_path / name).write_bytes(gzip.compress(part) if name.endswith("gz") else part)
        with open_volume(tmp_path / head) as volume:
            np.testing.assert_array_equal(volume[:], VOXELS)
        (tmp_path / (data[:5] + other)).unlink()
    (tmp_path / data).unlink()
    with pytest.raises(FileNotFoundError, match=r"a\.img, the other half of this pair, is missing"):
        open_volume(tmp_path / head)


@pytest.mark.parametrize("dim", [(2, 5, 4), (1, 20)])
def test_fewer_axes_are_filled_up(tmp_path, dim):
    (tmp_path / "a.nii").write_bytes(nifti(dim=dim, voxels=VOXELS[:1]))
    with open_volume(tmp_path / "a.nii") as volume:
        np.testing.assert_array_equal(
            volume[:], VOXELS[0].reshape(1, *dim[:0:-1]) if len(dim) > 2 else VOXELS[0].reshape(1, 1, 20)
        )
        assert volume.header_size.why_missing == "a 2D image has no z"


@pytest.mark.parametrize("dim", [(3, 5, 0, 6), (3, 5, 4, 0), (4, 5, 4, 6, -1), (4, 5, 0, 6, 1)])
def test_sizes_of_nothing(tmp_path, dim):
    (tmp_path / "a.nii").write_bytes(nifti(dim=dim))
    with pytest.raises(ValueError, match=rf"promises the sizes {re.escape(str(list(dim[1:])))}: nothing to read"):
        open_volume(tmp_path / "a.nii")


@pytest.mark.parametrize("axes", [0, 8])
def test_so_many_axes_no_version_knows(tmp_path, axes):
    (tmp_path / "a.nii").write_bytes(nifti(dim=(axes, 5, 4, 6)))
    with pytest.raises(ValueError, match="is no NIfTI or Analyze file"):
        open_volume(tmp_path / "a.nii")


@pytest.mark.parametrize(("version", "sizes"), [(1, (4.123457, 5, 6)), (2, (4.12345678901, 5, 6))])
def test_sizes_have_the_digits_that_their_type_holds(tmp_path, version, sizes):
    (tmp_path / "a.nii").write_bytes(nifti(version=version, pixdim=(4.12345678901234, 5, 6)))
    with open_volume(tmp_path / "a.nii") as volume:
        assert volume.voxel_size == sizes[::-1]


@pytest.mark.parametrize("dim", [(4, 5, 4, 6, 1), (4, 5, 4, 6, 0), (7, 5, 4, 6, 1, 1, 1, 1)])
def test_one_volume_of_several_axes_that_begins_where_its_header_ends(tmp_path, dim):
    content = bytearray(nifti(dim=dim))
    content[108:112] = np.float32(0).tobytes()
    (tmp_path / "a.nii").write_bytes(content[:348] + content[352:])
    with open_volume(tmp_path / "a.nii") as volume:
        np.testing.assert_array_equal(volume[:], VOXELS)


def test_types_that_are_no_images(tmp_path):
    for code, reason in (
        (32, "voxels of type complex64"),
        (1536, "holds voxels of type"),
        (77, "unknown NIfTI type 77"),
    ):
        content = bytearray(nifti())
        content[70:72] = np.int16(code).tobytes()
        (tmp_path / "a.nii").write_bytes(content)
        with pytest.raises(ValueError, match=reason):
            open_volume(tmp_path / "a.nii")
