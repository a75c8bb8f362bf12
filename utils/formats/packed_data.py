"""Compressed voxels of NRRD, MetaImage, NIfTI and MRC: decoded once, no further than they are wanted."""

import bz2
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from isal import igzip, isal_zlib

from utils import memory
from utils.formats.volume_base import reading_as, refuse_no_data
from utils.reading import open_regular

_PIECE = 1 << 20
_MOST_SPARE = 1 << 28


@dataclass(frozen=True)
class PackedData:
    """Where compressed voxels lie.

    Attributes
    ----------
    path : Path
    dtype : numpy.dtype
        With its byte order.
    shape : tuple of int
        As stored.
    encoding : str
        gzip, zlib (with or without gzip's header) or bzip2.
    start : int
        Where the compressed data, or the lines before it, begin.
    lines : int
        Lines of text to skip before the compressed data.
    skip : int
        Bytes to skip of what is unpacked.
    kind : str
        Name of the format, for messages.
    """

    path: Path
    dtype: np.dtype
    shape: tuple[int, ...]
    encoding: str
    start: int = 0
    lines: int = 0
    skip: int = 0
    kind: str = "NRRD"

    @property
    def nbytes(self) -> int:
        """Size of the voxels."""
        return math.prod(self.shape) * self.dtype.itemsize

    def check(self) -> None:
        """Refuse a claim that the file cannot hold, or that does not fit into memory, before anything is decoded.

        Raises
        ------
        ValueError
            With both sizes.
        """
        refuse_no_data(self.path, self.shape)
        stored = max(0, self.path.stat().st_size - self.start)
        encoding = "bzip2" if self.encoding == "bzip2" else "deflate"
        memory.require_possible(self.nbytes + self.skip, stored, encoding, "voxels")
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

    def __enter__(self) -> "_Inflated":
        return self

    def __exit__(self, *error: object) -> None:
        return None


_OPENERS: dict[str, Callable[[BinaryIO], Any]] = {
    "gzip": lambda f: igzip.IGzipFile(fileobj=f),  # type: ignore[no-untyped-call]
    "zlib": _Inflated,
    "bzip2": bz2.BZ2File,
}


def read_to_the_end(stream: Any) -> None:
    """Unpack what follows the voxels, not without end: checksums are compared where a stream ends."""
    _pass_over(stream, _MOST_SPARE)


def _pass_over(stream: Any, count: int) -> None:
    while count > 0 and (piece := stream.read(min(count, _PIECE))):
        count -= len(piece)
