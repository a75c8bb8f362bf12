"""Boxes of an array in a file: any box, holes, one value, threads."""

import math
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from utils.formats import raw_reader
from utils.formats.raw_data import RawData, RawVolume
from utils.formats.raw_reader import RawReader
from utils.formats.voxel_size import VoxelSize
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
    monkeypatch.setattr(raw_reader, "_GAP", gap)
    monkeypatch.setattr(raw_reader, "BLOCK_BYTES", block)
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
    monkeypatch.setattr(raw_reader, "BLOCK_BYTES", block)
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
        monkeypatch.setattr(raw_reader, "read_into", None)
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
