"""Index folders: arrays of any size written as they come, mapped when read, and what they were made from."""

import json
import math
import mmap
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from utils.files import atomic_path, write_whole
from utils.foreign_text import json_file
from utils.parallel import one_blas_thread
from utils.records.fingerprints import Fingerprint, fingerprint, glance
from utils.volumes import volume_inputs

# Counts up when what is stored changes: older indexes are then made anew.
VERSION = 4
META = "index.json"


@dataclass(frozen=True)
class Index:
    """Arrays on disk, mapped while they are in use, and what was noted with them."""

    folder: Path
    meta: dict[str, Any]

    def __getitem__(self, name: str) -> np.ndarray:
        kind, shape = self.meta["arrays"][name]
        return _mapped(self.folder / f"{name}.bin", kind, tuple(shape), str(self.meta["source"]))

    def rows(self, name: str) -> int:
        """Length of an array, 0 where nothing was appended to it; nothing is read."""
        return int(self.meta["arrays"][name][1][0]) if name in self.meta["arrays"] else 0


class IndexWriter:
    """Writes arrays piece by piece into a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._shapes: dict[str, list[int]] = {}
        self._types: dict[str, str] = {}

    def append(self, **pieces: np.ndarray) -> None:
        """Add rows to arrays; each keeps its dtype and the shape of a row."""
        for name, piece in pieces.items():
            little = np.ascontiguousarray(piece, piece.dtype.newbyteorder("<"))
            shape = self._shapes.setdefault(name, [0, *piece.shape[1:]])
            shape[0] += len(piece)
            self._types[name] = little.dtype.str
            with (self._folder / f"{name}.bin").open("ab") as file:
                file.write(little.tobytes())

    def finish(self, meta: Mapping[str, Any]) -> None:
        """Write what is noted, with the shapes."""
        arrays = {name: [self._types[name], shape] for name, shape in self._shapes.items()}
        content = {"version": VERSION, "arrays": arrays, **meta}
        (self._folder / META).write_text(json.dumps(content), encoding="utf-8")


def make_index(folder: Path, source: Path, fill: Callable[[IndexWriter, Path], Mapping[str, Any]]) -> Index | None:
    """Make the index of a source, completely or not at all; None where it is there already.

    `fill` appends the source's arrays; what it returns is noted with them.

    Raises
    ------
    ValueError
        If the source changed while it was read.
    """
    if current_index(folder, source) is not None:
        return None
    seen = fingerprint(_files(source))
    with one_blas_thread(), atomic_path(folder) as scratch:
        writer = IndexWriter(scratch)
        writer.finish({**fill(writer, source), "source": seen})
        if fingerprint(_files(source)) != seen:
            raise ValueError("it changed while it was read; repeat the command")
    return read_index(folder)


def read_index(folder: Path) -> Index | None:
    """Map an index; None when there is none, or it is damaged or of another version: it is to be made anew."""
    meta = json_file(folder / META)
    if meta.get("version") != VERSION:
        return None
    with suppress(OSError, ValueError, KeyError, TypeError):
        for name, (kind, shape) in meta["arrays"].items():
            if (folder / f"{name}.bin").stat().st_size != np.dtype(kind).itemsize * math.prod(shape):
                return None
        return Index(folder, meta)
    return None


# A process may map some 65,000 parts of files, and collections have more dictionaries.
@lru_cache(maxsize=4096)
def _mapped(path: Path, kind: str, shape: tuple[int, ...], _source: str) -> np.ndarray:
    """An array; one that was made anew, of another source, is another one."""
    if 0 in shape:
        return np.empty(shape, kind)
    with path.open("rb") as file:
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), kind).reshape(shape)


def current_index(folder: Path, source: Path) -> Index | None:
    """The index of a source as it is now; None when it is to be made anew, or the source cannot be read.

    A source of another date and the same content keeps its index, which then remembers the date if it can be written.
    """
    index = read_index(folder)
    if index is None:
        return None
    seen = Fingerprint(*index.meta["source"])
    if glance(_files(source)).looks_like(seen):
        return index
    now = fingerprint(_files(source))
    if not now.digest or now.digest != seen.digest:
        return None
    meta = {**index.meta, "source": now}
    with suppress(OSError):
        write_whole(folder / META, json.dumps(meta))
    return Index(folder, meta)


def _files(source: Path) -> tuple[Path, ...]:
    """A source, and the voxels that lie beside its header where it is a volume's."""
    return volume_inputs(source)[source.name]
