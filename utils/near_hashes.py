"""Which hashes lie near any of others: compared with all, or with those that nearly agree in a piece of their bits.

Two hashes that differ in at most d bits differ in at most d // m bits of at least one of m pieces (multi-index hashing,
Norouzi, Punjani and Fleet 2012, https://doi.org/10.1109/CVPR.2012.6248043). Where there are many, few pairs are left to
compare, and they are compared as whole arrays: the others stand in tables by the value of their piece.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np

# Pairs compared at a time, and hashes that look into a table at a time: scratch arrays stay in a core's cache, as does
# the table of a piece of at most so many bits.
PAIRS = 1 << 17
LOOKING = 1 << 14
WIDEST = 13
# There is a further table while so many values have another hash. What a pair costs there, and one that is looked up by
# itself, in pairs that are simply compared; and how many of these pay for making tables at all.
FILLED = 0.25
IN_TABLE, SINGLE = 2.0, 8.0
WORTH = 1 << 27


def hamming(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Hamming distances between packed hashes, broadcast.

    Parameters
    ----------
    first, second : ndarray of uint64, shape (..., words)

    Returns
    -------
    ndarray of uint16, shape (...,)
    """
    distances: np.ndarray = np.bitwise_count(first ^ second).sum(axis=-1, dtype=np.uint16)
    return distances


def near_any(hashes: np.ndarray, others: np.ndarray, distance: int) -> np.ndarray:
    """Which hashes lie within a Hamming distance of any of the others.

    Parameters
    ----------
    hashes, others : ndarray of uint64, shapes (n, words) and (k, words)
    distance : int

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    if len(hashes) * len(others) <= WORTH:
        return _near_any_of_all(hashes, others, distance)
    near = np.zeros(len(hashes), bool)
    pieces = _pieces(64 * hashes.shape[1], distance)
    for piece in pieces:
        left = np.flatnonzero(~near)
        tables = _Tables(hashes[left], others, piece)
        if tables.cost() > len(left) * len(others) / len(pieces):
            near[left] = _near_any_of_all(hashes[left], others, distance)
            return near
        near[left] = tables.near(distance)
    return near


def _near_any_of_all(hashes: np.ndarray, others: np.ndarray, distance: int) -> np.ndarray:
    near = np.empty(len(hashes), bool)
    step = max(1, PAIRS // hashes.shape[1])
    for start in range(0, len(hashes), step):
        part = _Closest(hashes[start : start + step])
        for other in others:
            part.meet(other)
        near[start : start + step] = part.distances <= distance
    return near


class _Closest:
    """The smallest distance of each of some hashes to those they have met; written into the same few arrays.

    Parameters
    ----------
    hashes : ndarray of uint64, shape (n, words)
    """

    def __init__(self, hashes: np.ndarray) -> None:
        self._words = np.ascontiguousarray(hashes.T)
        words, count = self._words.shape
        total = np.uint8 if words < 4 else np.uint16
        self.distances: np.ndarray = np.full(count, np.iinfo(total).max, total)
        self._apart, self._bits = np.empty(count, total), np.empty(count, np.uint8)
        self._differing = np.empty(count, np.uint64)

    def meet(self, others: np.ndarray) -> None:
        """Compare all with one hash, (words,), or each with its own, (words, n)."""
        for word, (mine, other) in enumerate(zip(self._words, others, strict=True)):
            np.bitwise_xor(mine, other, out=self._differing)
            np.bitwise_count(self._differing, out=self._bits if word else self._apart)
            if word:
                np.add(self._apart, self._bits, out=self._apart)
        np.minimum(self.distances, self._apart, out=self.distances)


@dataclass(frozen=True)
class _Piece:
    """Some of the bits of a hash, and what a near one may differ by in them, as numbers."""

    places: tuple[int, ...]
    differences: np.ndarray

    def values(self, hashes: np.ndarray) -> np.ndarray:
        """These bits of hashes, (n, words), as numbers (n,)."""
        found = np.zeros(len(hashes), np.uint64)
        for bit, place in enumerate(self.places):
            found |= (hashes[:, place // 64] >> np.uint64(place % 64) & np.uint64(1)) << np.uint64(bit)
        return found.astype(np.intp)


@cache
def _pieces(bits: int, distance: int) -> tuple[_Piece, ...]:
    """The pieces by which the fewest pairs are left to compare. Neighbouring bits, which are alike, are parted."""

    def parted(count: int) -> list[range]:
        return [range(i, bits, count)[:WIDEST] for i in range(count)]

    def share(count: int) -> float:
        return sum(
            (len(_near_zero(len(places), distance // count)) / 2 ** len(places) for places in parted(count)), 0.0
        )

    count = min(range(1, min(distance + 1, bits) + 1), key=share)
    return tuple(_Piece(tuple(places), _near_zero(len(places), distance // count)) for places in parted(count))


def _near_zero(width: int, distance: int) -> np.ndarray:
    """The numbers of so many bits that have at most so many ones."""
    numbers = np.arange(1 << width)
    return numbers[np.bitwise_count(numbers) <= distance]


class _Tables:
    """Others by the value of their piece, so many that most values are filled; and those beyond.

    Parameters
    ----------
    hashes, others : ndarray of uint64, shapes (n, words) and (k, words)
    piece : _Piece
    """

    def __init__(self, hashes: np.ndarray, others: np.ndarray, piece: _Piece) -> None:
        self.differences = piece.differences
        values, their_values = piece.values(hashes), piece.values(others)
        self.order = np.argsort(values, kind="stable")
        self.hashes, self.values = hashes[self.order], values[self.order]
        size = 1 << len(piece.places)
        self.others = others[np.argsort(their_values, kind="stable")]
        counts = np.bincount(their_values, minlength=size)
        first = np.cumsum(counts) - counts
        self.depth = int(np.sort(counts)[-int(np.ceil(FILLED * size))])
        # What stands for a hash that is not there is another of them: to lie near to that one means as much.
        rows = np.where(np.arange(self.depth)[:, None] < counts, first + np.arange(self.depth)[:, None], 0)
        self.tables = np.ascontiguousarray(np.moveaxis(self.others[rows], 2, 1))  # (depth, words, size)
        self.beyond = np.maximum(counts - self.depth, 0)
        self.first_beyond = first + self.depth
        self.counts = np.bincount(values, minlength=size)

    def cost(self) -> float:
        """What comparing costs, in pairs that are simply compared."""
        every = np.arange(len(self.counts))
        single = sum(int(self.counts[every ^ difference] @ self.beyond) for difference in self.differences)
        return IN_TABLE * len(self.hashes) * len(self.differences) * (self.depth + 1) + SINGLE * single

    def near(self, distance: int) -> np.ndarray:
        """Which hashes lie within a distance of one of the others whose piece differs by one of the differences."""
        found = [self._near_in_tables(start, distance) for start in range(0, len(self.hashes), LOOKING)]
        near = np.concatenate([np.empty(0, bool), *found])
        for rows, others in self._pairs_beyond():
            near[rows[hamming(self.hashes[rows], self.others[others]) <= distance]] = True
        in_order = np.empty_like(near)
        in_order[self.order] = near
        return in_order

    def _near_in_tables(self, start: int, distance: int) -> np.ndarray:
        part, values = _Closest(self.hashes[start : start + LOOKING]), self.values[start : start + LOOKING]
        seen = np.empty((self.hashes.shape[1], len(values)), np.uint64)
        for difference in self.differences:
            places = values ^ difference
            for table in self.tables:
                part.meet(table.take(places, axis=1, out=seen, mode="clip"))
        near: np.ndarray = part.distances <= distance
        return near

    def _pairs_beyond(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Hashes, and others beyond the tables that they must be compared with: some at a time."""
        values = np.repeat(np.arange(len(self.beyond)), self.beyond)
        others = _ranges(self.first_beyond, self.beyond)
        first = np.cumsum(self.counts) - self.counts
        for difference in self.differences:
            bucket = values ^ difference
            ends = np.cumsum(self.counts[bucket])
            cuts = (
                np.searchsorted(ends, np.arange(0, ends[-1] + PAIRS, PAIRS), side="right").tolist() if len(ends) else []
            )
            for some in (slice(*pair) for pair in pairwise(cuts)):
                counts = self.counts[bucket[some]]
                yield _ranges(first[bucket[some]], counts), np.repeat(others[some], counts)


def _ranges(first: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """So many whole numbers from each of the first on, one range after the other."""
    return np.repeat(first - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
