"""MRC to unsigned bytes: values, marks and statistics that IMOD and SimpleITK agree on; mrcfile shows them as int8."""

import math
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from utils.contrast import Contrast, to_uint8
from utils.formats.mrc import (
    HEADER_BYTES,
    IMOD_STAMP,
    SIGNED_BYTES,
    MrcHeader,
    is_marked,
    mark_order,
    parse_header,
    read_mrc_header,
)
from utils.formats.packed_data import encoding_of, open_unpacked
from utils.formats.raw_data import RawData, RawVolume
from utils.reading import reading_as
from utils.volume_samples import slabs, volume_contrast

# Voxels at a time; counting them takes eight bytes each.
_SLAB = 1 << 20
# What an unpacked file is taken to hold before it is unpacked.
LARGEST = 1 << 62


def read_header(path: Path, *, signed: bool | None = None) -> MrcHeader:
    """The header of an uncompressed MRC file whose voxels can become bytes.

    Raises
    ------
    ValueError
        If it is broken beyond repair, or holds complex numbers, 4-bit values or colours.
    """
    header = read_mrc_header(path, signed=signed)
    if len(header.shape) > 3:
        raise ValueError(f"MRC mode {header.mode} holds colours: only gray values become bytes here")
    return header


@contextmanager
def unpacked(source: Path, scratch: Path) -> Iterator[Path]:
    """Yield an MRC file's path; of a packed one (.gz, .bz2) that of a copy beside `scratch`, which goes at the end.

    Raises
    ------
    ValueError
        If it is damaged, or ends before its header says.
    """
    if not encoding_of(source):
        yield source
        return
    copy = scratch.with_name(f"{scratch.name}.unpacked")
    try:
        with reading_as("packed MRC"), open_unpacked(source) as packed, copy.open("wb") as out:
            head = packed.read(HEADER_BYTES)
            with warnings.catch_warnings(action="ignore"):  # how much there is shows when the copy is read
                header = parse_header(head, LARGEST)
            out.write(head)
            left = header.data_start + math.prod(header.shape) * header.dtype.itemsize - len(head)
            while left > 0 and (part := packed.read(min(left, _SLAB))):
                out.write(part)
                left -= len(part)
        yield copy
    finally:
        copy.unlink(missing_ok=True)


def is_unsigned(header: MrcHeader) -> bool:
    """Whether the file holds unsigned bytes already, and no reader would take them for signed.

    SimpleITK goes by a negative minimum alone, whatever IMOD's mark says.
    """
    low, high = float(header.fields["min"]), float(header.fields["max"])
    flagged = is_marked(header.fields) and bool(int(header.fields["flags"]) & SIGNED_BYTES)
    return header.mode == 0 and header.dtype == np.uint8 and not flagged and not (low < 0 and low <= high)


def write_unsigned(source: Path, target: Path, header: MrcHeader, contrast: str = "percentile") -> None:
    """Write `source` as unsigned bytes: slab by slab, everything else in the header as it was.

    Signed bytes are shifted by 128; unsigned ones stay and are only marked; wider types are scaled, once per volume, by
    a method of `utils.contrast`.
    """
    counts = np.zeros(256, np.int64)
    raw = RawData(source, header.dtype, header.shape, header.data_start)
    with RawVolume(source.stem, raw, header.voxel_size) as volume, target.open("wb") as out:
        window = None if header.mode == 0 else volume_contrast(volume, contrast)
        with source.open("rb") as f:
            head = f.read(header.data_start)
        out.write(head)
        for slab in slabs(volume, _SLAB):
            values = _unsigned(slab, window)
            counts += np.bincount(values.reshape(-1), minlength=256)
            out.write(values.data)
        out.seek(0)
        out.write(unsigned_header(head[:HEADER_BYTES], header, counts))
    shutil.copymode(source, target)


def _unsigned(slab: np.ndarray, window: Contrast | None) -> np.ndarray:
    if window is not None:
        return to_uint8(slab, window)
    return slab.view(np.uint8) ^ np.uint8(0x80) if slab.dtype == np.int8 else slab


def unsigned_header(head: bytes, header: MrcHeader, counts: np.ndarray) -> bytes:
    """The 1024 bytes of a header, made true for unsigned bytes.

    Parameters
    ----------
    head : bytes
    header : MrcHeader
        What was made of them.
    counts : ndarray, shape (256,)
        How often each value occurs.
    """
    whole = bytearray(head)
    fields = np.frombuffer(whole, header.fields.dtype, count=1).reshape(())
    flags = int(fields["flags"]) if is_marked(fields) else 0
    fields["mode"], fields["stamp"], fields["flags"] = 0, IMOD_STAMP, flags & ~SIGNED_BYTES
    fields["extended"] = header.data_start - HEADER_BYTES
    values = np.arange(256)
    mean = float(np.average(values, weights=counts))
    fields["min"], fields["max"] = np.flatnonzero(counts)[[0, -1]]
    fields["mean"] = mean
    fields["rms"] = float(np.sqrt(np.average((values - mean) ** 2, weights=counts)))
    _mend(fields, header)
    return bytes(whole)


def _mend(fields: np.ndarray, header: MrcHeader) -> None:
    """Put in what readers insist on: the MAP and machine marks, an order of axes, a grid that can be divided by."""
    mark_order(fields)
    if sorted(fields["axes"].tolist()) != [1, 2, 3]:
        fields["axes"] = (1, 2, 3)
    voxels = [header.shape[axis] for axis in header.axes][::-1]
    fields["grid"] = np.where(fields["grid"] > 0, fields["grid"], voxels)
