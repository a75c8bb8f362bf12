"""Files that others wrote: what is none is not waited for, and whatever is wrong with one becomes a sentence.

Bytes are read by position: a mapped file that shrinks ends its reader by SIGBUS, what is read says how much came.
"""

import errno
import logging
import os
import stat
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np
from isal import isal_zlib

from utils.files import is_there
from utils.foreign_text import parse_xml

if TYPE_CHECKING:
    from tifffile import TiffFile

# What decoders throw at damaged files, besides ValueError and OSError.
DAMAGE = (
    *(RuntimeError, EOFError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError, MemoryError),
    *(SyntaxError, struct.error, cast(type[Exception], isal_zlib.error)),
)
_SEEKING = threading.Lock()
# What OME metadata count, and how many digits that may have, as steps of a scan.
_COUNTS = {
    "Pixels": ("SizeZ", "SizeC", "SizeT"),
    "TiffData": ("IFD", "PlaneCount", "NumPlanes", "FirstZ", "FirstC", "FirstT"),
}
_MOST_DIGITS = 7


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading; what is no regular file (a pipe, a device, a socket) could be waited for without end."""
    refuse_special(path)
    return path.open("rb")


def refuse_special(path: Path) -> None:
    """Refuse what exists and is no regular file, before it is opened.

    Raises
    ------
    ValueError
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}
        raise ValueError(f"{path.name} is a {kinds.get(stat.S_IFMT(mode), 'device')}, expected a file")


def first_bytes(path: Path, count: int) -> bytes:
    """The begin of a file, by which its format is told."""
    with path.open("rb") as file:
        return file.read(count)


def open_tiff_file(path: Path, **options: Any) -> "TiffFile":
    """A regular file as `tifffile.TiffFile`; what that would log comes as exceptions where it matters.

    Raises
    ------
    ValueError
        If it is no regular file, or no TIFF.
    """
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    refuse_special(path)
    tif = tifffile.TiffFile(path, **options)
    try:
        if tif.is_ome:
            _refuse_hostile_ome(tif.ome_metadata, path.parent)
    except BaseException:
        tif.close()
        raise
    return tif


def _refuse_hostile_ome(xml: str | None, folder: Path) -> None:
    """Refuse metadata of which tifffile would make endless lists, or wait for what it names as another of its files."""
    root = parse_xml(xml)
    for node in () if root is None else root.iter():
        kind = node.tag.rpartition("}")[2]
        if kind == "UUID" and (name := node.get("FileName")) and is_there(folder / name):
            refuse_special(folder / name)
        if kind in _COUNTS and len(most := max((node.get(name, "") for name in _COUNTS[kind]), key=len)) > _MOST_DIGITS:
            raise ValueError(f"its OME metadata count planes up to {most[:30]}")
        if kind.startswith("Along") and node.get("Start"):
            begin, end, step = (float(node.get(name, 1)) for name in ("Start", "End", "Step"))
            if not abs(end - begin) < abs(step) * 10**_MOST_DIGITS:
                raise ValueError(f"its OME metadata count steps of {step:g} from {begin:g} to {end:g}")


@contextmanager
def reading_as(kind: str) -> Iterator[None]:
    """Turn what a decoder throws at a damaged file into one sentence.

    Raises
    ------
    ValueError
    """
    try:
        yield
    except DAMAGE as error:
        if isinstance(error, KeyError):
            raise ValueError(f"cannot be read as {kind}: its header has no {error}") from error
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        detail = lines[-1].removeprefix("sitk::ERROR: ") if lines else type(error).__name__
        raise ValueError(f"cannot be read as {kind}: {detail}") from error


def read_into(file: BinaryIO, offset: int, target: np.ndarray) -> None:
    """Fill a C-ordered array with the bytes of a file from `offset` on; safe from many threads at once.

    Parameters
    ----------
    file : binary file
    offset : int
    target : ndarray, any shape

    Raises
    ------
    ValueError
        If the file ends before the array is full.
    """
    view = target.reshape(-1).view(np.uint8).data
    done = 0
    while done < len(view):
        count = _read_some(file, offset + done, view[done:])
        if count == 0:
            raise ValueError(f"the file became shorter while it was read: {offset + done} bytes and no more")
        done += count


def _read_some(file: BinaryIO, offset: int, view: memoryview) -> int:
    if hasattr(os, "preadv"):
        return os.preadv(file.fileno(), [view], offset)
    with _SEEKING:  # Windows has no reads by position
        file.seek(offset)
        return int(file.readinto(view))  # type: ignore[attr-defined]


def is_hole(file: BinaryIO, offset: int, nbytes: int) -> bool:
    """Whether bytes of a file were never written, so that they are zeros; False where the system does not tell."""
    if not hasattr(os, "SEEK_DATA") or offset + nbytes > os.fstat(file.fileno()).st_size:
        return False
    try:
        return os.lseek(file.fileno(), offset, os.SEEK_DATA) >= offset + nbytes
    except OSError as error:
        return error.errno == errno.ENXIO  # no data from here on
