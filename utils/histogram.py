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
    """Distinct values, ascending, and how often each occurs.

    Attributes
    ----------
    values : ndarray of float64, shape (n,)
    counts : ndarray of int64, shape (n,)
    """

    values: np.ndarray
    counts: np.ndarray

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
            return cls._of_short_integers(values.reshape(-1))
        if values.size > SAMPLE:
            values = values.reshape(-1)[np.random.default_rng(0).integers(0, values.size, SAMPLE)]
        distinct, counts = np.unique(values, return_counts=True)
        return cls(distinct.astype(np.float64), counts.astype(np.int64))

    @classmethod
    def _of_short_integers(cls, values: np.ndarray) -> "Histogram":
        values = values.astype(values.dtype.newbyteorder("="), copy=False)
        unsigned = np.dtype(f"u{values.dtype.itemsize}")
        counts = np.zeros(1 << 8 * unsigned.itemsize, np.int64)
        for part in parts(values.size, COUNTED):
            counts += np.bincount(values[part].view(unsigned), minlength=counts.size)
        present = np.flatnonzero(counts)
        distinct = present.astype(unsigned).view(values.dtype)
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


def parts(size: int, step: int) -> Iterator[slice]:
    """Slices that cut a length into steps."""
    return (slice(start, start + step) for start in range(0, size, step))
