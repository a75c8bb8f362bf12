"""MRC written slab by slab: what mrcfile reads back, statistics, marks, and slabs that do not fit."""

import mrcfile
import numpy as np
import pytest

from utils.formats.mrc import HEADER_BYTES, IMOD_STAMP, parse_header
from utils.formats.mrc_writer import MrcWriter

SIZE = (30.0, 4.0, 5.0)
VOXELS = np.arange(24).reshape(2, 3, 4)


@pytest.fixture
def template(tmp_path):
    """The header of a small-endian file of 5 x 6 x 7 floats at 1 nm with an extended header and an origin."""
    with mrcfile.new(tmp_path / "t.mrc") as mrc:
        mrc.set_data(np.zeros((5, 6, 7), np.float32))
        mrc.set_extended_header(np.zeros(16, "V1"))
        mrc.voxel_size = 10
        mrc.header.origin = (1, 2, 3)
        mrc.add_label("of the old file")
    content = (tmp_path / "t.mrc").read_bytes()
    return parse_header(content[:HEADER_BYTES], len(content))


def write(path, template, voxels, size=SIZE):
    with MrcWriter(path, voxels.shape, voxels.dtype, template, size) as out:
        out.write(voxels[:1])
        out.write(voxels[1:])
    return path


@pytest.mark.parametrize("dtype", ["i1", "i2", "f4", "u2", "f2"])
def test_mrcfile_reads_it(tmp_path, template, dtype):
    path = write(tmp_path / "a.mrc", template, VOXELS.astype(dtype))
    assert mrcfile.validate(path)
    with mrcfile.open(path) as mrc:
        np.testing.assert_array_equal(mrc.data, VOXELS)
        assert mrc.data.dtype == dtype and mrc.voxel_size.tolist() == pytest.approx((50, 40, 300))
        header = mrc.header
        assert header.origin.tolist() == (1, 2, 3) and header.nsymbt == 0
        assert "of the old file" in str(header.label)
        assert (header.dmin, header.dmax, header.dmean) == (0, 23, 11.5)
        assert header.rms == pytest.approx(VOXELS.std())
        assert [int(header[n]) for n in ("nx", "ny", "nz", "mx", "my", "mz")] == [4, 3, 2, 4, 3, 2]
        assert [int(header[n]) for n in ("mapc", "mapr", "maps", "nxstart")] == [1, 2, 3, 0]
    assert path.stat().st_size == HEADER_BYTES + 24 * np.dtype(dtype).itemsize


@pytest.mark.parametrize(("dtype", "flags"), [("i1", 1), ("u1", 0), ("i2", 0)])
def test_imod_s_mark(tmp_path, template, dtype, flags):
    content = write(tmp_path / "a.mrc", template, VOXELS.astype(dtype)).read_bytes()
    assert np.frombuffer(content, "<i4", 2, 152).tolist() == [IMOD_STAMP, flags]
    assert content[208:216] == b"MAP DD\0\0"
    assert parse_header(content[:HEADER_BYTES], len(content)).dtype == dtype


def test_big_endian_stays_so(tmp_path, template):
    from dataclasses import replace

    big = replace(template, fields=template.fields.astype(template.fields.dtype.newbyteorder(">")))
    path = write(tmp_path / "a.mrc", big, VOXELS.astype("i2"))
    content = path.read_bytes()
    assert content[212:216] == bytes([0x11, 0x11, 0, 0]) and content[HEADER_BYTES + 2 : HEADER_BYTES + 4] == b"\0\1"
    with mrcfile.open(path) as mrc:
        np.testing.assert_array_equal(mrc.data, VOXELS)


def test_without_a_voxel_size_the_cell_stays(tmp_path, template):
    content = write(tmp_path / "a.mrc", template, VOXELS.astype("f4"), None).read_bytes()
    assert np.frombuffer(content, "<f4", 3, 40).tolist() == [70, 60, 50]


def test_what_is_not_finite_does_not_count(tmp_path, template):
    voxels = VOXELS.astype("f4")
    voxels[0, 0, :2] = np.nan, np.inf
    fields = np.frombuffer(write(tmp_path / "a.mrc", template, voxels).read_bytes(), "<f4", 4, 76)
    assert fields[:3].tolist() == [2, 23, 12.5]
    fields = np.frombuffer(write(tmp_path / "b.mrc", template, np.full_like(voxels, np.nan)).read_bytes(), "<f4", 4, 76)
    assert fields[:3].tolist() == [0, -1, -2]
    assert np.frombuffer((tmp_path / "b.mrc").read_bytes(), "<f4", 1, 216)[0] == -1


def test_what_does_not_fit(tmp_path, template):
    with pytest.raises(ValueError, match="MRC has no mode for int32 voxels"):
        MrcWriter(tmp_path / "a.mrc", (1, 2, 3), np.dtype("i4"), template, None)
    with (
        pytest.raises(ValueError, match=r"slices of \(3, 5\) voxels do not fit a volume of \(3, 4\)"),
        MrcWriter(tmp_path / "a.mrc", (2, 3, 4), np.dtype("u1"), template, None) as out,
    ):
        out.write(np.zeros((2, 3, 5), np.uint8))
    with (
        pytest.raises(ValueError, match="1 slices were written, expected 2"),
        MrcWriter(tmp_path / "a.mrc", (2, 3, 4), np.dtype("u1"), template, None) as out,
    ):
        out.write(np.zeros((1, 3, 4), np.uint8))
    assert (tmp_path / "a.mrc").read_bytes()[:HEADER_BYTES] == bytes(HEADER_BYTES)  # no header: no image
