"""NRRD: written as SimpleITK reads it, slab by slab; read in every encoding and layout."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from utils.formats.nrrd import NrrdWriter, nrrd_header, write_nrrd
from utils.volumes import open_volume

SIZE = (45.0, 4.6, 4.5)
VOXELS = np.arange(24, dtype=np.int16).reshape(2, 3, 4) - 5


@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 6)),
    dtype=st.sampled_from(["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", ">u2"]),
    size=st.one_of(st.none(), st.tuples(*[st.floats(0.1, 1e5)] * 3)),
)
def test_simpleitk_reads_what_is_written(tmp_path_factory, shape, dtype, size):
    path = tmp_path_factory.mktemp("nrrd") / "a.nrrd"
    voxels = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    write_nrrd(path, voxels, size)
    image = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), voxels)
    assert image.GetSpacing() == (size or (1.0, 1.0, 1.0))[::-1]
    with open_volume(path) as volume:
        np.testing.assert_array_equal(volume[:], voxels)
        assert size is None or volume.voxel_size == pytest.approx(size, rel=1e-11)


def test_voxels_may_be_put_in_place_by_others(tmp_path):
    write_nrrd(tmp_path / "a.nrrd", VOXELS.astype(">i2"), SIZE)
    header = nrrd_header(VOXELS.shape, ">i2", SIZE)
    assert (tmp_path / "a.nrrd").read_bytes() == header + VOXELS.astype("<i2").tobytes()


def test_slabs_with_an_unknown_end(tmp_path):
    path = tmp_path / "a.nrrd"
    with NrrdWriter(path, (None, 3, 4), np.int16, SIZE) as out:
        out.write(VOXELS[0])
        out.write(VOXELS[1:])
    image = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), VOXELS)
    assert image.GetSpacing() == SIZE[::-1]
    with open_volume(path) as volume:
        np.testing.assert_array_equal(volume[:], VOXELS)


@pytest.mark.parametrize(
    ("shape", "slabs", "reason"),
    [
        ((None, 3, 4), [], "0 slices"),
        ((3, 3, 4), [VOXELS], "2 slices were written, expected 3"),
        ((None, 3, 5), [VOXELS], "do not fit"),
        ((None, 3, 4), [VOXELS.astype(np.float32)], "float32 voxels do not fit a volume of int16"),
    ],
)
def test_wrong_slabs_are_refused(tmp_path, shape, slabs, reason):
    with pytest.raises(ValueError, match=reason), NrrdWriter(tmp_path / "a.nrrd", shape, np.int16) as out:
        for slab in slabs:
            out.write(slab)


def test_types_that_nrrd_lacks(tmp_path):
    with pytest.raises(ValueError, match="NRRD has no type for float16"):
        write_nrrd(tmp_path / "a.nrrd", VOXELS.astype(np.float16))
    with pytest.raises(ValueError, match="3D"):
        write_nrrd(tmp_path / "a.nrrd", VOXELS[0])
