"""What every volume is, whatever the format: z, y, x, read by region, in native byte order."""

import math
import threading
import warnings
import weakref
from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import lru_cache, partial

import numpy as np

from utils import memory
from utils.axes import Lengths, triple
from utils.formats.voxel_size import VoxelSize
from utils.luminance import luminance

Region = tuple[slice, slice, slice]


class Volume(AbstractContextManager["Volume"]):
    """A 3D image read by region.

    Attributes
    ----------
    name : str
        Name without suffix, as patches carry it.
    shape : tuple of int
        (z, y, x).
    dtype : numpy.dtype
        Of what reading returns; native byte order.
    streams : bool
        True when a region's memory follows the region (plus a bounded cache), not the volume.
    header_size : VoxelSize
        The voxel size that the header states, or why there is none; nothing is said aloud.
    padding : float, optional
        The value outside of the specimen, where a table states it: it sets no contrast window.
    """

    streams = True
    padding: float | None = None

    def __init__(self, name: str, shape: tuple[int, ...], dtype: np.dtype, size: VoxelSize) -> None:
        if len(shape) != 3 or min(shape) < 1:
            raise ValueError(f"expected a 3D image, its shape is {tuple(shape)}")
        if np.dtype(dtype).kind not in "biuf":
            raise ValueError(f"holds {np.dtype(dtype)} voxels: only integers and real numbers are images")
        self.name = name
        self.shape = triple(map(int, shape))
        self.dtype = np.dtype(dtype).newbyteorder("=")
        self.header_size = size
        self._said = False

    @property
    def voxel_size(self) -> Lengths | None:
        """Voxel size in nm (z, y, x); None when the header has none, which the first look at it says aloud."""
        if self.header_size.nm is None and not self._said:
            self._said = True
            warnings.warn(f"voxel size missing: {self.header_size.why_missing}", stacklevel=2)
        return self.header_size.nm

    def __getitem__(self, key: slice | int | tuple[slice | int, ...]) -> np.ndarray:
        """Voxels of ``volume[z0:z1, y0:y1, x0:x1]`` as a new C-ordered array; bounds clip as numpy's do."""
        keys = key if isinstance(key, tuple) else (key,)
        if len(keys) > 3:
            raise IndexError(f"a volume has 3 axes, got {len(keys)} indices")
        whole = (slice(None),) * (3 - len(keys))
        box = triple(_span(k, n) for k, n in zip(keys + whole, self.shape, strict=True))
        wanted = math.prod(part.stop - part.start for part in box) * self.dtype.itemsize
        memory.require(wanted, f"a region of {' x '.join(str(part.stop - part.start) for part in box)} voxels")
        voxels = self._copy(box)
        single = tuple(axis for axis, k in enumerate(keys) if not isinstance(k, slice))
        return voxels.squeeze(axis=single) if single else voxels

    def _copy(self, box: Region) -> np.ndarray:
        """Voxels of a box as a new array."""
        return np.array(self._read(box), dtype=self.dtype, order="C", subok=False)

    def holds_one_value(self, box: Region) -> bool:
        """Whether all voxels of a box are known to be alike, told by less than reading them into memory."""
        return False

    @abstractmethod
    def _read(self, box: Region) -> np.ndarray:
        """Voxels of a box whose bounds lie inside the volume; may be a view, in any byte order."""

    @abstractmethod
    def close(self) -> None:
        """Let go of files and memory; reading afterwards is an error of the caller."""

    def __exit__(self, *_: object) -> None:
        self.close()


class DecodedVolume(Volume):
    """A volume that `decode` brings into memory at the first read: (z, y, x), or (z, y, x, colours) as luminance."""

    streams = False

    def __init__(
        self, name: str, decode: Callable[[], np.ndarray], size: VoxelSize, shape: tuple[int, ...], dtype: np.dtype
    ) -> None:
        super().__init__(name, shape[:3], dtype, size)
        self._array: np.ndarray | None = None
        self._decode: Callable[[], np.ndarray] | None = decode
        self._lock = threading.Lock()

    def _read(self, box: Region) -> np.ndarray:
        region = self._whole()[box]
        return region if region.ndim == 3 else luminance(region)

    def _whole(self) -> np.ndarray:
        with self._lock:  # several threads read cubes of one volume: the first decodes, the others wait
            if self._array is None:
                if self._decode is None:
                    raise ValueError("the volume is closed")
                array = self._decode()
                if array.shape[:3] != self.shape:
                    raise ValueError(f"the header promises the shape {self.shape}, the data has {array.shape[:3]}")
                self._array = array
            return self._array

    def close(self) -> None:
        self._array = self._decode = None


class PagedVolume(Volume):
    """A volume of pages that are decoded one at a time; the latest stay in a cache of bounded size."""

    def __init__(self, name: str, shape: tuple[int, ...], dtype: np.dtype, size: VoxelSize) -> None:
        super().__init__(name, shape, dtype, size)
        self._page_locks = [threading.Lock() for _ in range(64)]
        page_bytes = self.shape[1] * self.shape[2] * self.dtype.itemsize
        # Of a proxy: pages of a volume that nobody holds any longer go at once, not when a circle is found.
        page = partial(PagedVolume._checked_page, weakref.proxy(self))
        self._cached = lru_cache(max(1, cache_bytes() // page_bytes))(page)

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
            return self._cached(z)

    def _checked_page(self, z: int) -> np.ndarray:
        page = self._decode_page(z)
        self._refuse_unlike(self._slice_name(z), page.shape, page.dtype)
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
        self._cached.cache_clear()


def cache_bytes() -> int:
    """Memory that decoded pages of one volume may keep: an eighth of what there is, at least 256 MiB."""
    return max(256 << 20, memory.total_bytes() // 8)


def _span(key: slice | int, length: int) -> slice:
    if isinstance(key, slice):
        start, stop, step = key.indices(length)
        if step != 1:
            raise ValueError(f"regions are read whole: a step of {step} is not supported")
        return slice(start, max(start, stop))
    index = int(key)
    if not -length <= index < length:
        raise IndexError(f"index {index} is outside an axis of length {length}")
    return slice(index % length, index % length + 1)
