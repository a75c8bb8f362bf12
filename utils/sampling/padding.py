"""What shows specimen and what does not: padding, missing chunks, one value throughout."""

from collections.abc import Iterable

import numpy as np

# Share of voxels that may differ in a cube of one value: the percentiles of a contrast window ignore as many.
STRAY = 0.001
FEW = 1 << 12


class PaddingError(ValueError):
    """A cube holds (nearly) nothing but padding, or one value throughout."""


def not_padding(values: np.ndarray, padding: float) -> np.ndarray:
    """Where an image differs from its padding value; NaN is never specimen.

    Parameters
    ----------
    values : ndarray, any shape
    padding : float

    Returns
    -------
    ndarray of bool, same shape
    """
    # A float would make numpy compare in float64, which is slow for bytes.
    differs = values != (int(padding) if float(padding).is_integer() else padding)
    specimen: np.ndarray = differs & ~np.isnan(values) if values.dtype.kind == "f" else differs
    return specimen


def refuse_flat(gray: np.ndarray) -> None:
    """Refuse a cube of one value, hot pixels and the like aside.

    Parameters
    ----------
    gray : ndarray of uint8, shape (z, y, x)

    Raises
    ------
    PaddingError
        If it is one.
    """
    # numpy counts bytes in eight times their memory: the commonest value of a few tells which to look for.
    few = gray.reshape(-1)[:: -(-gray.size // FEW)]
    value = int(np.bincount(few).argmax())
    held = sum(int(np.count_nonzero(plane == value)) for plane in gray)
    if gray.size - held <= STRAY * gray.size:
        share = "every voxel" if held == gray.size else f"{held / gray.size:.2%} of the voxels"
        raise PaddingError(f"{share} is {value} of 255: nothing was written")


def specimen_share(voxels: np.ndarray, fills: Iterable[float], min_frac: float = 0.0) -> tuple[float, str]:
    """The share of a cube's voxels that are none of its fill values, and why the cube counts as padding, if it does.

    Parameters
    ----------
    voxels : ndarray, shape (z, y, x)
    fills : iterable of float
    min_frac : float
        The least share that does not.
    """
    least = 1.0
    for fill in fills:
        found = sum(int(np.count_nonzero(not_padding(plane, fill))) for plane in voxels)
        least = min(least, found / voxels.size)
        if found == 0:
            return least, f"every voxel is {fill:g} (padding, or chunks that are missing): nothing was written"
        if found < min_frac * voxels.size:
            return least, f"only {found / voxels.size:.0%} is not padding ({fill:g}): nothing was written"
    return least, ""
