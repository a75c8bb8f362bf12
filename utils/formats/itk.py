"""Formats that only SimpleITK reads: decoded once into memory, in a process of its own.

ITK allocates what a header claims, and some damaged headers end it by a signal. In a child that costs the one file.
Where voxels are missing it shows what its memory held: whether all are there is checked here.
"""

import math
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np

from utils import memory
from utils.files import stem, suffix
from utils.foreign_text import parse_json
from utils.formats.packed_data import open_unpacked
from utils.formats.volume_base import DecodedVolume, Volume
from utils.formats.voxel_size import VoxelSize, checked_unitless
from utils.luminance import luminance
from utils.reading import open_regular, refuse_special

_CHILD = Path(__file__).with_name("itk_child.py")
_HEADER_SECONDS = 60
# What a decoder is waited for; the slowest (text) makes a few megabytes a second.
_SLOWEST_BYTES_PER_SECOND = 2e6
_PIECE = 1 << 20
_HEADER_BYTES = {".gipl": 256, ".gipl.gz": 256, ".pic": 76}
# Of a legacy VTK file: the last line before the values.
_VTK_HEAD = re.compile(rb"\n(LOOKUP_TABLE|COLOR_SCALARS|VECTORS|NORMALS|TENSORS)[^\n]*\n")


def open_itk(path: Path, size: VoxelSize | None = None) -> Volume:
    """Open a file through SimpleITK; the header now, the voxels at the first read.

    The voxel size is `size` where a room of ours reads the header better, else SimpleITK's spacing.

    Raises
    ------
    ValueError
        If SimpleITK cannot read the file; the message is SimpleITK's own.
    """
    refuse_special(path)
    answer = _ask(path, "header", _HEADER_SECONDS)
    try:
        header = parse_json(answer.partition(b"\n")[0])
    except ValueError as error:  # ITK says on its own what it does not understand, and goes on
        raise ValueError(f"cannot be read as {path.suffix}: SimpleITK makes nothing of its header") from error
    shape, spacing = tuple(reversed(header["size"])), tuple(reversed(header["spacing"]))
    if len(shape) > 3 and max(shape[:-3]) > 1:
        raise ValueError(f"has {len(shape)} axes of sizes {shape}: expected a single 3D image")
    shape = (1,) * (3 - len(shape)) + shape[-3:]
    size = size or (checked_unitless(spacing[-3:]) if len(spacing) >= 3 else VoxelSize(None, "a 2D image has no z"))
    dtype = np.dtype(header["dtype"])
    stored = (*shape, header["channels"])
    nbytes = math.prod(stored) * dtype.itemsize
    memory.require(3 * nbytes, "the volume")
    return DecodedVolume(stem(path), partial(_decode, path, stored, dtype, nbytes), size, shape, dtype)


def _decode(path: Path, stored: tuple[int, ...], dtype: np.dtype, nbytes: int) -> np.ndarray:
    require_all_voxels(path, nbytes, nbytes // dtype.itemsize)
    data = _ask(path, "voxels", _HEADER_SECONDS + nbytes / _SLOWEST_BYTES_PER_SECOND)
    if len(data) != nbytes:
        raise ValueError(f"its header promises {nbytes} bytes of voxels, {len(data)} could be decoded")
    return luminance(np.frombuffer(bytearray(data), dtype).reshape(stored))


def _ask(path: Path, what: str, seconds: float) -> bytes:
    """What the child prints; ValueError with SimpleITK's complaint, or how the child ended."""
    command = [sys.executable, str(_CHILD), str(path.absolute()), what, str(memory.limit_bytes())]
    environment = {**os.environ, "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1"}
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, env=environment)
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"SimpleITK did not read its {what} within {seconds:.0f} s") from error
    if done.returncode == 0:
        return done.stdout
    if done.returncode == 3:
        raise ValueError(
            f"cannot be read as {path.suffix} by SimpleITK: {done.stdout.decode('utf-8', 'replace').strip()}"
        )
    raise ValueError(f"cannot be read as {path.suffix}: SimpleITK died of it (exit code {done.returncode})")


def require_all_voxels(path: Path, nbytes: int, values: int) -> None:
    """Refuse a GIPL, VTK, Bio-Rad or Stimulate file without the voxels that its header promises; of others ITK tells.

    They are so many bytes, and so many numbers (ValueError).
    """
    ending = suffix(path)
    if ending == ".vtk":
        _require_vtk(path, nbytes, values)
    elif ending in _HEADER_BYTES:
        head = _HEADER_BYTES[ending]
        _require(_unpacked_size(path) if ending.endswith(".gz") else path.stat().st_size, head + nbytes, "bytes")
    elif ending == ".spr" and (data := path.with_suffix(".sdt")).exists():
        _require(data.stat().st_size, nbytes, "bytes")


def _require_vtk(path: Path, nbytes: int, values: int) -> None:
    with open_regular(path) as f:
        begin = f.read(1 << 16)
        head = _VTK_HEAD.search(begin)
        start = head.end() if head else 0
        if not re.match(rb"[^\n]*\n[^\n]*\n\s*ASCII", begin):
            _require(path.stat().st_size - start, nbytes, "bytes")
            return
        f.seek(start)
        found, within = 0, False
        while piece := f.read(_PIECE):
            words = len(piece.split())
            found += words - (within and not piece[:1].isspace())  # a number that began in the piece before
            within = not piece[-1:].isspace()
        _require(found, values, "numbers")


def _unpacked_size(path: Path) -> int:
    size = 0
    with open_unpacked(path) as f:
        while piece := f.read(_PIECE):
            size += len(piece)
    return size


def _require(stored: int, wanted: int, what: str) -> None:
    if stored < wanted:
        raise ValueError(f"the file is cut short: {stored} {what} where its header promises {wanted}")
