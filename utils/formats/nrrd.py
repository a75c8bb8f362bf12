"""NRRD, written: raw voxels, slab by slab.

The format: https://teem.sourceforge.net/nrrd/format.html
"""

from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from utils.formats.slab_writer import SlabWriter

TYPE_NAMES = {
    "i1": "int8", "u1": "uint8", "i2": "int16", "u2": "uint16", "i4": "int32", "u4": "uint32",
    "i8": "int64", "u8": "uint64", "f4": "float", "f8": "double",
}  # fmt: skip
# Digits reserved for the number of slices while it is not known.
_Z_DIGITS = 12


class NrrdWriter(SlabWriter):
    """Write a raw NRRD slab by slab; see `SlabWriter`.

    Parameters
    ----------
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
        stored = np.dtype(dtype).newbyteorder("<")
        header, self._z_offset = _header(shape, stored, voxel_size)
        super().__init__(path, shape, stored, header)

    def _look_at(self, slab: np.ndarray) -> None:
        if not np.can_cast(slab.dtype, self.dtype, "safe"):
            raise ValueError(f"{slab.dtype} voxels do not fit a volume of {self.dtype}")

    def _complete_header(self) -> None:
        if self.shape[0] is None:
            self._file.seek(self._z_offset)
            self._file.write(f"{self.slices:0{_Z_DIGITS}d}".encode())


def write_nrrd(path: Path, voxels: np.ndarray, voxel_size: tuple[float, float, float] | None = None) -> None:
    """Write an array as raw NRRD.

    Parameters
    ----------
    path : Path
    voxels : ndarray, shape (z, y, x)
    voxel_size : tuple of float, optional
        In nm: z, y, x.

    Raises
    ------
    ValueError
        If it is not 3D.
    """
    if voxels.ndim != 3:
        raise ValueError(f"expected a 3D array, its shape is {voxels.shape}")
    with NrrdWriter(path, voxels.shape, voxels.dtype, voxel_size) as out:
        out.write(voxels)


def nrrd_header(
    shape: tuple[int, int, int], dtype: DTypeLike, voxel_size: tuple[float, float, float] | None = None
) -> bytes:
    """The header of a raw NRRD, for writers that put the voxels in place themselves, in any order."""
    return _header(shape, np.dtype(dtype).newbyteorder("<"), voxel_size)[0]


def _header(
    shape: tuple[int | None, int, int], dtype: np.dtype, voxel_size: tuple[float, float, float] | None
) -> tuple[bytes, int]:
    code = f"{dtype.kind}{dtype.itemsize}"
    if code not in TYPE_NAMES:
        raise ValueError(f"NRRD has no type for {dtype}")
    z, y, x = shape
    start = f"NRRD0004\ntype: {TYPE_NAMES[code]}\ndimension: 3\nsizes: {x} {y} "
    lines = ["", "encoding: raw", "endian: little"]
    if voxel_size is not None:
        lines += [f"spacings: {' '.join(repr(float(s)) for s in reversed(voxel_size))}", 'units: "nm" "nm" "nm"']
    count = "0" * _Z_DIGITS if z is None else str(z)
    return (start + count + "\n".join(lines) + "\n\n").encode(), len(start)
