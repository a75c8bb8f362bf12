"""Compressed voxels of NRRD, MetaImage, NIfTI and MRC: decoded once, no further than they are wanted."""

import bz2
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from isal import igzip, isal_zlib

from utils import memory
from utils.formats.raw_data import StoredVoxels
from utils.formats.volume_base import DecodedVolume, Volume
from utils.formats.voxel_size import VoxelSize
from utils.reading import open_regular, reading_as, refuse_special

_PIECE = 1 << 20
_MOST_SPARE = 1 << 28


@dataclass(frozen=True, kw_only=True)
class PackedData(StoredVoxels):
    """Compressed voxels."""

    encoding: str  # gzip, zlib (with or without gzip's header) or bzip2
    kind: str  # name of the format, for messages

    def volume(self, name: str, size: VoxelSize) -> Volume:
        """The volume, decoded at the first read; raises as `check` does."""
        self.check()
        return DecodedVolume(name, self.decode, size, self.shape, self.dtype)

    def check(self) -> None:
        """Refuse a claim that the file cannot hold, or that does not fit into memory, before anything is decoded."""
        self.refuse_no_data()
        stored = max(0, self.path.stat().st_size - self.start)
        memory.require_possible(self.nbytes + self.skip, stored, self.encoding, "voxels")
        memory.require(self.nbytes, "the volume")

    def decode(self) -> np.ndarray:
        """The voxels, in the stored order of axes and bytes.

        Returns
        -------
        ndarray, shape (z, y, x) or as stored
        """
        self.check()
        with open_regular(self.path) as f, reading_as(self.kind):
            f.seek(self.start)
            for _ in range(self.lines):
                f.readline()
            with _OPENERS[self.encoding](f) as unpacked:
                _pass_over(unpacked, self.skip)
                return self._filled(unpacked)

    def _filled(self, unpacked: Any) -> np.ndarray:
        voxels = np.empty(self.shape, self.dtype)
        view, done = voxels.ravel().view(np.uint8).data, 0
        while done < len(view):
            piece = unpacked.read(min(_PIECE, len(view) - done))
            if not piece:
                raise ValueError(f"the data is cut short: {done} bytes unpacked, {len(view)} needed for {self.shape}")
            view[done : done + len(piece)] = piece
            done += len(piece)
        read_to_the_end(unpacked)
        return voxels


class _Inflated:
    """What zlib makes of a file, with zlib's header or gzip's."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._stream = file, isal_zlib.decompressobj(47)

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; none at the end."""
        while not self._stream.eof:
            packed = self._stream.unconsumed_tail or self._file.read(_PIECE)
            if piece := self._stream.decompress(packed, size):
                return piece
            if not packed:
                raise EOFError("the compressed data is cut short")
        return b""


# How whole files are packed, by their suffix.
_PACKED = {".gz": "gzip", ".bz2": "bzip2"}
_PACKED_FILES: dict[str, Callable[[Path], Any]] = {"gzip": igzip.IGzipFile, "bzip2": bz2.BZ2File}
_OPENERS: dict[str, Callable[[BinaryIO], Any]] = {
    "gzip": lambda f: igzip.IGzipFile(fileobj=f),  # type: ignore[no-untyped-call]
    "zlib": lambda f: nullcontext(_Inflated(f)),
    "bzip2": bz2.BZ2File,
}


def encoding_of(path: Path) -> str:
    """How a whole file is packed, by its suffix; empty where it is not."""
    return _PACKED.get(path.suffix.lower(), "")


def open_unpacked(path: Path) -> Any:
    """Open a regular file for reading, unpacked where its suffix says that it is packed."""
    refuse_special(path)
    opener = _PACKED_FILES.get(encoding_of(path))
    return opener(path) if opener else path.open("rb")


def read_to_the_end(stream: Any) -> None:
    """Unpack what follows the voxels, not without end: checksums are compared where a stream ends."""
    _pass_over(stream, _MOST_SPARE)


def _pass_over(stream: Any, count: int) -> None:
    while count > 0 and (piece := stream.read(min(count, _PIECE))):
        count -= len(piece)
