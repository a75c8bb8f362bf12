"""Volumes of pages that must be decoded: one at a time, the latest kept in a cache of bounded size."""

import threading
from abc import abstractmethod
from collections import OrderedDict

import numpy as np

from utils.formats.volume_base import Region, Volume
from utils.formats.voxel_size import VoxelSize
from utils.memory import total_bytes


class PagedVolume(Volume):
    """A volume of pages that are decoded one at a time; the latest stay in a cache of bounded size."""

    def __init__(self, name: str, shape: tuple[int, ...], dtype: np.dtype, size: VoxelSize) -> None:
        super().__init__(name, shape, dtype, size)
        self._cache: OrderedDict[int, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()
        self._page_locks = [threading.Lock() for _ in range(64)]
        page_bytes = self.shape[1] * self.shape[2] * self.dtype.itemsize
        self._capacity = max(1, cache_bytes() // page_bytes)

    @abstractmethod
    def _decode_page(self, z: int) -> np.ndarray:
        """Page z, of shape (y, x)."""

    def _read(self, box: Region) -> np.ndarray:
        z, y, x = box
        out = np.empty((z.stop - z.start, y.stop - y.start, x.stop - x.start), self.dtype)
        for row, index in enumerate(range(z.start, z.stop)):
            out[row] = self._page(index)[y, x]
        return out

    def _page(self, z: int) -> np.ndarray:
        with self._page_locks[z % len(self._page_locks)]:  # two threads that need one page decode it once
            with self._lock:
                if z in self._cache:
                    self._cache.move_to_end(z)
                    return self._cache[z]
            page = self._decode_page(z)
            self._refuse_unlike(self._slice_name(z), page.shape, page.dtype)
            with self._lock:
                self._cache[z] = page
                while len(self._cache) > self._capacity:
                    self._cache.popitem(last=False)
            return page

    def _slice_name(self, z: int) -> str:
        """What messages call a slice."""
        return str(z)

    def _refuse_unlike(self, name: str, shape: tuple[int, ...], dtype: np.dtype | None = None) -> None:
        """Refuse a slice of another size, or of another dtype where that is known."""
        if shape != self.shape[1:] or (dtype is not None and dtype != self.dtype):
            this = f"slice {name} is {' x '.join(map(str, shape))}{f' {dtype}' if dtype else ''}"
            first = f"the first one {self.shape[1]} x {self.shape[2]} {self.dtype}"
            raise ValueError(f"{this}, {first}: the slices of one volume must be alike")

    def close(self) -> None:
        self._cache.clear()


def cache_bytes() -> int:
    """Memory that decoded pages of one volume may keep: an eighth of what there is, at least 256 MiB."""
    return max(256 << 20, total_bytes() // 8)
