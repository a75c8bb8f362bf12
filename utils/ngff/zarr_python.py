"""Zarr arrays through zarr-python, for the codecs and filters that tensorstore lacks."""

import asyncio
import lzma
import zlib
from typing import Any, Literal

import numpy as np
import zarr
from zarr.abc.store import ByteRequest
from zarr.storage import MemoryStore, WrapperStore

from utils.formats.volume_base import Region
from utils.ngff.metadata import Level
from utils.ngff.ome_zarr import ARRAY_KEYS
from utils.ngff.store import Store


class FolderStore(WrapperStore[MemoryStore]):
    """One of our stores as zarr-python wants it: keys are read; the empty store beneath lists and writes nothing."""

    def __init__(self, folder: Store) -> None:
        super().__init__(MemoryStore(read_only=True))
        self.folder = folder

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FolderStore) and other.folder == self.folder

    async def get(self, key: str, prototype: Any, byte_range: ByteRequest | None = None) -> Any:
        raw = (await asyncio.to_thread(self.folder.read_chunks, [key], ARRAY_KEYS))[key]
        whole = {} if raw is None else {key: prototype.buffer.from_bytes(raw)}
        return await MemoryStore(whole).get(key, prototype, byte_range)

    async def get_partial_values(self, prototype: Any, key_ranges: Any) -> list[Any]:
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def exists(self, key: str) -> bool:
        return (await asyncio.to_thread(self.folder.read, [key]))[key] is not None


def open_zarr(folder: Store, level: Level, reason: OSError) -> Any:
    """Open a level's array with zarr-python after tensorstore gave up for `reason`.

    Raises
    ------
    OSError
        If zarr-python cannot read it either.
    """
    version: Literal[2, 3] = 3 if level.grid["kind"] == "zarr3" else 2
    try:
        return zarr.open_array(store=FolderStore(folder), mode="r", zarr_format=version)
    except (ValueError, OverflowError, TypeError, KeyError, RuntimeError, ImportError) as error:
        raise OSError(f"{reason}; nor can zarr-python read it: {error}") from error


def read_zarr(array: Any, level: Level, box: Region, what: str) -> np.ndarray:
    """Read a box.

    Returns
    -------
    ndarray, shape of the box (z, y, x)

    Raises
    ------
    OSError
        If a chunk cannot be decoded.
    """
    try:
        voxels = np.asarray(array[tuple(level.stored(box, 0))])
    except (ValueError, RuntimeError, TypeError, KeyError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise OSError(f"{what}: a chunk cannot be decoded: {error}") from error
    return np.ascontiguousarray(voxels.transpose(level.kept_order), level.dtype)
