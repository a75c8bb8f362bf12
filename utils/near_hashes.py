"""Which hashes lie near each other: all are compared, or those that nearly agree in a piece of their bits.

They are compared as whole arrays. Of two kinds, or of one with itself, the one stands on shelves by the value of a
piece, a few side by side; the other looks at all shelves whose value is near to its own. What found no room is looked
for in turn among those that looked.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from utils.hash_pieces import FOUND, LOOK, Piece, bits_apart, pieces_of

# Pairs compared at a time, hashes that look at a time, at as many shelves as make so many looks: scratch arrays stay in
# a core's cache. So many hashes stand side by side, found by one look.
PAIRS = 1 << 15
ASKING, LOOKS, SIDE = 1 << 12, 1 << 14, 4
# So many comparisons are worth sorting a hash; and so often may what is beyond look in turn: of crowds it is for ever
# more.
WORTH = 2000
ROUNDS = 16
# Hashes of one kind that are compared at a time with those that follow.
ROWS = 1 << 8

# What is told of pairs that are near: the rows of either, (n,) and (n,).
Tell = Callable[[np.ndarray, np.ndarray], None]


def hamming(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Hamming distances between packed hashes, broadcast.

    Parameters
    ----------
    first, second : ndarray of uint64, shape (..., words)

    Returns
    -------
    ndarray of uint16, shape (...,)
    """
    return np.asarray(np.bitwise_count(first ^ second).sum(axis=-1, dtype=np.uint16))


def near_any(hashes: np.ndarray, others: np.ndarray, distance: int) -> np.ndarray:
    """Which hashes lie within a Hamming distance of any of the others.

    Scratch arrays take some 200 bytes per 64-bit hash of the larger kind.

    Parameters
    ----------
    hashes, others : ndarray of uint64, shapes (n, words) and (k, words)
    distance : int

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    count = len(hashes)
    near = np.zeros(count + len(others), bool)

    def tell(rows: np.ndarray, met: np.ndarray) -> None:
        near[rows] = near[met] = True

    if count * len(others) <= WORTH * (count + len(others)):
        _compare_all(_Some.of(hashes), _Some.of(others, count), distance, tell)
        return near[:count]
    both, bits = bits_apart(np.concatenate([hashes, others]))
    pieces = pieces_of(bits, distance, max(count, len(others)).bit_length())
    mine, theirs = _Some.of(both[:count]), _Some.of(both[count:], count)
    for done, piece in enumerate(pieces):
        left = mine[~near[:count]]
        few, many = sorted((left, theirs), key=lambda some: len(some.rows))
        share = piece.cost / sum(other.cost for other in pieces[done:])
        most = len(few.rows) * len(many.rows) * share
        if not _look(_ByValue.sorted(few, piece), _ByValue.sorted(many, piece), piece, distance, tell, most):
            _compare_all(left, theirs, distance, tell)
            break
    return near[:count]


def near_pairs(hashes: np.ndarray, distance: int, most: int) -> np.ndarray | None:
    """The pairs of hashes that lie within a Hamming distance of each other, if they are not too many.

    Parameters
    ----------
    hashes : ndarray of uint64, shape (n, words)
    distance : int
    most : int
        So many may be found, one in several pieces counted as often.

    Returns
    -------
    ndarray of intp, shape (pairs, 2), or None
        In order, of each the smaller index first. None if they are more, or it costs more than to compare all.
    """
    count, found = len(hashes), [np.empty(0, np.intp)]

    def tell(rows: np.ndarray, met: np.ndarray) -> None:
        nonlocal most
        most -= len(rows)
        if most >= 0:
            found.append(np.minimum(rows, met) * count + np.maximum(rows, met))

    if count <= 2 * WORTH:
        every = _Some.of(hashes)
        for start in range(0, count, ROWS):
            _compare_all(every[start : start + ROWS], every[start:], distance, tell)
    else:
        parted, bits = bits_apart(hashes)
        every, pieces = _Some.of(parted), pieces_of(bits, distance, count.bit_length())
        for piece in pieces:
            kind = _ByValue.sorted(every, piece)
            share = piece.cost / sum(other.cost for other in pieces)
            if most < 0 or not _look(kind, kind, piece, distance, tell, count**2 * share):
                return None
    pairs = np.stack(np.divmod(np.sort(np.concatenate(found)), count), axis=1)
    return pairs[pairs[:, 0] < pairs[:, 1]] if most >= 0 else None


@dataclass(frozen=True)
class _Some:
    """Hashes, (words, n), and their rows, (n,)."""

    hashes: np.ndarray
    rows: np.ndarray

    @classmethod
    def of(cls, hashes: np.ndarray, first: int = 0) -> "_Some":
        return cls(np.ascontiguousarray(hashes.T), np.arange(first, first + len(hashes)))

    def __getitem__(self, some: slice | np.ndarray) -> "_Some":
        return _Some(self.hashes[:, some], self.rows[some])


def _compare_all(some: _Some, others: _Some, distance: int, tell: Tell) -> None:
    """Tell which of the one are near to which of the others."""
    few, many = sorted((some, others), key=lambda kind: len(kind.rows))
    for start in range(0, len(many.rows), PAIRS):
        part = many[start : start + PAIRS]
        count = len(part.rows)
        step = min(PAIRS // count, len(few.rows))
        distances = _Distances(len(part.hashes), (step, count))
        for first in range(0, len(few.rows), step or 1):
            theirs = few.hashes[:, first : first + step, np.newaxis]
            met = np.flatnonzero(distances.between(part.hashes, theirs) <= distance)
            if len(met):
                other, own = np.divmod(met, count)
                tell(part.rows[own], few.rows[first + other])


class _Distances:
    """Hamming distances, written into the same few arrays of a shape."""

    def __init__(self, words: int, shape: tuple[int, ...]) -> None:
        self._differing, self._bits = np.empty(shape, np.uint64), np.empty(shape, np.uint8)
        self._total = np.empty(shape, np.uint8 if words < 4 else np.uint16)

    def between(self, mine: np.ndarray, others: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Broadcast, words along the first axis; of the others only some rows, if they are given."""
        count = others.shape[1] if rows is None else len(rows)
        differing, bits, total = self._differing[:count], self._bits[:count], self._total[:count]
        for word, (own, other) in enumerate(zip(mine, others, strict=True)):
            if rows is None:
                np.bitwise_xor(own, other, out=differing)
            else:
                np.bitwise_xor(own, other.take(rows, axis=0, out=differing, mode="clip"), out=differing)
            np.bitwise_count(differing, out=bits if word else total)
            if word:
                np.add(total, bits, out=total)
        return total


@dataclass(frozen=True)
class _ByValue(_Some):
    """Some in the order of their piece's values, (n,)."""

    values: np.ndarray

    @classmethod
    def sorted(cls, some: _Some, piece: Piece) -> "_ByValue":
        values = piece.values(some.hashes.T)
        order = np.argsort(values.astype(np.uint16 if piece.width <= 16 else np.uint32), kind="stable")
        return cls(some.hashes[:, order], some.rows[order], values[order])

    def __getitem__(self, some: slice | np.ndarray) -> "_ByValue":
        return _ByValue(self.hashes[:, some], self.rows[some], self.values[some])

    def each_pair_once(self, piece: Piece) -> Iterator[tuple["_ByValue", np.ndarray]]:
        """Who looks, and at which differences: of two that differ the one without the highest bit in which they do."""
        yield self, piece.differences[:1]
        bounds = np.searchsorted(piece.differences, 1 << np.arange(piece.width + 1))
        for bit, (first, stop) in enumerate(pairwise(bounds)):
            yield self[self.values >> bit & 1 == 0], piece.differences[first:stop]


def _look(few: _ByValue, many: _ByValue, piece: Piece, distance: int, tell: Tell, most: float) -> bool:
    """Tell which of the few are near to which of the many, whose piece differs by one of the differences.

    Few and many may be the same.

    Returns
    -------
    bool
        False if that costs more than to compare so many pairs simply, `most`: not all is told then.
    """
    asking, standing = few, many
    for _ in range(ROUNDS):
        if len(asking.rows) * len(standing.rows) <= PAIRS:
            _compare_all(asking, standing, distance, tell)
            return True
        askers, counts = (np.bincount(kind.values, minlength=1 << piece.width) for kind in (asking, standing))
        depth, cost = _depth(askers, counts, len(piece.differences))
        if cost > most:
            break
        place = np.arange(len(standing.rows)) - (np.cumsum(counts) - counts)[standing.values]
        side = min(depth, SIDE)
        for first in range(0, min(depth, int(counts.max())), side):
            held = np.flatnonzero((place >= first) & (place < first + side))
            shelves = _Shelves(standing[held], place[held] - first, side, piece.width)
            looks = asking.each_pair_once(piece) if asking is standing else [(asking, piece.differences)]
            for some, differences in looks:
                shelves.look(some, differences, distance, tell)
        asking, standing = standing[place >= depth], asking
    return False


def _depth(askers: np.ndarray, counts: np.ndarray, differences: int) -> tuple[int, float]:
    """How many of each value to shelve so that it costs least, what is beyond looking in turn; and the cost."""
    in_turn = LOOK + FOUND * np.maximum(askers, SIDE)

    def cost(depth: int) -> float:
        # No dot product: BLAS would wake a thread for each core, which then waits busily for longer than this takes.
        looks = askers.sum() * (LOOK + FOUND * depth) + (in_turn * np.maximum(counts - depth, 0)).sum()
        return float(differences * looks + (depth + counts.max() / depth) * (len(counts) + counts.sum()))

    depth = 1
    while depth < counts.max() and cost(2 * depth) < cost(depth):
        depth *= 2
    return depth, cost(depth)


class _Shelves:
    """A few hashes of each value side by side; where there are fewer, the first of all: to be near to it means as much.

    A shelf has `side` places; `place`, (n,), is that of each on its shelf.
    """

    def __init__(self, standing: _ByValue, place: np.ndarray, side: int, width: int) -> None:
        self.side = side
        at = standing.values * side + place
        hashes = np.empty((len(standing.hashes), side << width), np.uint64)
        hashes[:] = standing.hashes[:, :1]
        hashes[:, at] = standing.hashes
        self.hashes = hashes.reshape(len(hashes), -1, side)
        self.rows = np.full(side << width, standing.rows[0])
        self.rows[at] = standing.rows

    def look(self, asking: _ByValue, differences: np.ndarray, distance: int, tell: Tell) -> None:
        """Tell who asks and is near to what stands on a shelf that is a difference away, and that."""
        for start in range(0, len(asking.rows), ASKING):
            some = asking[start : start + ASKING]
            count = len(some.rows)
            mine = np.repeat(some.hashes, self.side, axis=1).reshape(-1, count, self.side)
            step = min(LOOKS // count, len(differences))
            distances = _Distances(len(mine), (step, count, self.side))
            for first in range(0, len(differences), step or 1):
                shelves = some.values ^ differences[first : first + step, np.newaxis]
                met = np.flatnonzero(distances.between(mine, self.hashes, shelves) <= distance)
                if len(met):
                    look, place = np.divmod(met, self.side)
                    tell(some.rows[look % count], self.rows[shelves.reshape(-1)[look] * self.side + place])
