"""Pixels of kept patches: read from their TIFFs, stored as PNG."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from utils.picture_sizes import PNG
from utils.records.kept_patch import open_kept

# A stored block of the Deflate format holds at most so many bytes.
BLOCK = 65535


def read_patch(path: Path) -> np.ndarray:
    """The pixels of a kept patch.

    Returns
    -------
    ndarray of uint8, shape (h, w)

    Raises
    ------
    ValueError, OSError
        If the file is no single gray picture of bytes.
    """
    with open_kept(path) as tif:
        return np.asarray(_patch_page(tif).asarray())


def patch_size(path: Path) -> tuple[int, int]:
    """Rows and columns of a kept patch that `read_patch` will read; pixels are decoded only where they are packed.

    Raises
    ------
    ValueError, OSError
        If it will not.
    """
    with open_kept(path) as tif:
        page = _patch_page(tif)
        if page.compression != 1:
            page.asarray()
        return int(page.shape[0]), int(page.shape[1])


def _patch_page(tif: Any) -> Any:
    page = tif.pages.first
    if len(tif.pages) != 1 or len(page.shape) != 2 or page.dtype != np.uint8 or 0 in page.shape:
        raise ValueError(f"{len(tif.pages)} x {page.dtype} {page.shape}, expected one 2D patch of uint8")
    ends = [offset + size for offset, size in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if max(ends) > tif.filehandle.size or (page.compression == 1 and sum(page.databytecounts) < np.prod(page.shape)):
        raise ValueError(f"{tif.filehandle.size} bytes, too few for {page.shape[0]} x {page.shape[1]} pixels")
    return page


def png_bytes(patch: np.ndarray) -> bytes:
    """A patch as a PNG, stored without compression.

    EM compresses by a fifth only. Stored, a patch is written and read several times as fast, and has the same bytes
    whichever zlib a machine has.

    Parameters
    ----------
    patch : ndarray, shape (h, w) uint8
    """
    height, width = patch.shape
    rows = np.zeros((height, width + 1), np.uint8)  # each row begins with its filter: 0, none
    rows[:, 1:] = patch
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return PNG + _chunk(b"IHDR", header) + _chunk(b"IDAT", _stored(rows.tobytes())) + _chunk(b"IEND")


def _chunk(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _stored(raw: bytes) -> bytes:
    """A zlib stream of stored blocks (RFC 1950, 1951)."""
    pieces = [b"\x78\x01"]
    for start in range(0, len(raw), BLOCK):
        piece = raw[start : start + BLOCK]
        last = start + BLOCK >= len(raw)
        pieces += [struct.pack("<BHH", last, len(piece), len(piece) ^ 0xFFFF), piece]
    return b"".join([*pieces, struct.pack(">I", zlib.adler32(raw))])
