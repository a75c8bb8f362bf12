"""Volumes written slab by slab: what fits and what an error leaves; NRRD as SimpleITK reads it, MRC as mrcfile does."""

import mrcfile
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from utils.formats.mrc import HEADER_BYTES, IMOD_STAMP, parse_header
from utils.formats.writers import MrcWriter, NrrdWriter, SlabWriter, nrrd_header, write_nrrd
from utils.volumes import open_volume


class Plain(SlabWriter):
    """Two bytes of header, which in the end say how many slices there are."""

    def __init__(self, path, slices):
        super().__init__(path, (slices, 2, 3), np.dtype("<u2"), b"??")
        self.seen = []

    def _look_at(self, slab):
        self.seen.append(len(slab))

    def _complete_header(self):
        self._file.seek(0)
        self._file.write(b"%2d" % self.slices)


@pytest.mark.parametrize("slices", [3, None])
def test_slices_and_slabs_behind_a_header(tmp_path, slices):
    voxels = np.arange(18, dtype=np.uint8).reshape(3, 2, 3)
    with Plain(tmp_path / "a", slices) as writer:
        writer.write(voxels[0])
        writer.write(voxels[1:, ::-1])
    assert writer.seen == [1, 2] and writer.slices == 3
    content = (tmp_path / "a").read_bytes()
    assert content[:2] == b" 3"
    np.testing.assert_array_equal(np.frombuffer(content[2:], "<u2").reshape(3, 2, 3)[1:, ::-1], voxels[1:])
    writer.close()  # once more


@pytest.mark.parametrize(
    ("slices", "written", "said"),
    [(2, 1, "1 slices were written, expected 2"), (1, 2, "2 slices were written, expected 1"),
     (None, 0, "0 slices were written, expected at least 1")],
)  # fmt: skip
def test_as_many_as_promised(tmp_path, slices, written, said):
    with pytest.raises(ValueError, match=said), Plain(tmp_path / "a", slices) as writer:
        writer.write(np.zeros((written, 2, 3), np.uint8))


def test_slices_of_another_size_and_what_stopped_the_writing(tmp_path):
    writer = Plain(tmp_path / "a", 5)
    with pytest.raises(ValueError, match=r"slices of \(3, 2\) voxels do not fit a volume of \(2, 3\)"), writer:
        writer.write(np.zeros((1, 3, 2), np.uint8))
    assert writer.seen == [] and (tmp_path / "a").read_bytes() == b"??"


NRRD_SIZE = (45.0, 4.6, 4.5)
NRRD_VOXELS = np.arange(24, dtype=np.int16).reshape(2, 3, 4) - 5


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
    write_nrrd(tmp_path / "a.nrrd", NRRD_VOXELS.astype(">i2"), NRRD_SIZE)
    header = nrrd_header(NRRD_VOXELS.shape, ">i2", NRRD_SIZE)
    assert (tmp_path / "a.nrrd").read_bytes() == header + NRRD_VOXELS.astype("<i2").tobytes()


def test_slabs_with_an_unknown_end(tmp_path):
    path = tmp_path / "a.nrrd"
    with NrrdWriter(path, (None, 3, 4), np.int16, NRRD_SIZE) as out:
        out.write(NRRD_VOXELS[0])
        out.write(NRRD_VOXELS[1:])
    image = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), NRRD_VOXELS)
    assert image.GetSpacing() == NRRD_SIZE[::-1]
    with open_volume(path) as volume:
        np.testing.assert_array_equal(volume[:], NRRD_VOXELS)


@pytest.mark.parametrize(
    ("shape", "slabs", "reason"),
    [
        ((None, 3, 4), [], "0 slices"),
        ((3, 3, 4), [NRRD_VOXELS], "2 slices were written, expected 3"),
        ((None, 3, 5), [NRRD_VOXELS], "do not fit"),
        ((None, 3, 4), [NRRD_VOXELS.astype(np.float32)], "float32 voxels do not fit a volume of int16"),
    ],
)
def test_wrong_slabs_are_refused(tmp_path, shape, slabs, reason):
    with pytest.raises(ValueError, match=reason), NrrdWriter(tmp_path / "a.nrrd", shape, np.int16) as out:
        for slab in slabs:
            out.write(slab)


def test_types_that_nrrd_lacks(tmp_path):
    with pytest.raises(ValueError, match="NRRD has no type for float16"):
        write_nrrd(tmp_path / "a.nrrd", NRRD_VOXELS.astype(np.float16))
    with pytest.raises(ValueError, match="3D"):
        write_nrrd(tmp_path / "a.nrrd", NRRD_VOXELS[0])


MRC_SIZE = (30.0, 4.0, 5.0)
MRC_VOXELS = np.arange(24).reshape(2, 3, 4)


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


def write(path, template, voxels, size=MRC_SIZE):
    with MrcWriter(path, voxels.shape, voxels.dtype, template, size) as out:
        out.write(voxels[:1])
        out.write(voxels[1:])
    return path


@pytest.mark.parametrize("dtype", ["i1", "i2", "f4", "u2", "f2"])
def test_mrcfile_reads_it(tmp_path, template, dtype):
    path = write(tmp_path / "a.mrc", template, MRC_VOXELS.astype(dtype))
    assert mrcfile.validate(path)
    with mrcfile.open(path) as mrc:
        np.testing.assert_array_equal(mrc.data, MRC_VOXELS)
        assert mrc.data.dtype == dtype and mrc.voxel_size.tolist() == pytest.approx((50, 40, 300))
        header = mrc.header
        assert header.origin.tolist() == (1, 2, 3) and header.nsymbt == 0
        assert "of the old file" in str(header.label)
        assert (header.dmin, header.dmax, header.dmean) == (0, 23, 11.5)
        assert header.rms == pytest.approx(MRC_VOXELS.std())
        assert [int(header[n]) for n in ("nx", "ny", "nz", "mx", "my", "mz")] == [4, 3, 2, 4, 3, 2]
        assert [int(header[n]) for n in ("mapc", "mapr", "maps", "nxstart")] == [1, 2, 3, 0]
    assert path.stat().st_size == HEADER_BYTES + 24 * np.dtype(dtype).itemsize


@pytest.mark.parametrize(("dtype", "flags"), [("i1", 1), ("u1", 0), ("i2", 0)])
def test_imod_s_mark(tmp_path, template, dtype, flags):
    content = write(tmp_path / "a.mrc", template, MRC_VOXELS.astype(dtype)).read_bytes()
    assert np.frombuffer(content, "<i4", 2, 152).tolist() == [IMOD_STAMP, flags]
    assert content[208:216] == b"MAP DD\0\0"
    assert parse_header(content[:HEADER_BYTES], len(content)).dtype == dtype


def test_big_endian_stays_so(tmp_path, template):
    from dataclasses import replace

    big = replace(template, fields=template.fields.astype(template.fields.dtype.newbyteorder(">")))
    path = write(tmp_path / "a.mrc", big, MRC_VOXELS.astype("i2"))
    content = path.read_bytes()
    assert content[212:216] == bytes([0x11, 0x11, 0, 0]) and content[HEADER_BYTES + 2 : HEADER_BYTES + 4] == b"\0\1"
    with mrcfile.open(path) as mrc:
        np.testing.assert_array_equal(mrc.data, MRC_VOXELS)


def test_without_a_voxel_size_the_cell_stays(tmp_path, template):
    content = write(tmp_path / "a.mrc", template, MRC_VOXELS.astype("f4"), None).read_bytes()
    assert np.frombuffer(content, "<f4", 3, 40).tolist() == [70, 60, 50]


def test_what_is_not_finite_does_not_count(tmp_path, template):
    voxels = MRC_VOXELS.astype("f4")
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
