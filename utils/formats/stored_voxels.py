"""Where the voxels of a volume lie in a file, by its header."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class StoredVoxels:
    """Voxels of a file, raw or packed."""

    path: Path
    dtype: np.dtype  # with its byte order
    shape: tuple[int, ...]  # as stored
    start: int = 0  # where the data, or what is to be skipped before it, begins
    skip: int = 0  # bytes to skip, of packed data once it is unpacked
    lines: int = 0  # lines of text to skip before the data

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
