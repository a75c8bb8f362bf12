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
_Z_UNKNOWN = b"0" * 12


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
        header = nrrd_header(shape, dtype, voxel_size)
        self._z_offset = header.find(_Z_UNKNOWN)
        super().__init__(path, shape, np.dtype(dtype).newbyteorder("<"), header)

    def _look_at(self, slab: np.ndarray) -> None:
        if not np.can_cast(slab.dtype, self.dtype, "safe"):
            raise ValueError(f"{slab.dtype} voxels do not fit a volume of {self.dtype}")

    def _complete_header(self) -> None:
        if self.shape[0] is None:
            self._file.seek(self._z_offset)
            self._file.write(f"{self.slices:0{len(_Z_UNKNOWN)}d}".encode())


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
    shape: tuple[int | None, int, int], dtype: DTypeLike, voxel_size: tuple[float, float, float] | None = None
) -> bytes:
    """The header of a raw NRRD of little-endian voxels, for writers that put them in place themselves, in any order.

    Raises
    ------
    ValueError
        If NRRD has no such voxels.
    """
    stored = np.dtype(dtype)
    code = f"{stored.kind}{stored.itemsize}"
    if code not in TYPE_NAMES:
        raise ValueError(f"NRRD has no type for {stored}")
    z, y, x = shape
    count = _Z_UNKNOWN.decode() if z is None else z
    lines = [f"NRRD0004\ntype: {TYPE_NAMES[code]}\ndimension: 3\nsizes: {x} {y} {count}"]
    lines += ["encoding: raw", "endian: little"]
    if voxel_size is not None:
        lines += [f"spacings: {' '.join(repr(float(s)) for s in reversed(voxel_size))}", 'units: "nm" "nm" "nm"']
    return "\n".join([*lines, "", ""]).encode()
