"""utils/formats/paged_volume.py: what is decoded is shared, within bounds."""

import threading

import numpy as np
import pytest

from utils.formats.paged_volume import PagedVolume, cache_bytes
from utils.formats.voxel_size import VoxelSize


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
    monkeypatch.setattr("utils.formats.paged_volume.cache_bytes", lambda: 3 * 128)
    volume = Counted(np.zeros((10, 16, 4), np.uint16))
    volume[:]
    assert len(volume._cache) == 3
    volume[7:]
    assert len(volume.decoded) == 10
    volume[7], volume[0], volume[7]  # what was not used for longest goes
    assert volume.decoded[10:] == [0]
    monkeypatch.setattr("utils.formats.paged_volume.cache_bytes", lambda: 7)
    volume = Counted(np.zeros((10, 8, 8), np.uint8))
    volume[3], volume[3], volume[4]
    assert volume.decoded == [3, 4] and len(volume._cache) == 1  # the latest, at least
    volume.close()
    volume[4]
    assert volume.decoded == [3, 4, 4]


def test_slices_of_one_volume_are_alike():
    volume = Counted(np.zeros((3, 8, 8), np.uint8))
    for page in (np.zeros((8, 9), np.uint8), np.zeros((8, 8), np.uint16)):
        volume.pages = [page] * 3
        with pytest.raises(ValueError, match=r"slice 1 is 8 x [89] uint(8|16), the first one 8 x 8 uint8"):
            volume[1]


@pytest.mark.parametrize(("memory", "kept"), [(1 << 30, 256 << 20), (64 << 30, 8 << 30)])
def test_pages_keep_an_eighth_of_the_memory_that_a_container_grants(monkeypatch, memory, kept):
    monkeypatch.setattr("utils.formats.paged_volume.total_bytes", lambda: memory)
    assert cache_bytes() == kept
