"""Volumes written slab by slab: as NRRD, and as MRC with the header of another MRC file and IMOD's mark.

NRRD: https://teem.sourceforge.net/nrrd/format.html
"""

from abc import abstractmethod
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import DTypeLike

from utils.axes import Lengths, Triple
from utils.formats.mrc import HEADER_BYTES, IMOD_STAMP, SIGNED_BYTES, MrcHeader, byte_order, mark_order

TYPE_NAMES = {
    "i1": "int8", "u1": "uint8", "i2": "int16", "u2": "uint16", "i4": "int32", "u4": "uint32",
    "i8": "int64", "u8": "uint64", "f4": "float", "f8": "double",
}  # fmt: skip
# Digits reserved for the number of slices while it is not known.
_Z_UNKNOWN = b"0" * 12
# Of MRC, by the code of a dtype.
_MODES = {"i1": 0, "u1": 0, "i2": 1, "f4": 2, "u2": 6, "f2": 12}


class SlabWriter(AbstractContextManager["SlabWriter"]):
    """Writes (z, y, x) slabs behind a header that is completed at the end; memory is one slab, whatever the volume.

    The file is made or replaced: use a scratch of `utils.files.atomic_path` for a target that is complete or absent. Of
    the shape z is None where the number of slices is only known at the end; the header is as long as the complete one.
    """

    def __init__(self, path: Path, shape: tuple[int | None, int, int], dtype: np.dtype, header: bytes) -> None:
        self.shape, self.dtype = shape, dtype
        self.slices = 0
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
            If their size is not the volume's, or their values would not fit its dtype.
        """
        slab = slab[np.newaxis] if slab.ndim == 2 else slab
        if slab.shape[1:] != self.shape[1:]:
            raise ValueError(f"slices of {slab.shape[1:]} voxels do not fit a volume of {self.shape[1:]} (y, x)")
        self._look_at(slab)
        self._file.write(np.ascontiguousarray(slab, self.dtype).data)
        self.slices += len(slab)

    @abstractmethod
    def _look_at(self, slab: np.ndarray) -> None:
        """Check slices before they are written, and learn what the header says of them."""

    @abstractmethod
    def _complete_header(self) -> None:
        """Write what is only known at the end."""

    def close(self) -> None:
        """Complete the header.

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
            self._complete_header()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:  # the count of what came before would hide the error that stopped it
            self._file.close()


class NrrdWriter(SlabWriter):
    """Write a raw NRRD slab by slab; see `SlabWriter`.

    The voxel size, z, y, x in nm, becomes the field `spacings`, which ITK reads as x, y, z, and `units` "nm".
    """

    def __init__(
        self, path: Path, shape: tuple[int | None, int, int], dtype: DTypeLike, voxel_size: Lengths | None = None
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


def write_nrrd(path: Path, voxels: np.ndarray, voxel_size: Lengths | None = None) -> None:
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


def nrrd_header(shape: tuple[int | None, int, int], dtype: DTypeLike, voxel_size: Lengths | None = None) -> bytes:
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


class MrcWriter(SlabWriter):
    """Write an MRC file of 8 or 16-bit integers, half or single floats slab by slab; see `SlabWriter`.

    Labels, origin and byte order are the template's, not its extended header, which has one entry per old section.
    Where the voxel size, z, y, x in nm, is missing, the template's cell stays as it is.
    """

    def __init__(
        self, path: Path, shape: Triple, dtype: np.dtype, template: MrcHeader, voxel_size: Lengths | None
    ) -> None:
        code = f"{dtype.kind}{dtype.itemsize}"
        if code not in _MODES:
            raise ValueError(f"MRC has no mode for {dtype} voxels")
        self._whole = bytearray(template.fields.tobytes())
        self._fields = np.frombuffer(self._whole, template.fields.dtype, count=1).reshape(())
        super().__init__(path, shape, dtype.newbyteorder(byte_order(self._fields)), bytes(HEADER_BYTES))
        self._describe(_MODES[code], shape[::-1], voxel_size)
        self._moments = np.zeros(3)  # number, sum and sum of squares of the finite voxels
        self._range = [np.inf, -np.inf]

    def _describe(self, mode: int, xyz: Triple, voxel_size: Lengths | None) -> None:
        fields = self._fields
        fields["size"] = fields["grid"] = xyz
        fields["mode"], fields["axes"], fields["start"], fields["extended"] = mode, (1, 2, 3), 0, 0
        fields["stamp"], fields["flags"] = IMOD_STAMP, SIGNED_BYTES if self.dtype == np.int8 else 0
        mark_order(fields)
        if voxel_size is not None:
            fields["cell"] = [10 * side * n for side, n in zip(voxel_size[::-1], xyz, strict=True)]

    def _look_at(self, slab: np.ndarray) -> None:
        values = slab[np.isfinite(slab)].astype(np.float64)
        self._moments += values.size, values.sum(), np.square(values).sum()
        self._range = [values.min(initial=self._range[0]), values.max(initial=self._range[1])]

    def _complete_header(self) -> None:
        fields, (count, total, squares) = self._fields, self._moments
        if count == 0:  # the standard's way to say that there is nothing to tell
            fields["min"], fields["max"], fields["mean"], fields["rms"] = 0, -1, -2, -1
        else:
            mean = total / count
            fields["min"], fields["max"], fields["mean"] = *self._range, mean
            fields["rms"] = np.sqrt(max(squares / count - mean * mean, 0.0))
        self._file.seek(0)
        self._file.write(self._whole)
