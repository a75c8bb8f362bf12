"""NIfTI-1, NIfTI-2 and Analyze: read by region when plain, decoded once when packed.

The formats: https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h and nifti2.h
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from utils.files import stem, suffix
from utils.formats.packed_data import PackedData, encoding_of, open_unpacked
from utils.formats.raw_data import RawData, RawVolume
from utils.formats.volume_base import Region, Volume
from utils.formats.voxel_size import VoxelSize, checked, checked_unitless, significant
from utils.reading import reading_as

if TYPE_CHECKING:
    from nibabel import AnalyzeHeader

_UNITS = {1: "m", 3: "um"}  # 2, mm, is what ITK writes without being asked
_LONGEST_HEADER = 540


@dataclass(frozen=True)
class NiftiHeader:
    """What is needed of a header: the stored array, where it begins, its scaling and voxel size."""

    dtype: np.dtype
    shape: tuple[int, ...]
    start: int
    scaling: tuple[float, float] | None
    voxel_size: VoxelSize


class _Scaled(Volume):
    """Voxels times slope plus intercept, as float32."""

    def __init__(self, stored: Volume, slope: float, intercept: float) -> None:
        super().__init__(stored.name, stored.shape, np.dtype(np.float32), stored.header_size)
        self.streams = stored.streams
        self._stored, self._slope, self._intercept = stored, slope, intercept

    def _read(self, box: Region) -> np.ndarray:
        return self._stored._read(box).astype(np.float64) * self._slope + self._intercept

    def close(self) -> None:
        self._stored.close()


def open_nifti(path: Path) -> Volume:
    """Open .nii, .nii.gz, or a .hdr/.img pair by either file."""
    header_path, data_path = _pair(path)
    with open_unpacked(header_path) as f, reading_as("NIfTI"):
        header = parse_header(f.read(_LONGEST_HEADER), single=header_path == data_path)
    where = (data_path, header.dtype, header.shape)
    volume: Volume
    if encoding := encoding_of(data_path):
        packed = PackedData(*where, skip=header.start, encoding=encoding, kind="NIfTI")
        volume = packed.volume(stem(path), header.voxel_size)
    else:
        volume = RawVolume(stem(path), RawData(*where, header.start), header.voxel_size)
    return volume if header.scaling is None else _Scaled(volume, *header.scaling)


def parse_header(head: bytes, *, single: bool) -> NiftiHeader:
    """Parse a NIfTI-1, NIfTI-2 or Analyze 7.5 header; `single` when the voxels follow in the same file.

    Raises
    ------
    ValueError
        If it is none of them, or does not hold one 3D image.
    """
    fields = _fields(head)
    try:
        dtype = fields.get_data_dtype()
    except KeyError:
        raise ValueError(f"holds voxels of the unknown NIfTI type {int(fields['datatype'])}") from None
    colours, dtype = (len(dtype.names), np.dtype(np.uint8)) if dtype.names else (0, dtype)
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise ValueError(f"holds voxels of type {dtype}: only integers and real numbers are images")
    count = int(fields["dim"][0])
    sizes = [int(n) for n in fields["dim"][1 : count + 1]]
    if any(n > 1 for n in sizes[3:]):
        warnings.warn(f"holds {int(np.prod(sizes[3:]))} volumes: the first was taken", stacklevel=2)
    if min(sizes[:3]) < 1 or min(sizes) < 0:
        raise ValueError(f"its header promises the sizes {sizes}: nothing to read")
    shape = tuple(reversed([*sizes, 1, 1][:3])) + ((colours,) if colours else ())
    slope, intercept = (float(fields[name]) if name in fields else 0.0 for name in ("scl_slope", "scl_inter"))
    scaled = np.isfinite([slope, intercept]).all() and slope != 0 and (slope, intercept) != (1, 0)
    start = int(fields["vox_offset"]) if np.isfinite(fields["vox_offset"]) else 0
    return NiftiHeader(
        dtype,
        shape,
        max(start, len(head[:348]) if single else 0),
        (slope, intercept) if scaled else None,
        _voxel_size(fields) if count >= 3 else VoxelSize(None, "a 2D image has no z"),
    )


def _fields(head: bytes) -> "AnalyzeHeader":
    from nibabel import AnalyzeHeader, Nifti1Header, Nifti2Header

    kind: type[AnalyzeHeader]
    for kind in (Nifti1Header, Nifti2Header, AnalyzeHeader):
        if len(head) >= kind.sizeof_hdr and kind.may_contain_header(head):
            fields = kind(head[: kind.sizeof_hdr], check=False)
            if 1 <= int(fields["dim"][0]) <= 7:
                return fields
    raise ValueError("is no NIfTI or Analyze file: its header has neither their length nor their dimensions")


def _voxel_size(fields: "AnalyzeHeader") -> VoxelSize:
    digits = 7 if fields["pixdim"].dtype.itemsize == 4 else 12
    zyx = [significant(abs(float(n)), digits) for n in fields["pixdim"][3:0:-1]]
    unit = _UNITS.get(int(fields["xyzt_units"]) & 7) if "xyzt_units" in fields else None
    return checked(zyx, unit) if unit else checked_unitless(zyx)


def _pair(path: Path) -> tuple[Path, Path]:
    end = suffix(path)
    base, packed = path.name[: -len(end)], ".gz" if end.endswith(".gz") else ""
    if not end.startswith((".hdr", ".img")):
        return path, path
    found = []
    for kind in (".hdr", ".img"):
        names = [base + kind + packed, base + kind, base + kind + ".gz"]
        there = [path.with_name(n) for n in names if path.with_name(n).is_file()]
        if not there:
            raise FileNotFoundError(f"{base + kind}, the other half of this pair, is missing")
        found.append(there[0])
    return found[0], found[1]
