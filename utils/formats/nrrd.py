"""NRRD, written: raw voxels, slab by slab.

The format: https://teem.sourceforge.net/nrrd/format.html
"""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import DTypeLike

TYPE_NAMES = {
    "i1": "int8", "u1": "uint8", "i2": "int16", "u2": "uint16", "i4": "int32", "u4": "uint32",
    "i8": "int64", "u8": "uint64", "f4": "float", "f8": "double",
}  # fmt: skip
# Digits reserved for the number of slices while it is not known.
_Z_DIGITS = 12


class NrrdWriter(AbstractContextManager["NrrdWriter"]):
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
        """Append slices, or one.

        Parameters
        ----------
        slab : ndarray, shape (n, y, x) or (y, x)

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

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:  # the count of what came before would hide the error that stopped it
            self._file.close()


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
    sizes = f"{x} {y} "
    start = f"NRRD0004\ntype: {TYPE_NAMES[code]}\ndimension: 3\nsizes: {sizes}"
    lines = ["", "encoding: raw", "endian: little"]
    if voxel_size is not None:
        lines += [f"spacings: {' '.join(repr(float(s)) for s in reversed(voxel_size))}", 'units: "nm" "nm" "nm"']
    count = "0" * _Z_DIGITS if z is None else str(z)
    return (start + count + "\n".join(lines) + "\n\n").encode(), len(start)
