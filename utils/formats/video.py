"""Videos as gray frames, one at a time, with an eye on what the file promised.

How long a file should be its own outermost lengths tell: a cut inside its last frame shows nowhere else. The layouts:
ISO/IEC 14496-12 (MP4, MOV), RIFF (AVI), RFC 8794 (Matroska).
"""

import math
import os
import struct
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from utils.luminance import luminance
from utils.memory import require
from utils.reading import open_regular

_COPIES = 8  # of a frame's pixels in memory while it is decoded and becomes one channel: bytes for each
VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mov", ".mkv"})
# Matroska stores no number of frames: OpenCV's is duration x rate, and only time tells whether the end was reached.
_COUNTLESS = frozenset({".mkv"})
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
# How a list of other files begins that FFmpeg plays as one video, whatever its name says.
_LIST = b"ffconcat"
_JPEG_CODECS = frozenset({b"MJPG", b"mjpg", b"jpeg", b"JPEG"})


class Video(AbstractContextManager["Video"]):
    """An open video; iterate over it once for its frames, (h, w) uint8.

    So many are `decoded` so far, so many `promised` by the file; 0 where it does not say.

    Raises
    ------
    ValueError
        If OpenCV cannot read it as a video.
    OSError
        If it may not be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.decoded = 0
        with open_regular(path) as f:  # OpenCV does not tell what it may not read from what it cannot
            names_others = f.read(len(_LIST)) == _LIST
        self._capture = _open(path)
        if names_others or not self._capture.isOpened():
            raise ValueError("is no video that OpenCV can read (damaged, cut off before its index, or not a video)")
        cv2 = _cv2()
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)  # frames come as they are stored, like images
        sides = (self._capture.get(side) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        require(_COPIES * math.prod(max(0, int(side)) for side in sides), "a frame")
        count, self._rate = self._capture.get(cv2.CAP_PROP_FRAME_COUNT), self._capture.get(cv2.CAP_PROP_FPS)
        self.promised = int(count) if abs(count) < 2**53 else 0
        self._seconds = 0.0
        codec = (int(self._capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF).to_bytes(4, "little")
        self._packets = _open(path, packets=True) if codec in _JPEG_CODECS else None

    def __iter__(self) -> Iterator[np.ndarray]:
        first: tuple[int, ...] | None = None
        while True:
            found, frame = self._capture.read()
            if not found:
                return
            size = self._stored_size() or frame.shape[:2]
            first = first or size
            if size != first or frame.shape[:2] != first:
                raise ValueError(
                    f"frame {self.decoded} is {size[1]} x {size[0]} pixels, the first one {first[1]} x {first[0]}: "
                    "the frames of one stack must be alike"
                )
            self.decoded += 1
            self._seconds = self._capture.get(_cv2().CAP_PROP_POS_MSEC) / 1000
            yield frame if frame.ndim == 2 else np.ascontiguousarray(luminance(frame[..., 2::-1]))

    def shortfall(self) -> str:
        """After the last frame: what is missing, in a sentence; '' when nothing is."""
        if self.decoded == 0:
            return "holds no frame that can be decoded"
        size, stated = self.path.stat().st_size, promised_bytes(self.path)
        if stated is not None and stated > size:
            return f"is cut short: {size} bytes of {stated}; {self.decoded} frames could be decoded"
        at_the_end = self.path.suffix.lower() in _COUNTLESS and self._seconds * self._rate + 1.5 >= self.promised
        if self.decoded >= self.promised or at_the_end:
            return ""
        return f"is cut short or damaged: {self.decoded} frames could be decoded, the file promises {self.promised}"

    def _stored_size(self) -> tuple[int, int] | None:
        """(h, w) of the frame as stored: OpenCV scales frames of another size to the first one's, silently."""
        if self._packets is None:
            return None
        found, packet = self._packets.read()
        return jpeg_size(packet.tobytes()) if found else None

    def __exit__(self, *_: object) -> None:
        self._capture.release()
        if self._packets is not None:
            self._packets.release()


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """(h, w) from a JPEG's frame header, None where there is none.

    The markers: ITU T.81, table B.1.
    """
    place = 2
    while data[:2] == b"\xff\xd8" and place + 9 <= len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[place + 5 : place + 9])
            return height, width
        place += 2 + length
    return None


def _open(path: Path, *, packets: bool = False) -> Any:
    cv2 = _cv2()
    # An absolute path: FFmpeg would take a relative name with a colon for a protocol. No other back end: one of them
    # reads numbered images when a name holds digits.
    return cv2.VideoCapture(str(path.resolve()), cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1] if packets else [])


def _cv2() -> Any:
    # What OpenCV and FFmpeg print of a damaged file names no file; the sentences raised here do.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")
    import cv2

    return cv2


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
    f.seek(len(_EBML))
    if (header := _variable_length(f)) is None:
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
