"""MRC, written slab by slab with the header of another MRC file, true statistics and IMOD's mark."""

from pathlib import Path

import numpy as np

from utils.formats.mrc import HEADER_BYTES, IMOD_STAMP, SIGNED_BYTES, MrcHeader, byte_order, mark_order
from utils.formats.slab_writer import SlabWriter

_MODES = {"i1": 0, "u1": 0, "i2": 1, "f4": 2, "u2": 6, "f2": 12}


class MrcWriter(SlabWriter):
    """Write an MRC file slab by slab; see `SlabWriter`.

    Parameters
    ----------
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
        self._whole = bytearray(template.fields.tobytes())
        self._fields = np.frombuffer(self._whole, template.fields.dtype, count=1).reshape(())
        super().__init__(path, shape, dtype.newbyteorder(byte_order(self._fields)), bytes(HEADER_BYTES))
        self._describe(_MODES[code], shape[::-1], voxel_size)
        self._moments = np.zeros(3)  # number, sum and sum of squares of the finite voxels
        self._range = [np.inf, -np.inf]

    def _describe(self, mode: int, xyz: tuple[int, int, int], voxel_size: tuple[float, float, float] | None) -> None:
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
