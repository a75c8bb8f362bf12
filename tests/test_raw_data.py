"""utils/formats/raw_data.py: any box of any layout, holes, one value, threads; files that shrink."""

import math
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from utils.formats import raw_data
from utils.formats.raw_data import RawData, RawReader, RawVolume, StoredVoxels
from utils.formats.voxel_size import VoxelSize
from utils.luminance import luminance
from utils.reading import is_hole

SIZE = VoxelSize((1.0, 1.0, 1.0))


@st.composite
def boxes(draw):
    """A shape of 1 to 4 axes, and a box inside of it."""
    shape = draw(st.lists(st.integers(1, 40), min_size=1, max_size=4))
    starts = [draw(st.integers(0, n)) for n in shape]
    whole = [draw(st.booleans()) for _ in shape]
    return tuple(shape), tuple(
        slice(0, n) if w else slice(a, draw(st.integers(a, n))) for n, a, w in zip(shape, starts, whole, strict=True)
    )


@given(
    case=boxes(),
    code=st.sampled_from(["u1", "<u2", ">i4"]),
    block=st.sampled_from([1, 64, 1 << 20]),
    gap=st.sampled_from([-1, 2, 1 << 16]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_box(tmp_path, monkeypatch, case, code, block, gap):
    shape, box = case
    monkeypatch.setattr(raw_data, "_GAP", gap)
    monkeypatch.setattr(raw_data, "BLOCK_BYTES", block)
    array = (np.arange(math.prod(shape)) % 251).astype(code).reshape(shape)
    (tmp_path / "a.raw").write_bytes(b"before" + array.tobytes() + b"behind")
    reader = RawReader(tmp_path / "a.raw", np.dtype(code), shape, 6)
    np.testing.assert_array_equal(reader.read(box), array[box])
    assert reader.holds_one_value(box) == (np.unique(array[box]).size <= 1)
    reader.close()


@given(
    case=boxes(), code=st.sampled_from(["u1", "<u2", "<f8"]), block=st.sampled_from([1, 64, 1 << 20]), data=st.data()
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_boxes_of_one_value(tmp_path, monkeypatch, case, code, block, data):
    """One place holds another value; the rest is stored, or was never written."""
    shape, box = case
    monkeypatch.setattr(raw_data, "BLOCK_BYTES", block)
    array = np.full(shape, data.draw(st.sampled_from([0, 7])), code)
    other = data.draw(st.integers(0, array.size - 1))
    with (tmp_path / "a.raw").open("wb") as file:
        file.write(b"before" + array.tobytes() if array.any() else b"before")
        file.truncate(6 + array.nbytes)
        file.seek(6 + other * array.itemsize)
        file.write(np.array(9, code).tobytes())
    array.flat[other] = 9
    reader = RawReader(tmp_path / "a.raw", np.dtype(code), shape, 6)
    assert reader.holds_one_value(box) == (np.unique(array[box]).size <= 1)
    np.testing.assert_array_equal(reader.read(box), array[box])
    reader.close()


def test_holes_are_not_read(tmp_path, monkeypatch):
    """A gigabyte of zeros with one voxel in its middle."""
    side = 1000
    with (tmp_path / "a.raw").open("wb") as file:
        file.truncate(side**3)
        file.seek(side**3 // 2)
        file.write(b"!")
    reader = RawReader(tmp_path / "a.raw", np.dtype("u1"), (side,) * 3, 0)
    box = slice(0, 8), slice(0, side), slice(0, side)
    if is_hole(reader._open_file(), 0, side):
        monkeypatch.setattr(raw_data, "read_into", None)
        assert reader.holds_one_value(box)
        monkeypatch.undo()
    middle = slice(side // 2, side // 2 + 1), slice(0, 1), slice(0, 9)
    assert not reader.holds_one_value(middle) and reader.read(middle).any()
    reader.close()
    with pytest.raises(ValueError, match="closed"):
        reader.holds_one_value(middle)


def test_a_reader_that_is_forgotten_closes_its_file(tmp_path):
    (tmp_path / "a.raw").write_bytes(bytes(8))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        RawReader(tmp_path / "a.raw", np.dtype("u1"), (8,), 0)
    assert said == []


def test_threads_do_not_share_scratch(tmp_path):
    array = np.random.default_rng(0).integers(0, 255, (40, 50, 60), dtype=np.uint8)
    array.tofile(tmp_path / "a.raw")
    with (
        RawVolume("a", RawData(tmp_path / "a.raw", array.dtype, array.shape), SIZE) as volume,
        ThreadPoolExecutor(8) as pool,
    ):
        for z, region in enumerate(pool.map(lambda z: volume[z, 3:40, 7:50], range(40))):
            np.testing.assert_array_equal(region, array[z, 3:40, 7:50])


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
