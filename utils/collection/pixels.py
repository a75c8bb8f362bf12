"""Pixels of kept patches: read from their TIFFs, stored as PNG."""

import struct
import zlib
from pathlib import Path

import numpy as np

# A stored block of the Deflate format holds at most so many bytes.
BLOCK = 65535


def read_patch(path: Path) -> np.ndarray:
    """The pixels of a kept patch, shape (h, w) uint8.

    Raises
    ------
    ValueError, OSError
        If the file is no single gray picture of bytes.
    """
    import tifffile

    try:
        patch = tifffile.imread(path)
    except (tifffile.TiffFileError, IndexError) as error:
        raise ValueError(f"{path}: not a TIFF ({error})") from error
    if patch.ndim != 2 or patch.dtype != np.uint8 or patch.size == 0:
        raise ValueError(f"{path}: {patch.dtype} {patch.shape}, expected a 2D patch of uint8")
    return patch


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
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", _stored(rows.tobytes())) + _chunk(b"IEND")


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
