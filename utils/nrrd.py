"""NRRD: raw voxels written slab by slab, mapped when read, decoded once when compressed.

The format: https://teem.sourceforge.net/nrrd/format.html
"""

import bz2
import gzip
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import DTypeLike

from utils.files import stem
from utils.raw_data import RawData, raw_volume
from utils.volume_base import ArrayVolume, Volume, reading_as
from utils.voxel_size import VoxelSize, checked, checked_unitless

_NAMES = {
    "i1": "int8", "u1": "uint8", "i2": "int16", "u2": "uint16", "i4": "int32", "u4": "uint32",
    "i8": "int64", "u8": "uint64", "f4": "float", "f8": "double",
}  # fmt: skip
_TYPES = {
    **{name: code for code, name in _NAMES.items()},
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
# Digits reserved for the number of slices while it is not known.
_Z_DIGITS = 12


class NrrdWriter:
    """Write a raw NRRD slab by slab; memory is one slab, whatever the volume.

    Parameters
    ----------
    path : Path
        Made or replaced; use a scratch of `utils.files.atomic_path` for a target that is complete or absent.
    shape : tuple
        (z, y, x); z is None where the number of slices is only known at the end.
    dtype : dtype
    voxel_size : tuple of float, optional
        nm (z, y, x). Written as the field `spacings`, which ITK reads as x, y, z, and `units` "nm".
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int | None, int, int],
        dtype: DTypeLike,
        voxel_size: tuple[float, float, float] | None = None,
    ) -> None:
        self.path = path
        self.shape = shape
        self.dtype = np.dtype(dtype).newbyteorder("<")
        self.slices = 0
        header, self._z_offset = _header(shape, self.dtype, voxel_size)
        self._file: BinaryIO = path.open("wb")
        self._file.write(header)

    def write(self, slab: np.ndarray) -> None:
        """Append slices: (n, y, x), or one of (y, x).

        Raises
        ------
        ValueError
            If their size is not the volume's or their values would not fit its dtype.
        """
        slab = slab[np.newaxis] if slab.ndim == 2 else slab
        if slab.shape[1:] != self.shape[1:]:
            raise ValueError(f"slices of {slab.shape[1:]} voxels do not fit a volume of {self.shape[1:]} (y, x)")
        if not np.can_cast(slab.dtype, self.dtype, "safe"):
            raise ValueError(f"{slab.dtype} voxels do not fit a volume of {self.dtype}")
        self._file.write(np.ascontiguousarray(slab, self.dtype).data)
        self.slices += len(slab)

    def close(self) -> None:
        """Write the number of slices where it was not known.

        Raises
        ------
        ValueError
            If there are no slices, or not as many as promised.
        """
        if self._file.closed:
            return
        with self._file:
            if self.slices == 0 or (self.shape[0] is not None and self.slices != self.shape[0]):
                raise ValueError(f"{self.slices} slices were written, expected {self.shape[0] or 'at least 1'}")
            if self.shape[0] is None:
                self._file.seek(self._z_offset)
                self._file.write(f"{self.slices:0{_Z_DIGITS}d}".encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:  # the count of what came before would hide the error that stopped it
            self._file.close()


def write_nrrd(path: Path, voxels: np.ndarray, voxel_size: tuple[float, float, float] | None = None) -> None:
    """Write an array (z, y, x) as raw NRRD with its voxel size in nm (z, y, x)."""
    if voxels.ndim != 3:
        raise ValueError(f"expected a 3D array, its shape is {voxels.shape}")
    with NrrdWriter(path, voxels.shape, voxels.dtype, voxel_size) as out:
        out.write(voxels)


def _header(
    shape: tuple[int | None, int, int], dtype: np.dtype, voxel_size: tuple[float, float, float] | None
) -> tuple[bytes, int]:
    code = f"{dtype.kind}{dtype.itemsize}"
    if code not in _NAMES:
        raise ValueError(f"NRRD has no type for {dtype}")
    z, y, x = shape
    sizes = f"{x} {y} "
    start = f"NRRD0004\ntype: {_NAMES[code]}\ndimension: 3\nsizes: {sizes}"
    lines = ["", "encoding: raw", "endian: little"]
    if voxel_size is not None:
        lines += [f"spacings: {' '.join(repr(float(s)) for s in reversed(voxel_size))}", 'units: "nm" "nm" "nm"']
    count = "0" * _Z_DIGITS if z is None else str(z)
    return (start + count + "\n".join(lines) + "\n\n").encode(), len(start)


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
        from utils.itk import open_itk

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
        unpacker: BinaryIO = gzip.GzipFile(fileobj=f) if encoding.startswith("g") else bz2.BZ2File(f)  # type: ignore
        with unpacker:
            data = bytearray(unpacker.read())
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
