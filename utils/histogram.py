"""Histogram: how often every exact value occurs, and the percentiles that follow from it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

# Enough values that about a thousand lie beyond each thousandth.
SAMPLE = 1 << 20
# Short integers counted at a time: the indices that they become stay in a core's cache.
COUNTED = 1 << 17


@dataclass(frozen=True, eq=False)
class Histogram:
    """Distinct values, ascending, and how often each occurs."""

    values: np.ndarray  # float64, shape (n,)
    counts: np.ndarray  # int64, shape (n,)

    @classmethod
    def of(cls, values: np.ndarray) -> "Histogram":
        """Count finite values: all of short integers, of others a fixed random sample.

        Parameters
        ----------
        values : ndarray, any shape
        """
        if values.dtype.kind == "b":
            values = values.view(np.uint8)
        if values.dtype.kind in "iu" and values.dtype.itemsize <= 2:
            return cls._of_short_integers(values.ravel())
        if values.size > SAMPLE:
            values = values.ravel()[np.random.default_rng(0).integers(0, values.size, SAMPLE)]
        distinct, counts = np.unique(values, return_counts=True)
        return cls(distinct.astype(np.float64), counts.astype(np.int64))

    @classmethod
    def _of_short_integers(cls, values: np.ndarray) -> "Histogram":
        counts = np.zeros(1 << 8 * values.dtype.itemsize, np.int64)
        for part in parts(values.size, COUNTED):
            counts += np.bincount(as_unsigned(values[part]), minlength=counts.size)
        present = np.flatnonzero(counts)
        distinct = values_of_unsigned(values.dtype)[present]
        order = np.argsort(distinct)
        return cls(distinct[order].astype(np.float64), counts[present[order]])

    @cached_property
    def ends(self) -> np.ndarray:
        """Number of values up to and including each distinct one, shape (n,)."""
        return np.cumsum(self.counts)

    @property
    def total(self) -> int:
        """Number of values."""
        return int(self.counts.sum())

    def __len__(self) -> int:
        return len(self.values)

    def percentile(self, share: float) -> float:
        """``numpy.percentile`` of the values, by linear interpolation."""
        rank = (self.total - 1) * share / 100
        below, above = self.values[np.searchsorted(self.ends, [np.floor(rank), np.ceil(rank)], side="right")]
        part = rank % 1
        # Not below + (above - below) * part: the difference of two large floats may overflow.
        return float(below) if below == above else float(below * (1 - part) + above * part)

    def chosen(self, which: np.ndarray) -> "Histogram":
        """The histogram of some of the distinct values, chosen by a mask or by indices.

        Parameters
        ----------
        which : ndarray of bool, shape (n,), or of int, shape (k,)
        """
        return Histogram(self.values[which], self.counts[which])

    def within(self, low: float, high: float) -> "Histogram":
        """The histogram of the values from `low` to `high`, both included."""
        return self.chosen((self.values >= low) & (self.values <= high))


def as_unsigned(values: np.ndarray) -> np.ndarray:
    """Integers of this machine's byte order, whose bits are read as numbers from 0 up: indices of a table.

    Parameters
    ----------
    values : ndarray of int, any shape

    Returns
    -------
    ndarray of unsigned int, same shape
    """
    native = values.astype(values.dtype.newbyteorder("="), copy=False)
    return np.ascontiguousarray(native).view(f"u{native.dtype.itemsize}")


def values_of_unsigned(dtype: np.dtype) -> np.ndarray:
    """Every value of a type of short integers, in the order of what `as_unsigned` makes of them.

    Returns
    -------
    ndarray, shape (256,) or (65536,)
    """
    native = dtype.newbyteorder("=")
    return np.arange(1 << 8 * native.itemsize).astype(f"u{native.itemsize}").view(native)


def parts(size: int, step: int) -> Iterator[slice]:
    """Slices that cut a length into steps."""
    return (slice(start, start + step) for start in range(0, size, step))
