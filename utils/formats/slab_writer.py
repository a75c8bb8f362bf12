"""Volumes written slab by slab, whatever the format."""

from abc import abstractmethod
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

import numpy as np


class SlabWriter(AbstractContextManager["SlabWriter"]):
    """Writes (z, y, x) slabs behind a header that is completed at the end; memory is one slab, whatever the volume.

    Parameters
    ----------
    path : Path
        Made or replaced; use a scratch of `utils.files.atomic_path` for a target that is complete or absent.
    shape : tuple
        (z, y, x); z is None where the number of slices is only known at the end.
    dtype : dtype
        As stored.
    header : bytes
        As long as the complete one.
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
