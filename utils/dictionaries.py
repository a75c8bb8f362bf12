"""Patch dictionaries: names and pixels in one pickle, written as they come; and their meta, found quickly."""

import os
import pickle
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from utils.files import atomic_path
from utils.patch_file import PatchFile, checked_meta, in_memory, read_plain

# What stands at the end: the length of the copy of meta before it, and a mark.
_FOOTER, _MAGIC = struct.Struct(">Q8s"), b"patchdic"


def save_patches(path: Path, names: Sequence[str], patches: Iterable[np.ndarray], **extra: Any) -> None:
    """Write a patch dictionary, completely or not at all; see `save_records`.

    Parameters
    ----------
    path : Path
    names : sequence of str
    patches : iterable of ndarray of uint8, shape (h, w)
    **extra : object
        Further entries, such as hashes.
    """
    with atomic_path(path) as scratch:
        save_records(scratch, zip(names, patches, strict=True), **extra)


def save_records(path: Path, records: Iterable[tuple[str, np.ndarray]], **extra: Any) -> dict[str, Any]:
    """Write a patch dictionary of named patches as they come: it may be larger than memory.

    A copy of `meta` follows the pickle, where `load_meta` finds it without reading the patches.

    Parameters
    ----------
    path : Path
        The ``.pkl`` to write.
    records : iterable of (name, patch)
        Patches are (h, w) uint8 arrays. What a generator returns at its end, a dict, is added to `meta`.
    **extra
        Further keys (``hashes``, ``meta``): plain Python values and numpy arrays.

    Returns
    -------
    dict
        The whole `meta`.
    """
    meta = dict(extra.pop("meta", {}))
    stream = _Stream(records, meta)
    with path.open("wb") as f:
        _dump({"patches": stream, "names": stream.names, **extra, "meta": meta}, f)
        start = f.tell()
        _dump(meta, f)
        f.write(_FOOTER.pack(f.tell() - start, _MAGIC))
    return meta


def _dump(content: dict[str, Any], file: BinaryIO) -> None:
    pickler = pickle.Pickler(file, protocol=4)
    pickler.fast = True  # no memo: it would keep every patch alive until the end
    pickler.dump(content)


class _Stream:
    """Pickles as the list of the patches that come, without holding it; keeps their names and what comes last."""

    def __init__(self, records: Iterable[tuple[str, np.ndarray]], meta: dict[str, Any]) -> None:
        self.records, self.meta = records, meta
        self.names: list[str] = []

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (), None, self._patches()

    def _patches(self) -> Iterator[np.ndarray]:
        records = iter(self.records)
        while True:
            try:
                name, patch = next(records)
            except StopIteration as end:
                self.meta.update(end.value or {})
                return
            self.names.append(name)
            yield np.ascontiguousarray(patch)


def load_patches(path: Path) -> dict[str, Any]:
    """Read a whole patch dictionary without running anything that is in it.

    It has ``names``, a list of str, ``patches``, a list of (h, w) uint8 arrays, and whatever else the file holds.

    Raises
    ------
    ValueError
        As `PatchFile` does, and if it does not fit into memory.
    """
    with PatchFile(path) as file:
        return {**file.extra, "names": file.names, "patches": file.read(range(len(file)))}


def load_meta(path: Path) -> dict[str, Any]:
    """The ``meta`` of a patch dictionary, ``{}`` when it has none; quick, however many patches there are."""
    with path.open("rb") as f:
        size = f.seek(0, os.SEEK_END)
        f.seek(max(0, size - _FOOTER.size))
        tail = f.read()
        length, magic = _FOOTER.unpack(tail) if len(tail) == _FOOTER.size else (0, b"")
        start = size - _FOOTER.size - length
        if magic == _MAGIC and start > 0:
            f.seek(start)
            return checked_meta(in_memory(read_plain(f), f))
    with PatchFile(path) as file:
        return file.meta
