"""utils/formats/raw_data.py: any box of any layout, as numpy cuts it from the whole; files that shrink."""

import numpy as np
import pytest

from utils.formats.raw_data import RawData, RawVolume, StoredVoxels
from utils.formats.voxel_size import VoxelSize
from utils.images import luminance

SIZE = VoxelSize((1.0, 1.0, 1.0))
INT16 = np.dtype(">i2")


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_axes_and_colours(tmp_path, axes):
    array = np.random.default_rng(0).integers(0, 255, (5, 6, 7), dtype=np.uint8)
    array.tofile(tmp_path / "a.raw")
    with RawVolume("a", RawData(tmp_path / "a.raw", array.dtype, array.shape), SIZE, axes=axes) as volume:
        np.testing.assert_array_equal(volume[1:4, 2:5, 3:], array.transpose(axes)[1:4, 2:5, 3:])
        assert volume[:].flags.c_contiguous
    colours = np.random.default_rng(1).integers(0, 255, (5, 6, 7, 3), dtype=np.uint8)
    colours.tofile(tmp_path / "rgb.raw")
    with RawVolume("a", RawData(tmp_path / "rgb.raw", array.dtype, colours.shape), SIZE) as volume:
        np.testing.assert_array_equal(volume[1:3, 2:], luminance(colours)[1:3, 2:])
    hyper = RawData(tmp_path / "rgb.raw", array.dtype, (5, 3, 6, 7))
    with RawVolume("a", hyper, SIZE, (0, 2, 3), colours=False) as volume:
        np.testing.assert_array_equal(volume[:], colours.reshape(5, 3, 6, 7)[:, 0])


@pytest.mark.parametrize(
    ("skip", "lines", "start", "begin"), [(3, 0, 1, 4), (0, 1, 0, 4), (2, 1, 0, 6), (-1, 0, 0, 6), (-3, 0, 0, 4)]
)
def test_what_is_skipped(tmp_path, skip, lines, start, begin):
    content = b"abc\ndefghij"
    (tmp_path / "a.raw").write_bytes(content)
    raw = RawData(tmp_path / "a.raw", np.dtype("u1"), (1, 1, 5), start, skip, lines)
    assert raw.offset() == begin
    with RawVolume("a", raw, SIZE) as volume:
        assert volume[0, 0].tobytes() == content[begin : begin + 5]


def test_voxels_of_several_bytes_at_the_end(tmp_path):
    (tmp_path / "a.raw").write_bytes(b"abc\ndefghij")
    assert RawData(tmp_path / "a.raw", np.dtype("<u2"), (1, 1, 4), skip=-1).offset() == 3


def test_one_value_is_told_and_what_is_closed_is_not_read(tmp_path):
    array = np.zeros((3, 4, 5), np.uint8)
    array[1, 2, 3] = 7
    array.tofile(tmp_path / "a.raw")
    volume = RawVolume("a", RawData(tmp_path / "a.raw", array.dtype, (4, 5, 3)), SIZE, (2, 0, 1))
    known = array.reshape(4, 5, 3).transpose(2, 0, 1)
    for z in range(3):
        box = (slice(z, z + 1), slice(0, 4), slice(0, 5))
        assert volume.holds_one_value(box) == (not known[z].any())
    volume.close()
    with pytest.raises(ValueError, match="the volume is closed"):
        volume[0]


@pytest.mark.parametrize(
    ("shape", "options", "reason"),
    [
        ((0, 1, 1), {}, "nothing to read"),
        ((1, 1, 12), {}, "cut short: 11 bytes, 12 needed"),
        ((1, 1, 11), {"skip": -2}, "cut short"),
        ((1, 1, 4), {"start": 8, "skip": -1}, "cut short"),
        ((1, 1, 1), {"start": 10**30}, "cut short"),
        ((1, 1, 1), {"lines": 3}, "more than the data has"),
        ((2**40, 2**40, 2**40), {}, "cut short"),
    ],
)
def test_what_is_not_there(tmp_path, shape, options, reason):
    (tmp_path / "a.raw").write_bytes(b"abc\ndefghij")
    with pytest.raises(ValueError, match=reason):
        RawData(tmp_path / "a.raw", np.dtype("u1"), shape, **options).offset()


def test_a_file_that_shrinks_while_it_is_read(tmp_path):
    array = np.zeros((50, 60, 70), np.uint16)
    array.tofile(tmp_path / "a.raw")
    with RawVolume("a", RawData(tmp_path / "a.raw", array.dtype, array.shape), SIZE) as volume:
        volume[:]
        with (tmp_path / "a.raw").open("r+b") as f:
            f.truncate(200_000)
        for region in (np.s_[:], np.s_[40:, 3:9, 4:6], np.s_[45]):
            with pytest.raises(ValueError, match="became shorter while it was read"):
                volume[region]
        np.testing.assert_array_equal(volume[:3], array[:3])


def test_sizes(tmp_path):
    assert StoredVoxels(tmp_path, INT16, (3, 4, 5)).nbytes == 120
    assert StoredVoxels(tmp_path, INT16, (np.int32(1 << 30),) * 3).nbytes == 1 << 91  # whole numbers without bound


def test_headers_that_promise_nothing(tmp_path):
    (tmp_path / "a").touch()
    StoredVoxels(tmp_path / "a", INT16, (1, 1, 1)).refuse_no_data()
    with pytest.raises(ValueError, match=r"promises the shape \(1, 0\): nothing to read"):
        StoredVoxels(tmp_path / "a", INT16, (1, 0)).refuse_no_data()
    with pytest.raises(FileNotFoundError, match="the data file b that the header names is missing"):
        StoredVoxels(tmp_path / "b", INT16, (1,)).refuse_no_data()
