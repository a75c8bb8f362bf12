"""How long a video file should be, by its own outermost lengths: a cut inside its last frame shows nowhere else.

The layouts: ISO/IEC 14496-12 (MP4, MOV), RIFF (AVI), RFC 8794 (Matroska).
"""

import struct
from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def promised_bytes(path: Path) -> int | None:
    """The length that an MP4, MOV, AVI or Matroska file states, None where it states none or is something else."""
    size = path.stat().st_size
    with path.open("rb") as f:
        head = f.read(12)
        f.seek(0)
        if head[:4] == b"RIFF":
            return _end_of_chunks(f, size)
        if head[:4] == _EBML:
            return _end_of_segment(f)
        return _end_of_boxes(f, size) if head[4:8] == b"ftyp" else None


def _end_of_chunks(f: BinaryIO, size: int) -> int:
    """The end of the last RIFF chunk; large AVIs are a row of them."""
    end = 0
    while end + 8 <= size:
        f.seek(end)
        kind, length = struct.unpack("<4sI", f.read(8))
        if kind != b"RIFF":
            break
        end += 8 + length
    return end


def _end_of_boxes(f: BinaryIO, size: int) -> int:
    """The end of the last box; a length of 1 stands for 64 bits that follow, 0 for the rest of the file."""
    end = 0
    while end + 8 <= size:
        f.seek(end)
        length = int.from_bytes(f.read(4), "big")
        f.seek(end + 8)
        length = int.from_bytes(f.read(8), "big") if length == 1 else length
        if length < 8:
            return size
        end += length
    return end


def _end_of_segment(f: BinaryIO) -> int | None:
    """The end of the segment, unless its length was never filled in, as in a live recording."""
    if f.read(4) != _EBML or (header := _variable_length(f)) is None:
        return None
    f.seek(header, 1)
    if f.read(4) != _SEGMENT or (length := _variable_length(f)) is None:
        return None
    return f.tell() + length


def _variable_length(f: BinaryIO) -> int | None:
    first = f.read(1)
    if not first or first == b"\0":
        return None
    extra = 8 - first[0].bit_length()
    value = int.from_bytes(bytes([first[0] & (0x7F >> extra)]) + f.read(extra), "big")
    return None if value == (1 << 7 * (extra + 1)) - 1 else value
