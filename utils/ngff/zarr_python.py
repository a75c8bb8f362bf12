"""Zarr arrays through zarr-python, for the codecs and filters that tensorstore lacks."""

import asyncio
import lzma
import zlib
from collections.abc import AsyncIterator
from typing import Any, Literal

import numpy as np
import zarr
from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest

from utils.formats.volume_base import Region
from utils.ngff.metadata import Level
from utils.ngff.store import Store as Folder
from utils.ngff.view import kept_order

METADATA = (".zarray", "zarr.json")
_NOTHING: tuple[str, ...] = ()


class FolderStore(Store):
    """One of our stores as zarr-python wants it: keys are read, nothing is written or listed."""

    supports_writes = supports_deletes = supports_listing = False

    def __init__(self, folder: Folder) -> None:
        super().__init__(read_only=True)
        self.folder = folder

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FolderStore) and other.folder == self.folder

    async def get(self, key: str, prototype: Any, byte_range: ByteRequest | None = None) -> Any:
        found = await asyncio.to_thread(self.folder.read_chunks, [key], METADATA)
        raw = found[key]
        return None if raw is None else prototype.buffer.from_bytes(raw[_span(byte_range)])

    async def get_partial_values(self, prototype: Any, key_ranges: Any) -> list[Any]:
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def exists(self, key: str) -> bool:
        return (await asyncio.to_thread(self.folder.read, [key]))[key] is not None

    async def set(self, key: str, value: Any) -> None:
        raise NotImplementedError("images are only read")

    async def delete(self, key: str) -> None:
        raise NotImplementedError("images are only read")

    async def list(self) -> AsyncIterator[str]:
        for key in _NOTHING:
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        for key in _NOTHING:
            yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        for key in _NOTHING:
            yield key


def _span(request: ByteRequest | None) -> slice:
    if isinstance(request, RangeByteRequest):
        return slice(request.start, request.end)
    if isinstance(request, OffsetByteRequest):
        return slice(request.offset, None)
    if isinstance(request, SuffixByteRequest):
        return slice(-request.suffix, None)
    return slice(None)


def open_zarr(folder: Folder, level: Level, reason: OSError) -> Any:
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
    where: list[Any] = [0] * level.rank
    for axis, part in zip(level.axes, box, strict=True):
        where[axis] = part
    try:
        voxels = np.asarray(array[tuple(where)])
    except (ValueError, RuntimeError, TypeError, KeyError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise OSError(f"{what}: a chunk cannot be decoded: {error}") from error
    return np.ascontiguousarray(voxels.transpose(kept_order(level)), level.dtype)
