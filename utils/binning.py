"""Binning: averages of blocks of voxels, slab by slab."""

from collections.abc import Iterator

import numpy as np

from utils.axes import Triple, triple
from utils.formats.volume_base import Volume

# Voxels of the source at a time.
SLAB_VOXELS = 1 << 22


def binned_shape(shape: Triple, factors: Triple) -> Triple:
    """The shape after binning by (z, y, x) factors; what is left over at the end of an axis is dropped.

    Raises
    ------
    ValueError
        If an axis is shorter than its factor.
    """
    for axis, n, factor in zip("zyx", shape, factors, strict=True):
        if n < factor:
            raise ValueError(f"has {n} voxels along {axis}, too few to bin by {factor}")
    return triple(n // factor for n, factor in zip(shape, factors, strict=True))


def binned_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype of averages: that of the voxels, only 1-bit images become gray (0 to 255)."""
    return np.dtype(np.uint8) if dtype.kind == "b" else dtype


def bin_block(block: np.ndarray, factors: Triple) -> np.ndarray:
    """Average whole blocks of voxels.

    Integers are averaged exactly and rounded to the nearest, halves up (2.5 -> 3, -2.5 -> -2); 64-bit integers and
    floats in double precision.

    Parameters
    ----------
    block : ndarray, shape (z, y, x)
    factors : tuple of int
        (z, y, x).

    Returns
    -------
    ndarray, shape (z // factors[0], y // factors[1], x // factors[2])
        Of `binned_dtype`.

    Examples
    --------
    >>> bin_block(np.array([[[1, 2, 5, 6, 9]]], np.uint8), (1, 1, 2))
    array([[[2, 6]]], dtype=uint8)
    """
    block = block.astype(np.uint8) * np.uint8(255) if block.dtype.kind == "b" else block
    exact = block.dtype.kind in "iu" and block.dtype.itemsize < 8
    shape = binned_shape(block.shape, factors)
    z, y, x = (n * factor for n, factor in zip(shape, factors, strict=True))
    total = np.zeros(shape, np.int64 if exact else np.float64)
    for dz, dy, dx in np.ndindex(*factors):
        total += block[dz : z : factors[0], dy : y : factors[1], dx : x : factors[2]]
    count = int(np.prod(factors))
    if exact:
        return ((2 * total + count) // (2 * count)).astype(block.dtype)
    mean = total / count
    return (np.rint(mean) if block.dtype.kind in "iu" else mean).astype(block.dtype)


def binned_slabs(volume: Volume, factors: Triple) -> Iterator[np.ndarray]:
    """The binned volume in order of z, a few slices at a time.

    Yields
    ------
    ndarray, shape (n, y, x)
    """
    per_slice = factors[0] * volume.shape[1] * volume.shape[2]
    depth = max(1, SLAB_VOXELS // per_slice)
    slices = binned_shape(volume.shape, factors)[0]
    for z in range(0, slices, depth):
        stop = min(z + depth, slices)
        yield bin_block(volume[z * factors[0] : stop * factors[0]], factors)
