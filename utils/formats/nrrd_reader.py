"""NRRD, read: raw data mapped, compressed data decoded once, the rest left to SimpleITK.

The format: https://teem.sourceforge.net/nrrd/format.html
"""

import bz2
import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.files import stem
from utils.formats.itk import open_itk
from utils.formats.nrrd import TYPE_NAMES
from utils.formats.raw_data import RawData, raw_volume
from utils.formats.volume_base import ArrayVolume, Volume, reading_as
from utils.formats.voxel_size import VoxelSize, checked, checked_unitless

_TYPES = {
    **{name: code for code, name in TYPE_NAMES.items()},
    **dict.fromkeys(("signed char", "int8_t"), "i1"),
    **dict.fromkeys(("unsigned char", "uchar", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32_t"), "u4"),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long", "int64_t"), "i8"),
    **dict.fromkeys(("ulonglong", "unsigned long long", "unsigned long long int", "uint64_t"), "u8"),
}
_ENCODINGS = frozenset({"raw", "gzip", "gz", "bzip2", "bz2"})
_LONGEST_HEADER = 1 << 22


@dataclass(frozen=True)
class NrrdHeader:
    """The fields of a NRRD header and where its data begins (0 when the data is in another file)."""

    fields: dict[str, str]
    data_start: int

    @property
    def data_file(self) -> str | None:
        """Name of the file that holds the data of a detached header."""
        return self.fields.get("data file", self.fields.get("datafile"))


def read_header(path: Path) -> NrrdHeader:
    """Parse the header of a .nrrd or .nhdr file.

    Raises
    ------
    ValueError
        If the file does not begin as NRRD does.
    """
    with path.open("rb") as f:
        if not f.readline(16).startswith(b"NRRD"):
            raise ValueError("is not a NRRD file: it does not begin with 'NRRD'")
        fields: dict[str, str] = {}
        for raw in iter(lambda: f.readline(_LONGEST_HEADER), b""):
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            if not line:
                return NrrdHeader(fields, f.tell())
            key, colon, value = line.partition(":")
            if colon and not line.startswith("#") and not value.startswith("="):
                fields[key.strip().lower()] = value.strip()
    return NrrdHeader(fields, 0)


def open_nrrd(path: Path) -> Volume:
    """Open a NRRD file; raw data is mapped, gzip and bzip2 are decoded once, the rest is SimpleITK's."""
    header = read_header(path)
    fields = header.fields
    with reading_as("NRRD"):
        shape = tuple(int(n) for n in reversed(fields["sizes"].split()))
        code = _TYPES.get(fields["type"].lower())
    encoding = fields.get("encoding", "raw").lower()
    data_file = header.data_file
    one_file = data_file is None or not (data_file.upper().startswith("LIST") or "%" in data_file)
    gray = set(fields.get("kinds", "").lower().split()) <= {"domain", "space", "none", "???"}
    if code is None or len(shape) not in (2, 3) or not one_file or not gray or encoding not in _ENCODINGS:
        return open_itk(path, voxel_size(header, 3))
    shape = (1,) * (3 - len(shape)) + shape
    dtype = np.dtype(code).newbyteorder(">" if fields.get("endian", "little").lower() == "big" else "<")
    source = path if data_file is None else path.parent / data_file
    skip = int(fields.get("byte skip", fields.get("byteskip", "0")))
    lines = int(fields.get("line skip", fields.get("lineskip", "0")))
    if encoding == "raw":
        raw = RawData(source, dtype, shape, header.data_start, skip=skip, lines=lines)
        return raw_volume(stem(path), raw, voxel_size(header, len(shape)))

    def decode() -> np.ndarray:
        return _decompressed(source, header.data_start, encoding, lines, skip, dtype, shape)

    return ArrayVolume(stem(path), decode, voxel_size(header, len(shape)), shape=shape, dtype=dtype)


def _decompressed(
    source: Path, start: int, encoding: str, lines: int, skip: int, dtype: np.dtype, shape: tuple[int, ...]
) -> np.ndarray:
    with source.open("rb") as f, reading_as("NRRD"):
        f.seek(start)
        for _ in range(lines):
            f.readline()
        with gzip.GzipFile(fileobj=f) if encoding.startswith("g") else bz2.BZ2File(f) as unpacked:
            data = bytearray(unpacked.read())
    wanted = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    first = len(data) - wanted if skip < 0 else skip
    if first < 0 or len(data) - first < wanted:
        raise ValueError(f"the data is cut short: {len(data)} bytes unpacked, {wanted} needed for {shape} {dtype}")
    return np.frombuffer(data, dtype, offset=first, count=wanted // dtype.itemsize).reshape(shape)


def voxel_size(header: NrrdHeader, dimensions: int) -> VoxelSize:
    """Voxel size from `space directions` or `spacings`, in the header's own unit, else taken as nm."""
    fields = header.fields
    numbers: list[float] | None = None
    with reading_as("NRRD"):
        if "space directions" in fields:
            vectors = [v for v in fields["space directions"].replace(" ", "").split(")") if "(" in v]
            numbers = [float(np.linalg.norm([float(n) for n in v[v.index("(") + 1 :].split(",")])) for v in vectors]
        elif "spacings" in fields:
            numbers = [float(n) for n in fields["spacings"].split()]
    if numbers is None or len(numbers) < 3:
        return checked(None)
    zyx = numbers[2::-1]
    units = [u for u in fields.get("space units", fields.get("units", "")).split('"') if u.strip()]
    return checked(zyx, units[0]) if units and units[0] != "???" else checked_unitless(zyx)
