"""Stored chunks that tensorstore cannot take as they are: found by name, translated, and read from memory.

CloudVolume writes precomputed chunks as ``name.gz`` files, z5 and n5-java write N5 blocks as lz4. Just the chunks that
a box needs become a small copy in memory.
"""

import gzip
import math
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils.formats.volume_base import Region
from utils.ngff.metadata import Level
from utils.ngff.store import Store

if TYPE_CHECKING:
    import tensorstore as ts

Translate = Callable[[bytes], bytes]
_LZ4_MAGIC = b"LZ4Block"
_LZ4_STORED = 0x10
_SMALL_CHUNK = 1 << 16


def chunk_names(level: Level, box: Region) -> Iterator[str]:
    """Names below the level's folder of the chunks that a box (z, y, x) touches."""
    sizes = level.stored(level.shape, 1)
    chunk = level.grid.get("chunk") or level.stored(level.chunk, 1)
    begin = level.stored([part.start for part in box], 0)
    end = level.stored([part.stop for part in box], 1)
    ranges = [range(a // c, -(-b // c)) for a, b, c in zip(begin, end, chunk, strict=True)]
    for index in product(*ranges):
        yield _name(level, index, chunk, sizes)


def _name(level: Level, index: tuple[int, ...], chunk: list[int], sizes: list[int]) -> str:
    if level.grid["kind"] == "precomputed":
        offset = level.stored(level.offset, 0)
        spans = [
            f"{i * c + o}-{min((i + 1) * c, n) + o}"
            for i, c, n, o in zip(index[:3], chunk[:3], sizes[:3], offset[:3], strict=True)
        ]
        return "_".join(spans)
    metadata = level.grid.get("metadata") or {}
    if level.grid["kind"] == "zarr":
        return str(metadata.get("dimension_separator") or ".").join(map(str, index))
    if level.grid["kind"] == "zarr3":
        return _zarr3_name(metadata.get("chunk_key_encoding") or {}, index)
    return "/".join(map(str, index))


def _zarr3_name(encoding: dict[str, Any], index: tuple[int, ...]) -> str:
    v2 = encoding.get("name") == "v2"
    separator = (encoding.get("configuration") or {}).get("separator") or ("." if v2 else "/")
    return separator.join([*([] if v2 else ["c"]), *map(str, index)])


def translation(store: Store, level: Level) -> Translate | None:
    """How this level's chunks must be translated before tensorstore can read them; None when they need not.

    Raises
    ------
    ValueError
        If they are compressed in a way that cannot be read here.
    """
    if level.grid["kind"] == "n5" and level.spec["metadata"]["compression"]["type"] == "lz4":
        return partial(_n5_lz4_to_raw, itemsize=level.dtype.itemsize, most=_most_bytes(level))
    if level.grid["kind"] != "precomputed" or store.address.driver != "file" or level.grid["sharded"]:
        return None
    ending = _file_ending(Path(store.address.path, level.path))
    if ending in (".br", ".zstd", ".xz", ".bz2"):
        raise ValueError(f"its chunks are {ending} files, which cannot be read; expected plain or .gz files")
    return partial(_ungzip, most=_most_bytes(level)) if ending == ".gz" else None


def _most_bytes(level: Level) -> int:
    """What a chunk may unpack to: twice its voxels, since it may be encoded or longer than it need be."""
    return 2 * math.prod(level.chunk) * level.dtype.itemsize + _SMALL_CHUNK


def _file_ending(folder: Path) -> str:
    """The ending of the chunk files of a local folder; plain ones may lie among them."""
    if not folder.is_dir():
        return ""
    with os.scandir(folder) as entries:
        return next((Path(e.name).suffix for e in entries if "." in e.name and e.name[0] in "-0123456789"), "")


def _ungzip(raw: bytes, most: int) -> bytes:
    """Undo gzip where a chunk has it."""
    if raw[:2] != b"\x1f\x8b":
        return raw
    with gzip.GzipFile(fileobj=BytesIO(raw)) as file:
        unpacked = file.read(most + 1)
    _refuse_more(len(unpacked), most)
    return unpacked


def _refuse_more(nbytes: int, most: int) -> None:
    if nbytes > most:
        raise ValueError(f"it unpacks to more than {most} bytes, twice what its voxels take")


def _n5_lz4_to_raw(raw: bytes, itemsize: int, most: int) -> bytes:
    """An N5 block compressed as lz4 as an uncompressed block with the same header.

    n5-java writes frames ("LZ4Block"), z5 one bare block.
    """
    from numcodecs.lz4 import decompress

    mode, rank = struct.unpack(">HH", raw[:4])
    start = 4 + 4 * rank + (4 if mode == 1 else 0)
    header, body = raw[:start], raw[start:]
    if body.startswith(_LZ4_MAGIC):
        return header + b"".join(_lz4_frames(body, most))
    nbytes = itemsize * math.prod(struct.unpack(f">{rank}I", raw[4 : 4 + 4 * rank]))
    _refuse_more(nbytes, most)
    return header + bytes(decompress(struct.pack("<I", nbytes) + body))


def _lz4_frames(data: bytes, most: int) -> Iterator[bytes]:
    from numcodecs.lz4 import decompress

    total = 0
    while data:
        if len(data) < 21 or data[:8] != _LZ4_MAGIC:
            raise ValueError("the lz4 block does not begin with 'LZ4Block'")
        method, packed, unpacked, _ = struct.unpack("<BIII", data[8:21])
        body, data = data[21 : 21 + packed], data[21 + packed :]
        if len(body) < packed:
            raise ValueError(f"the lz4 block is truncated: {len(body)} of {packed} bytes")
        if unpacked == 0:
            return
        _refuse_more(total := total + unpacked, most)
        stored = method & 0xF0 == _LZ4_STORED
        yield body if stored else bytes(decompress(struct.pack("<I", unpacked) + body))


def translated(store: Store, level: Level, box: Region, translate: Translate) -> tuple["ts.KvStore", Level]:
    """The chunks that a box touches, translated, in a store in memory, and the level as it lies there."""
    import tensorstore as ts

    folder = store.at(level.path)
    names = list(chunk_names(level, box))
    alternatives = [f"{name}.gz" for name in names] if level.grid["kind"] == "precomputed" else []
    known = ("attributes.json",) if level.grid["kind"] == "n5" else ()
    found = folder.read_chunks([*names, *alternatives], known)
    memory = ts.KvStore.open({"driver": "memory"}, context=ts.Context()).result()
    at = f"{level.path}/" if level.path else ""
    for name in names:
        plain, packed = found.pop(name), found.pop(f"{name}.gz", None)
        raw = plain if plain is not None else packed
        if raw is not None:
            memory.write(f"{at}{name}", _translated(raw, translate, f"{folder}/{name}")).result()
    return memory, _raw_level(level)


def _translated(raw: bytes, translate: Translate, what: str) -> bytes:
    try:
        return translate(raw)
    except (ValueError, RuntimeError, EOFError, OSError, struct.error, zlib.error) as error:
        raise OSError(f"{what}: the chunk cannot be decoded: {error}") from error


def _raw_level(level: Level) -> Level:
    if level.grid["kind"] != "n5":
        return level
    metadata = level.spec["metadata"] | {"compression": {"type": "raw"}}
    return replace(level, spec=level.spec | {"metadata": metadata})
