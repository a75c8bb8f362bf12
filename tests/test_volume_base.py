"""What every volume does: regions clipped as numpy's, sizes said once; pages are shared, within bounds."""

import threading
import warnings
import weakref

import numpy as np
import pytest

from utils import memory
from utils.formats.volume_base import DecodedVolume, PagedVolume, cache_bytes
from utils.formats.voxel_size import VoxelSize

SIZE = VoxelSize((3.0, 2.0, 1.0))
VOXELS = np.arange(60, dtype=">i2").reshape(3, 4, 5)


def in_memory(array, size=SIZE):
    return DecodedVolume("a", lambda: array, size, array.shape, array.dtype)


@pytest.mark.parametrize(
    "key",
    [
        np.s_[:], np.s_[1:2], np.s_[1], np.s_[-1], np.s_[0:9, 2:3, 1:4], np.s_[2, :, 3], np.s_[:, -4, -5],
        np.s_[1, 2, 3], np.s_[2:1], np.s_[5:9], np.s_[-2:], np.s_[:, 1:],
    ],
)  # fmt: skip
def test_regions_are_numpy_s(key):
    volume = in_memory(VOXELS)
    found = volume[key]
    np.testing.assert_array_equal(found, VOXELS[key])
    assert found.dtype == "=i2" and found.flags.c_contiguous and not np.shares_memory(found, VOXELS)
    assert not volume.streams and volume.dtype.isnative


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (np.s_[3], "index 3 is outside an axis of length 3"),
        (np.s_[:, -5], "index -5 is outside an axis of length 4"),
        (np.s_[0, 0, 0, 0], "a volume has 3 axes, got 4 indices"),
    ],
)
def test_places_that_are_not_there(key, reason):
    with pytest.raises(IndexError, match=reason):
        in_memory(VOXELS)[key]


def test_steps_and_too_large_regions():
    volume = in_memory(VOXELS)
    with pytest.raises(ValueError, match="a step of 2 is not supported"):
        volume[::2]
    with memory.limited_to(80e-9):
        assert volume[:2].nbytes == 80
        with pytest.raises(ValueError, match="a region of 3 x 3 x 5 voxels"):
            volume[:, 1:]


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((2, 3)), r"expected a 3D image, its shape is \(2, 3\)"),
        (np.zeros((2, 0, 3)), r"its shape is \(2, 0, 3\)"),
        (np.zeros((2, 2, 2), complex), "holds complex128 voxels"),
        (np.zeros((2, 2, 2), "U1"), "only integers and real numbers are images"),
    ],
)
def test_no_images(array, reason):
    with pytest.raises(ValueError, match=reason):
        in_memory(array)


def test_a_single_voxel_is_a_volume_of_which_nothing_is_known():
    volume = in_memory(np.full((1, 1, 1), 7))
    assert volume[:].tolist() == [[[7]]] and volume.holds_one_value((slice(0, 1),) * 3) is False


def test_a_missing_size_is_said_once():
    volume = in_memory(VOXELS, VoxelSize(None, "the header has none"))
    assert volume.header_size.why_missing == "the header has none"
    with pytest.warns(UserWarning, match="^voxel size missing: the header has none$"):
        assert volume.voxel_size is None
    with warnings.catch_warnings(action="error"):
        assert volume.voxel_size is None
        volume.header_size = SIZE
        assert volume.voxel_size == (3.0, 2.0, 1.0) == volume.header_size.nm


def test_what_is_decoded_later_is_decoded_once():
    calls = []

    def decode():
        calls.append(1)
        return VOXELS

    with DecodedVolume("a", decode, SIZE, VOXELS.shape, VOXELS.dtype) as volume:
        assert calls == [] and volume.shape == (3, 4, 5)
        volume[:1], volume[1:]
        assert calls == [1]
    with pytest.raises(ValueError, match="the volume is closed"):
        volume[:]
    short = DecodedVolume("a", decode, SIZE, (4, 4, 5), VOXELS.dtype)
    with pytest.raises(ValueError, match=r"promises the shape \(4, 4, 5\), the data has \(3, 4, 5\)"):
        short[:]


def test_colours_are_luminance():
    colours = np.zeros((2, 2, 2, 3), np.uint8)
    colours[..., 1] = 100
    volume = in_memory(colours)
    assert volume.shape == (2, 2, 2) and (volume[:] == round(100 * 0.7154)).all()


class Counted(PagedVolume):
    """Pages that count how often they are decoded."""

    def __init__(self, pages):
        super().__init__("a", pages.shape, pages.dtype, VoxelSize(None))
        self.pages, self.decoded = pages, []

    def _decode_page(self, z):
        self.decoded.append(z)
        return self.pages[z]


def test_threads_share_what_is_decoded(tmp_path):
    volume = Counted(np.random.default_rng(0).integers(0, 255, (20, 8, 8)).astype(np.uint8))
    results = []
    threads = [threading.Thread(target=lambda: results.append(volume[:, 2:5])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(volume.decoded) == list(range(20))
    assert all(np.array_equal(r, volume.pages[:, 2:5]) for r in results) and len(results) == 8


def test_the_cache_is_bounded(monkeypatch):
    monkeypatch.setattr("utils.formats.volume_base.cache_bytes", lambda: 3 * 128)
    volume = Counted(np.zeros((10, 16, 4), np.uint16))
    volume[:]
    assert volume._cached.cache_info().currsize == 3
    volume[7:]
    assert len(volume.decoded) == 10
    volume[7], volume[0], volume[7]  # what was not used for longest goes
    assert volume.decoded[10:] == [0]
    monkeypatch.setattr("utils.formats.volume_base.cache_bytes", lambda: 7)
    volume = Counted(np.zeros((10, 8, 8), np.uint8))
    volume[3], volume[3], volume[4]
    assert volume.decoded == [3, 4] and volume._cached.cache_info().currsize == 1  # the latest, at least
    volume.close()
    volume[4]
    assert volume.decoded == [3, 4, 4]
    gone = weakref.ref(volume)
    del volume
    assert gone() is None


def test_slices_of_one_volume_are_alike():
    volume = Counted(np.zeros((3, 8, 8), np.uint8))
    for page in (np.zeros((8, 9), np.uint8), np.zeros((8, 8), np.uint16)):
        volume.pages = [page] * 3
        with pytest.raises(ValueError, match=r"slice 1 is 8 x [89] uint(8|16), the first one 8 x 8 uint8"):
            volume[1]


@pytest.mark.parametrize(("memory", "kept"), [(1 << 30, 256 << 20), (64 << 30, 8 << 30)])
def test_pages_keep_an_eighth_of_the_memory_that_a_container_grants(monkeypatch, memory, kept):
    monkeypatch.setattr("utils.memory.total_bytes", lambda: memory)
    assert cache_bytes() == kept
