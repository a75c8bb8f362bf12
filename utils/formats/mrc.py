"""MRC and its family (.mrc .mrcs .rec .st .map .ali): headers as people's programs really write them.

The format: https://www.ccpem.ac.uk/mrc_format/mrc2014.php and https://bio3d.colorado.edu/imod/doc/mrc_format.txt
"""

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from utils import memory
from utils.axes import Triple, triple
from utils.files import stem
from utils.formats.packed_data import encoding_of, open_unpacked, read_to_the_end
from utils.formats.raw_data import RawData, RawVolume
from utils.formats.volume_base import DecodedVolume, Volume
from utils.formats.voxel_size import VoxelSize, checked, significant
from utils.reading import reading_as

MRC_SUFFIXES = frozenset({".mrc", ".mrcs", ".rec", ".st", ".map", ".ali"})
HEADER_BYTES = 1024
IMOD_STAMP = 1146047817
_VOLUME_STACKS = 400  # and the space group of each volume: ISPG of a stack
# Bits of imodFlags.
SIGNED_BYTES = 1
_PACKED_NIBBLES = 16
_MODES = {0: "u1", 1: "i2", 2: "f4", 6: "u2", 12: "f2", 16: "u1"}
# The first bytes of the machine stamp, by the byte order that they stand for.
_STAMPS = {"<": ((0x44, 0x44), (0x44, 0x41)), ">": ((0x11, 0x11),)}
_REFUSED = {3: "complex 16-bit integers", 4: "complex numbers", 101: "4-bit values"}
HEADER = np.dtype(
    {
        "names": ["size", "mode", "start", "grid", "cell", "angles", "axes", "min", "max", "mean", "group", "extended",
                  "stamp", "flags", "origin", "map", "machine", "rms"],
        "formats": ["3i4", "i4", "3i4", "3i4", "3f4", "3f4", "3i4", "f4", "f4", "f4", "i4", "i4", "i4", "i4", "3f4",
                    "4u1", "4u1", "f4"],
        "offsets": [0, 12, 16, 28, 40, 52, 64, 76, 80, 84, 88, 92, 152, 156, 196, 208, 212, 216],
        "itemsize": HEADER_BYTES,
    }
)  # fmt: skip


@dataclass(frozen=True)
class MrcHeader:
    """What a header says, after its contradictions are settled."""

    fields: np.ndarray  # of `HEADER`, shape (): as in the file, in the file's byte order
    dtype: np.dtype  # of the stored voxels, with byte order; mode 0 is int8 or uint8
    shape: tuple[int, ...]  # sections, rows, columns as stored, and 3 colours for mode 16
    data_start: int  # where the voxels begin

    @property
    def mode(self) -> int:
        """MRC mode number."""
        return int(self.fields["mode"])

    @property
    def axes(self) -> Triple:
        """Which stored axis (sections, rows, columns) is z, y, x; the usual order when the header makes no sense."""
        columns_rows_sections = [int(a) for a in self.fields["axes"]]
        if sorted(columns_rows_sections) != [1, 2, 3]:
            return (0, 1, 2)
        return triple(2 - columns_rows_sections.index(axis) for axis in (3, 2, 1))

    @property
    def voxel_size(self) -> VoxelSize:
        """Cell / grid, from Angstrom to nm."""
        cell, grid = self.fields["cell"].astype(float), self.fields["grid"].astype(float)
        if not cell.all() or not grid.all():
            return VoxelSize(None, f"the header's cell is {_listed(cell)} Angstrom on a grid of {_listed(grid)}")
        return checked([significant(n, 7) for n in (cell / grid)[::-1]], "angstrom")


def parse_header(head: bytes, size: int | None, *, signed: bool | None = None) -> MrcHeader:
    """Make sense of the first 1024 bytes of an MRC file.

    Parameters
    ----------
    head : bytes
    size : int or None
        Bytes in the file; None when it is compressed and not known yet.
    signed : bool, optional
        Whether the bytes of mode 0 are signed; None to find out (see `_bytes_are_signed`).

    Raises
    ------
    ValueError
        If it is no MRC file, holds voxels that are no image, or promises more than the file has.
    """
    fields = _fields(head)
    mode = int(fields["mode"])
    if mode in _REFUSED:
        raise ValueError(f"MRC mode {mode} holds {_REFUSED[mode]}, which are no image: convert it with its own program")
    if mode == 0 and is_marked(fields) and int(fields["flags"]) & _PACKED_NIBBLES:
        raise ValueError("by IMOD's mark its bytes hold two 4-bit values each: unpack it with IMOD's newstack first")
    code = _MODES[mode]
    if mode == 0 and (signed if signed is not None else _bytes_are_signed(fields)):
        code = "i1"
    columns, rows, sections = (int(n) for n in fields["size"])
    shape = (sections, rows, columns) + ((3,) if mode == 16 else ())
    dtype = np.dtype(code).newbyteorder(byte_order(fields))
    return MrcHeader(fields, dtype, shape, HEADER_BYTES + _extended(fields, shape, dtype, size))


def is_marked(fields: np.ndarray) -> bool:
    """Whether the header bears IMOD's stamp, so that its flags count.

    Parameters
    ----------
    fields : structured ndarray, shape ()
    """
    return int(fields["stamp"]) == IMOD_STAMP


def byte_order(fields: np.ndarray) -> Literal["<", ">"]:
    """The byte order of a header, and of the voxels behind it.

    Parameters
    ----------
    fields : structured ndarray, shape ()
    """
    return "<" if fields["mode"].dtype.str[0] == "<" else ">"


def mark_order(fields: np.ndarray) -> None:
    """Put in the stamps that tell an MRC file and its byte order; other stamps of that order stay.

    Parameters
    ----------
    fields : structured ndarray, shape ()
        Of a header that can be written to.
    """
    fields["map"] = np.frombuffer(b"MAP ", np.uint8)
    stamps = _STAMPS[byte_order(fields)]
    if tuple(fields["machine"][:2].tolist()) not in stamps:
        fields["machine"] = (*stamps[0], 0, 0)


def _bytes_are_signed(fields: np.ndarray) -> bool:
    """Whether mode 0 holds signed bytes: by IMOD's mark, else by the header's minimum and maximum, else no.

    The MRC2014 standard says signed, most programs wrote unsigned; without a mark only the statistics tell. They do
    not count where max < min, the standard's way to say that they were never measured.
    """
    if is_marked(fields):
        return bool(int(fields["flags"]) & SIGNED_BYTES)
    low, high = float(fields["min"]), float(fields["max"])
    if not (np.isfinite(low) and np.isfinite(high)) or high < low or low == high == 0:
        warnings.warn("bytes without IMOD's mark and without statistics in the header: taken as unsigned", stacklevel=2)
        return False
    return low < 0 and -low > high - 127


def read_mrc_header(path: Path, *, signed: bool | None = None) -> MrcHeader:
    """The header of an MRC file, also of a compressed one; `signed` as in `parse_header`."""
    with reading_as("MRC"), open_unpacked(path) as f:
        size = None if encoding_of(path) else path.stat().st_size
        return parse_header(f.read(HEADER_BYTES), size, signed=signed)


def open_mrc(path: Path) -> Volume:
    """Open an MRC file; read by region, or decoded once when it is compressed (.gz, .bz2)."""
    header, encoding = read_mrc_header(path), encoding_of(path)
    _say_what_is_stacked(header)
    if not encoding:
        raw = RawData(path, header.dtype, header.shape, header.data_start)
        return RawVolume(stem(path), raw, header.voxel_size, header.axes)
    stored = tuple(header.shape[axis] for axis in header.axes)
    nbytes = math.prod(header.shape) * header.dtype.itemsize
    promised = header.data_start + nbytes
    memory.require_possible(nbytes, path.stat().st_size, encoding, "voxels")

    def decode() -> np.ndarray:
        memory.require(2 * promised, "the volume")
        with reading_as("compressed MRC"), open_unpacked(path) as packed:
            data = bytearray(packed.read(promised + 1))
            read_to_the_end(packed)
        whole = parse_header(bytes(data[:HEADER_BYTES]), len(data))
        count, start = math.prod(whole.shape), whole.data_start
        voxels = np.frombuffer(data, whole.dtype, count, start).reshape(whole.shape)
        return voxels.transpose(*whole.axes, *range(3, voxels.ndim))

    return DecodedVolume(stem(path), decode, header.voxel_size, stored, header.dtype)


def _say_what_is_stacked(header: MrcHeader) -> None:
    """Say that sections are no volume: by the standard images of their own, or of several volumes one after another."""
    group, sections, each = int(header.fields["group"]), header.shape[0], int(header.fields["grid"][2])
    if group == 0 and each == 1 < sections:
        what = "images of their own: only slices along axis 0 show what was seen"
        warnings.warn(f"by its header (ISPG 0, MZ 1) its sections are {what}", stacklevel=3)
    elif group > _VOLUME_STACKS and 0 < each < sections:
        what = f"those of {sections // each} volumes, {each} of each: they are read as one volume"
        warnings.warn(f"by its header (ISPG {group}, MZ {each}) its sections are {what}", stacklevel=3)


def _fields(head: bytes) -> np.ndarray:
    if len(head) < HEADER_BYTES:
        raise ValueError(f"is not an MRC file: {len(head)} bytes, its header alone has {HEADER_BYTES}")
    machine = head[212:214]
    layouts = (HEADER, HEADER.newbyteorder(">"))
    for layout in layouts[::-1] if machine == b"\x11\x11" else layouts:  # the mark is often missing or wrong
        fields = np.frombuffer(head, layout, count=1).reshape(())
        if (fields["size"] > 0).all() and int(fields["mode"]) in _MODES | _REFUSED:
            return fields
    fields = np.frombuffer(head, HEADER, count=1).reshape(())
    raise ValueError(
        f"is not an MRC file that can be read: its header says size {_listed(fields['size'])}, mode {fields['mode']}"
    )


def _extended(fields: np.ndarray, shape: tuple[int, ...], dtype: np.dtype, size: int | None) -> int:
    """Bytes of extended header, or a sentence on why the file cannot hold what its header promises."""
    extended = int(fields["extended"])
    data = math.prod(shape) * dtype.itemsize
    if size is None:
        return max(extended, 0)
    if extended < 0 or HEADER_BYTES + extended + data > size:
        if size == HEADER_BYTES + data:
            warnings.warn(f"its extended header of {extended} bytes is not in the file: ignored", stacklevel=2)
            return 0
        raise ValueError(
            f"the file is cut short or its header is broken: {size} bytes, but the header promises "
            f"{HEADER_BYTES} + {extended} (extended header) + {data} for {_listed(shape)} voxels of {dtype.name}"
        )
    if (rest := size - HEADER_BYTES - extended - data) > 0:
        warnings.warn(f"holds {rest} bytes more than its header promises: ignored", stacklevel=2)
    return extended


def _listed(numbers: np.ndarray | tuple[int, ...]) -> str:
    return ", ".join(f"{float(n):g}" for n in numbers)
