"""Where the voxels of a volume lie in a file, by its header."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class StoredVoxels:
    """Voxels of a file, raw or packed.

    Attributes
    ----------
    path : Path
    dtype : numpy.dtype
        With its byte order.
    shape : tuple of int
        As stored.
    start : int
        Where the data, or what is to be skipped before it, begins.
    skip : int
        Bytes to skip, of packed data once it is unpacked.
    lines : int
        Lines of text to skip before the data.
    """

    path: Path
    dtype: np.dtype
    shape: tuple[int, ...]
    start: int = 0
    skip: int = 0
    lines: int = 0

    @property
    def nbytes(self) -> int:
        """Size of the voxels."""
        return math.prod(int(n) for n in self.shape) * self.dtype.itemsize

    def refuse_no_data(self) -> None:
        """Refuse a header that promises no voxels, or names a data file that is not there.

        Raises
        ------
        ValueError, FileNotFoundError
            With the shape, or the file's name.
        """
        if min(self.shape) < 1:
            raise ValueError(f"the header promises the shape {self.shape}: nothing to read")
        if not self.path.exists():
            raise FileNotFoundError(f"the data file {self.path.name} that the header names is missing")
