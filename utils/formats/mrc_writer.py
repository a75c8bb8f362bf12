"""MRC, written slab by slab with the header of another MRC file, true statistics and IMOD's mark."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from utils.formats.mrc import HEADER_BYTES, IMOD_STAMP, SIGNED_BYTES, MrcHeader

_MODES = {"i1": 0, "u1": 0, "i2": 1, "f4": 2, "u2": 6, "f2": 12}


class MrcWriter(AbstractContextManager["MrcWriter"]):
    """Write (z, y, x) slabs; memory is one slab.

    Parameters
    ----------
    path : Path
    shape : tuple of int
        (z, y, x).
    dtype : dtype
        One that MRC has: 8 or 16-bit integers, half or single floats.
    template : MrcHeader
        Labels, origin and byte order come from it; its extended header, one entry per old section, does not.
    voxel_size : tuple of float, optional
        nm (z, y, x); where it is missing the template's cell stays as it is.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int, int],
        dtype: np.dtype,
        template: MrcHeader,
        voxel_size: tuple[float, float, float] | None,
    ) -> None:
        code = f"{dtype.kind}{dtype.itemsize}"
        if code not in _MODES:
            raise ValueError(f"MRC has no mode for {dtype} voxels")
        self.shape = shape
        self.slices = 0
        self._whole = bytearray(template.fields.tobytes())
        self._fields = np.frombuffer(self._whole, template.fields.dtype, count=1).reshape(())
        self._dtype = dtype.newbyteorder("<" if self._fields["mode"].dtype.str[0] == "<" else ">")
        self._describe(_MODES[code], voxel_size)
        self._moments = np.zeros(3)  # number, sum and sum of squares of the finite voxels
        self._range = [np.inf, -np.inf]
        self._file: BinaryIO = path.open("wb")
        self._file.write(bytes(HEADER_BYTES))

    def _describe(self, mode: int, voxel_size: tuple[float, float, float] | None) -> None:
        fields, xyz = self._fields, self.shape[::-1]
        fields["size"] = fields["grid"] = xyz
        fields["mode"], fields["axes"], fields["start"], fields["extended"] = mode, (1, 2, 3), 0, 0
        fields["stamp"], fields["flags"] = IMOD_STAMP, SIGNED_BYTES if self._dtype == np.int8 else 0
        fields["map"] = np.frombuffer(b"MAP ", np.uint8)
        fields["machine"] = (0x44, 0x44, 0, 0) if fields["mode"].dtype.str[0] == "<" else (0x11, 0x11, 0, 0)
        if voxel_size is not None:
            fields["cell"] = [10 * side * n for side, n in zip(voxel_size[::-1], xyz, strict=True)]

    def write(self, slab: np.ndarray) -> None:
        """Append slices.

        Parameters
        ----------
        slab : ndarray, shape (n, y, x)

        Raises
        ------
        ValueError
            If their size is not the volume's.
        """
        if slab.shape[1:] != self.shape[1:]:
            raise ValueError(f"slices of {slab.shape[1:]} voxels do not fit a volume of {self.shape[1:]} (y, x)")
        values = slab[np.isfinite(slab)].astype(np.float64)
        self._moments += values.size, values.sum(), np.square(values).sum()
        self._range = [values.min(initial=self._range[0]), values.max(initial=self._range[1])]
        self._file.write(np.ascontiguousarray(slab, self._dtype).data)
        self.slices += len(slab)

    def close(self) -> None:
        """Write the header with its statistics.

        Raises
        ------
        ValueError
            If there are not as many slices as promised.
        """
        if self._file.closed:
            return
        with self._file:
            if self.slices != self.shape[0]:
                raise ValueError(f"{self.slices} slices were written, expected {self.shape[0]}")
            self._describe_voxels()
            self._file.seek(0)
            self._file.write(self._whole)

    def _describe_voxels(self) -> None:
        fields, (count, total, squares) = self._fields, self._moments
        if count == 0:  # the standard's way to say that there is nothing to tell
            fields["min"], fields["max"], fields["mean"], fields["rms"] = 0, -1, -2, -1
            return
        mean = total / count
        fields["min"], fields["max"], fields["mean"] = *self._range, mean
        fields["rms"] = np.sqrt(max(squares / count - mean * mean, 0.0))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()
