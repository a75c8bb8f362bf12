"""NRRD, read: raw data read by region, compressed data decoded once, the rest left to SimpleITK.

The format: https://teem.sourceforge.net/nrrd/format.html
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from utils.files import stem
from utils.formats.itk import open_itk
from utils.formats.packed_data import PackedData
from utils.formats.raw_data import RawData, RawVolume
from utils.formats.slice_files import are_named
from utils.formats.volume_base import Volume
from utils.formats.voxel_size import VoxelSize, checked, checked_unitless
from utils.formats.writers import TYPE_NAMES
from utils.reading import open_regular, reading_as

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
_ENCODINGS = {"raw": "raw", "gzip": "gzip", "gz": "gzip", "bzip2": "bzip2", "bz2": "bzip2"}
_LONGEST_HEADER = 1 << 22
# Kinds of axes along which voxels lie; along others lie their components, or times.
_PLACES = frozenset({"domain", "space", "none", "???"})
_MAGIC = re.compile(rb"NRRD000[1-6]\r?\n")


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
        If the file does not begin as NRRD does, or has a field twice.
    """
    with open_regular(path) as f:
        if not _MAGIC.fullmatch(f.readline(16)):
            raise ValueError("is not a NRRD file: it does not begin with 'NRRD' and a version that is known")
        fields: dict[str, str] = {}
        for raw in iter(lambda: f.readline(_LONGEST_HEADER), b""):
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            if not line:
                break
            key, colon, value = line.partition(":")
            if colon and not line.startswith("#") and not value.startswith("="):
                name = key.strip().lower()
                if name in fields:
                    raise ValueError(f"its header has the field {name} twice")
                fields[name] = value.strip()
        # A detached header may end in an empty line, too: its data begins where the other file does.
        detached = not {"data file", "datafile"}.isdisjoint(fields)
        return NrrdHeader(fields, 0 if detached else f.tell())


def open_nrrd(path: Path) -> Volume:
    """Open a NRRD file; raw data is read by region, gzip and bzip2 are decoded once, the rest is SimpleITK's.

    Raises
    ------
    ValueError
        If the header contradicts itself, or promises more than is there.
    """
    header = read_header(path)
    fields = header.fields
    with reading_as("NRRD"):
        shape = tuple(int(n) for n in reversed(fields["sizes"].split()))
        code = _TYPES.get(fields["type"].lower())
        encoding = _ENCODINGS.get(fields["encoding"].lower())
        lines, skip = (int(fields.get(f"{kind} skip", fields.get(f"{kind}skip", "0"))) for kind in ("line", "byte"))
        if int(fields["dimension"]) != len(shape) or min(shape, default=0) < 1:
            raise ValueError(f"the header says dimension {fields['dimension']} and sizes {fields['sizes']}")
        _refuse_contradictions(fields, len(shape))
    data_file = header.data_file
    one_file = data_file is None or not are_named(data_file)
    kinds = fields.get("kinds", "").lower().split()
    components = [n for kind, n in zip(kinds, shape[::-1], strict=False) if kind not in _PLACES | {"time"}]
    if any(count not in (1, 3, 4) for count in components):  # three and four are colours
        raise ValueError(f"{components[0]} values a voxel are no intensity (kinds {fields['kinds']})")
    size = voxel_size(header)
    if code is None or encoding is None or len(shape) not in (2, 3) or not one_file or set(kinds) - _PLACES:
        return open_itk(path, size)
    shape = (1,) * (3 - len(shape)) + shape
    dtype = np.dtype(code).newbyteorder(_byte_order(fields, code))
    source = path if data_file is None else path.parent / data_file
    if lines < 0 or (skip < 0 and encoding != "raw"):
        raise ValueError(f"its header skips {lines} lines and {skip} bytes of {encoding} data")
    if encoding == "raw":
        return RawVolume(stem(path), RawData(source, dtype, shape, header.data_start, skip, lines), size)
    packed = PackedData(source, dtype, shape, header.data_start, skip, lines, encoding=encoding, kind="NRRD")
    return packed.volume(stem(path), size)


def _refuse_contradictions(fields: dict[str, str], dimension: int) -> None:
    """Raise ValueError for fields that fit no array of this dimension, as the reference reader does."""
    for name in ("spacings", "thicknesses", "axis mins", "axis maxs", "kinds"):
        if name in fields and len(fields[name].split()) != dimension:
            raise ValueError(f"its header has {name} {fields[name]!r} for {dimension} axes")
    if "block size" in fields and fields["type"].lower() != "block":
        raise ValueError(f"its header has a block size, which values of the type {fields['type']} have not")


def _byte_order(fields: dict[str, str], code: str) -> Literal["<", ">"]:
    """``>`` or ``<``; bytes need none."""
    endian = fields.get("endian", "little" if code.endswith("1") else "").lower()
    if endian not in ("little", "big"):
        raise ValueError(f"its header's endian is {endian or 'missing'}: expected little or big")
    return ">" if endian == "big" else "<"


def voxel_size(header: NrrdHeader) -> VoxelSize:
    """Voxel size from `space directions` or `spacings`, in the header's own unit, else taken as nm."""
    fields = header.fields
    numbers: list[float] | None = None
    with reading_as("NRRD"):
        if "space directions" in fields:
            vectors = [v for v in fields["space directions"].replace(" ", "").split(")") if "(" in v]
            numbers = [float(np.linalg.norm([float(n) for n in v[v.index("(") + 1 :].split(",")])) for v in vectors]
        elif "spacings" in fields:
            numbers = [float(n) for n in fields["spacings"].split()]
            if len(numbers) > 3:  # NaN stands for axes that have none, as that of colours
                numbers = [n for n in numbers if not math.isnan(n)]
    if numbers is None or len(numbers) < 3:
        return checked(None)
    zyx = numbers[2::-1]
    units = [u for u in fields.get("space units", fields.get("units", "")).split('"') if u.strip()]
    if len(set(units[:3])) > 1:
        return VoxelSize(None, f"the header's units differ: {', '.join(units[:3])}")
    return checked(zyx, units[0]) if units and units[0] != "???" else checked_unitless(zyx)
