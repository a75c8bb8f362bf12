"""MetaImage (.mha, .mhd): read by region when plain, decoded once when compressed, else SimpleITK's.

The format: https://itk.org/Wiki/ITK/MetaIO/Documentation
"""

import re
from itertools import islice
from pathlib import Path

import numpy as np

from utils.files import stem
from utils.formats.itk import open_itk
from utils.formats.packed_data import PackedData
from utils.formats.raw_data import RawData, RawVolume
from utils.formats.slice_files import are_named, slice_files
from utils.formats.volume_base import Volume
from utils.formats.voxel_size import VoxelSize, checked, checked_unitless, nm_per
from utils.reading import open_regular, reading_as

_TYPES = {
    "CHAR": "i1", "UCHAR": "u1", "SHORT": "i2", "USHORT": "u2", "INT": "i4", "UINT": "u4", "LONG": "i4", "ULONG": "u4",
    "LONG_LONG": "i8", "ULONG_LONG": "u8", "FLOAT": "f4", "DOUBLE": "f8",
}  # fmt: skip
_LONGEST_LINE = 1 << 16


def open_metaimage(path: Path) -> Volume:
    """Open a .mha or .mhd file.

    Raises
    ------
    ValueError
        If the header contradicts itself, or promises more than is there.
    """
    fields, start = read_header(path)
    with reading_as("MetaImage"):
        sizes = [int(n) for n in fields["DimSize"].split()]
        dimensions, header_size = int(fields["NDims"]), int(fields.get("HeaderSize", "0"))
        data_file = fields["ElementDataFile"]
        colours = int(fields.get("ElementNumberOfChannels", "1"))
        code = _TYPES.get(fields["ElementType"].removeprefix("MET_"))
    local = data_file.upper() == "LOCAL"
    if local and header_size > 0:
        raise ValueError(f"its header skips {header_size} bytes from its own beginning")
    if dimensions != len(sizes) or min(sizes, default=0) < 1 or header_size < -1:
        raise ValueError(f"the header says NDims {dimensions}, DimSize {sizes} and HeaderSize {header_size}")
    split = are_named(data_file)
    ascii_data = not _is_true(fields, "BinaryData", "True")
    size = voxel_size(fields)
    if split:
        _check_slices(path, data_file, sizes[-1])
    if split or ascii_data or colours != 1 or len(sizes) not in (2, 3) or code is None:
        return open_itk(path, size)
    shape = tuple(reversed([*sizes, 1][:3]))
    source, begin = (path, start) if local else (path.parent / data_file, 0)
    big = _is_true(fields, "ElementByteOrderMSB", fields.get("BinaryDataByteOrderMSB", "False"))
    dtype = np.dtype(code).newbyteorder(">" if big else "<")
    if not _is_true(fields, "CompressedData"):
        return RawVolume(stem(path), RawData(source, dtype, shape, begin, header_size), size)
    packed = PackedData(source, dtype, shape, begin + max(header_size, 0), encoding="zlib", kind="MetaImage")
    return packed.volume(stem(path), size)


def _check_slices(path: Path, data_file: str, count: int) -> None:
    """Refuse slices that lie in fewer files than there are slices: SimpleITK shows memory that nobody wrote."""
    named, files = slice_files(path, data_file)
    missing = next((name for name in islice(files, count + 1) if not (path.parent / name).is_file()), None)
    if missing or named != count:
        gone = f", {missing} is missing" if missing else ""
        raise ValueError(f"the header promises {count} slices and names {named} files{gone}")
    if re.search(r"%\S*\s+\S+\s+\S+\s+-", data_file):
        raise ValueError(f"the header counts slices down ({data_file[:80]}), which SimpleITK does not read")


def _is_true(fields: dict[str, str], key: str, default: str = "False") -> bool:
    return fields.get(key, default)[:1] in ("T", "t", "1")


def read_header(path: Path) -> tuple[dict[str, str], int]:
    """The fields of a MetaImage header, and where the data begins when it follows in the same file.

    Raises
    ------
    ValueError
        If the header does not end as MetaImage's do.
    """
    fields: dict[str, str] = {}
    with open_regular(path) as f:
        for raw in iter(lambda: f.readline(_LONGEST_LINE), b""):
            key, equals, value = raw.decode("utf-8", "replace").partition("=")
            if not equals:
                break
            fields[key.strip()] = value.strip()
            if key.strip() == "ElementDataFile":
                return fields, f.tell()
    raise ValueError("is not a MetaImage file: its header has no ElementDataFile")


def voxel_size(fields: dict[str, str]) -> VoxelSize:
    """Voxel size from `ElementSpacing` (or the older `ElementSize`); its mm, like ITK's, are taken as nm."""
    with reading_as("MetaImage"):
        numbers = [float(n) for n in fields.get("ElementSpacing", fields.get("ElementSize", "")).split()]
    if len(numbers) < 3:
        return checked(None)
    unit = fields.get("DistanceUnits", "mm")
    zyx = numbers[2::-1]
    return checked_unitless(zyx) if unit == "mm" or nm_per(unit) is None else checked(zyx, unit)
