"""Voxels of one level as z, y, x: through tensorstore, through translated chunks, or through zarr-python."""

import contextlib
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from utils.ngff.chunks import Box, read_translated, translation
from utils.ngff.faults import ForbiddenError, StalledError, wait
from utils.ngff.metadata import Level, Triple
from utils.ngff.store import Store, context
from utils.ngff.view import open_view


class LevelReader:
    """Reads boxes of one level; safe to use from many threads at once.

    Parameters
    ----------
    store : Store
        At the multiscale's address.
    level : Level
    """

    def __init__(self, store: Store, level: Level) -> None:
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
            self._view = open_view(self.store.kvstore(), self.level, context(access), access.timeout, self.what)
        except (ForbiddenError, StalledError):
            raise
        except OSError as error:
            if not self.level.grid["kind"].startswith("zarr"):
                raise
            from utils.ngff.zarr_python import open_zarr

            self._zarr = open_zarr(self.store.at(self.level.path), self.level, error)

    def read(self, box: Box) -> np.ndarray:
        """Voxels of a box (slices along z, y, x inside of the level) as a C-ordered array.

        Raises
        ------
        OSError
            If the server stalls or refuses, or a chunk cannot be decoded. Chunks that are not stored are fill values.
        """
        if self._translate is not None:
            return read_translated(self.store, self.level, box, self._translate)
        if self._zarr is not None:
            from utils.ngff.zarr_python import read_zarr

            return read_zarr(self._zarr, self.level, box, self.what)
        try:
            voxels = wait(self._view[box].read(order="C"), self.store.access.timeout, self.what)
        except ForbiddenError:
            # Without permission to list, S3 answers 403 for chunks that were never stored: padding, as 404 is.
            return self._read_by_chunk(box)
        return voxels.astype(self.level.dtype, copy=False)

    def _read_by_chunk(self, box: Box) -> np.ndarray:
        """Voxels of a box, chunk by chunk: those that the server refuses are fill values."""
        shape = [part.stop - part.start for part in box]
        voxels = np.full(shape, self.level.fill, self.level.dtype)
        pending = [(part, self._view[part].read(order="C")) for part in _chunks(box, self.level.chunk)]
        for part, future in pending:
            inside = tuple(slice(p.start - b.start, p.stop - b.start) for p, b in zip(part, box, strict=True))
            with contextlib.suppress(ForbiddenError):
                voxels[inside] = wait(future, self.store.access.timeout, self.what)
        return voxels

    def close(self) -> None:
        """Let go of the store."""
        self._view = self._zarr = self._translate = None


def _chunks(box: Box, chunk: Triple) -> Iterator[Box]:
    """The parts of a box that lie in one chunk each."""
    cuts = [
        [slice(max(c, part.start), min(c + n, part.stop)) for c in range(part.start // n * n, part.stop, n)]
        for part, n in zip(box, chunk, strict=True)
    ]
    yield from product(cuts[0], cuts[1], cuts[2])
