"""Voxels of one level as z, y, x: through tensorstore, through translated chunks, or through zarr-python."""

import math
import time
from collections.abc import Iterator
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from utils.axes import Triple, triple
from utils.formats.volume_base import Region
from utils.ngff.access import context, with_patience
from utils.ngff.chunks import chunk_names, translated, translation
from utils.ngff.connections import CONNECTIONS
from utils.ngff.metadata import Level
from utils.ngff.store import Store
from utils.ngff.waiting import ForbiddenError, GoneError, StalledError, explain, wait

# A refusal is asked for again this often, after a wait of 0.2 s that doubles.
FORBIDDEN_RETRIES = 2
FORBIDDEN_DELAY = 0.1
# What surely is there, beside the chunks of a level (precomputed: beside its levels).
METADATA_FILES = {"zarr": (".zarray",), "zarr3": ("zarr.json",), "n5": ("attributes.json",), "precomputed": ("info",)}
# Other writers add it to the parameters of codecs; tensorstore refuses what it does not know.
_EXTRA_FIELD = "nthreads"


class LevelReader:
    """Reads boxes of one level of the multiscale at a store; safe to use from many threads at once.

    Raises
    ------
    ValueError
        If a chunk takes more memory than decoding may: asked for it, tensorstore ends the process.
    """

    def __init__(self, store: Store, level: Level) -> None:
        level.refuse_chunk()
        stored = level.grid.get("chunk") or level.chunk
        CONNECTIONS.allow(2 * math.prod(stored) * level.dtype.itemsize)
        self.store, self.level = store, level
        self.what = f"{store}/{level.path}".rstrip("/")
        self._translate = translation(store, level)
        self._view: Any = None
        self._zarr: Any = None
        if self._translate is None:
            self._open()

    def _open(self) -> None:
        access = self.store.access
        try:
            self._view = _open_view(self.store.kvstore(), self.level, context(access), access.timeout, self.what)
        except (ForbiddenError, StalledError):
            raise
        except OSError as error:
            if not self.level.grid["kind"].startswith("zarr"):
                raise
            from utils.ngff.zarr_python import open_zarr

            self._zarr = open_zarr(self.store.at(self.level.path), self.level, error)

    def read(self, box: Region) -> np.ndarray:
        """Read a box (slices along z, y, x inside of the level).

        Returns
        -------
        ndarray, shape of the box
            C-ordered.

        Raises
        ------
        OSError
            If the server stalls or refuses, or a chunk cannot be decoded. Chunks that are not stored are fill values.
        """
        return self.read_counted(box)[0]

    def read_counted(self, box: Region) -> tuple[np.ndarray, int]:
        """Read a box, and count what the server would not give where it hides what is absent.

        Returns
        -------
        voxels, refused : ndarray, shape of the box, and int
        """
        access = self.store.access
        if self._translate is not None:
            memory, level = translated(self.store, self.level, box, self._translate)
            return self._voxels(_open_view(memory, level, context(access), access.timeout, self.what), box), 0
        if self._zarr is not None:
            from utils.ngff.zarr_python import read_zarr

            return read_zarr(self._zarr, self.level, box, self.what), 0
        folder, ask = self.store.at(self.level.path), partial(self._voxels, self._view, box)
        folder.refuse_odd(chunk_names(self.level, box), chunks=True)

        def read() -> tuple[np.ndarray, int]:
            try:
                url = folder.url(next(chunk_names(self.level, box)))
                return with_patience(ask, self.store.address, url, access), 0
            except ForbiddenError:
                return self._read_by_chunk(box)

        return folder.without_misread(read, chunk_names(self.level, box))

    def _voxels(self, view: Any, box: Region) -> np.ndarray:
        voxels: np.ndarray = wait(view[box].read(order="C"), self.store.access.timeout, self.what)
        return voxels.astype(self.level.dtype, copy=False)

    def _read_by_chunk(self, box: Region) -> tuple[np.ndarray, int]:
        """Voxels of a box, chunk by chunk: those that are gone, or refused as absent ones are, are fill values."""
        shape = [part.stop - part.start for part in box]
        voxels = np.full(shape, self.level.fill, self.level.dtype)
        outer = self.level.grid.get("chunk")  # of shards, along the stored axes
        chunk = self.level.chunk if outer is None else triple(outer[axis] for axis in self.level.axes)
        todo = list(_chunks(box, chunk))
        refused = dict[int, ForbiddenError]()
        for attempt in range(1 + FORBIDDEN_RETRIES):
            if attempt:  # some servers throttle by refusing
                time.sleep(FORBIDDEN_DELAY * 2**attempt)
            pending = {i: self._view[todo[i]].read(order="C") for i in refused or range(len(todo))}
            refused = {}
            for i, future in pending.items():
                inside = tuple(slice(p.start - b.start, p.stop - b.start) for p, b in zip(todo[i], box, strict=True))
                try:
                    voxels[inside] = wait(future, self.store.access.timeout, self.what)
                except GoneError:
                    continue
                except ForbiddenError as error:
                    refused[i] = error
            if not refused:
                break
        count = sum(math.prod(p.stop - p.start for p in todo[i]) for i in refused)
        if refused and not self._absent([next(chunk_names(self.level, todo[i])) for i in refused]):
            reason = next(iter(refused.values()))
            raise ForbiddenError(f"{count} of {voxels.size} voxels were refused: {reason}", count)
        return voxels, count

    def _absent(self, names: list[str]) -> bool:
        """Whether chunks that were refused are absent: the store hides missing keys, and lists none of these."""
        folder = self.store.at(self.level.path)
        if self.level.grid.get("sharded"):
            return False
        return folder.hides_missing_keys(self.store, METADATA_FILES[self.level.grid["kind"]]) and not folder.lists(
            names
        )

    def close(self) -> None:
        """Let go of the store."""
        self._view = self._zarr = self._translate = None


def _chunks(box: Region, chunk: Triple) -> Iterator[Region]:
    """The parts of a box that lie in one chunk each."""
    cuts = [
        [slice(max(c, part.start), min(c + n, part.stop)) for c in range(part.start // n * n, part.stop, n)]
        for part, n in zip(box, chunk, strict=True)
    ]
    yield from product(cuts[0], cuts[1], cuts[2])


def _open_view(kvstore: Any, level: Level, settings: Any, timeout: float, what: str) -> Any:
    """Open a level over a key-value store as a tensorstore whose axes are z, y, x and begin at 0."""
    try:
        opening = _open(kvstore, level, settings)
    except (ValueError, OverflowError) as error:
        raise explain(error, what) from error
    array = wait(opening, timeout, what)
    view = array[tuple(level.stored([slice(None)] * 3, 0))].transpose(level.kept_order).translate_to[0, 0, 0]
    if tuple(view.shape) != tuple(level.shape):
        raise OSError(f"{what}: its array has the shape {tuple(view.shape)}, its metadata says {level.shape}")
    return view


def _open(kvstore: Any, level: Level, settings: Any) -> Any:
    import tensorstore as ts

    # What was fetched stays as it is for as long as a run lasts: no chunk in the cache is asked for again.
    spec = {**level.spec, "recheck_cached_data": False}
    precomputed = spec["driver"] == "neuroglancer_precomputed"
    if not precomputed:
        spec.setdefault("metadata", _without(level.grid.get("metadata"), _EXTRA_FIELD))
    below = kvstore / f"{level.path}/" if level.path and not precomputed else kvstore
    # The metadata was read before: assuming it saves a request for every level.
    return ts.open(spec, kvstore=below, context=settings, read=True, assume_metadata=True)


def _without(value: Any, name: str) -> Any:
    if isinstance(value, list):
        return [_without(item, name) for item in value]
    if isinstance(value, dict):
        return {key: _without(item, name) for key, item in value.items() if key != name}
    return value
