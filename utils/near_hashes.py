"""Which hashes lie near any of others: compared with all, or with those that nearly agree in a piece of their bits.

They are compared as whole arrays. The one kind stands on shelves by the value of a piece, a few side by side; the other
looks at all shelves whose value is near to its own. What found no room is looked for in turn among those that looked.
"""

from dataclasses import dataclass

import numpy as np

from utils.hash_pieces import FOUND, LOOK, Piece, bits_apart, pieces_of

# Pairs compared at a time, hashes that look at a time, at as many shelves as make so many looks: scratch arrays stay in
# a core's cache. So many hashes stand side by side, found by one look.
PAIRS = 1 << 15
ASKING, LOOKS, SIDE = 1 << 12, 1 << 14, 4
# So many pairs are worth sorting hashes; and so often may what is beyond look in turn: of crowds it is for ever more.
WORTH = 1 << 25
ROUNDS = 16


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
    if len(hashes) * len(others) <= WORTH:
        return _near_any_of_all(hashes, others, distance)
    near = np.zeros(len(hashes) + 1, bool)  # the last is for all of the others
    both, bits = bits_apart(np.concatenate([hashes, others]))
    hashes, others = both[: len(hashes)], both[len(hashes) :]
    pieces = pieces_of(bits, distance, max(len(hashes), len(others)).bit_length())
    for done, piece in enumerate(pieces):
        left = np.flatnonzero(~near[:-1])
        mine = _ByValue.of(hashes[left], left, piece)
        theirs = _ByValue.of(others, np.full(len(others), len(hashes)), piece)
        few, many = sorted((mine, theirs), key=lambda kind: len(kind.rows))
        share = piece.cost / sum(other.cost for other in pieces[done:])
        if not _look(few, many, piece, distance, near, len(left) * len(others) * share):
            near[left] = _near_any_of_all(hashes[left], others, distance)
            break
    return near[:-1]


def _near_any_of_all(hashes: np.ndarray, others: np.ndarray, distance: int) -> np.ndarray:
    near = np.zeros(len(hashes), bool)
    theirs = np.ascontiguousarray(others.T)[:, :, np.newaxis]
    for start in range(0, len(hashes), PAIRS):
        mine = np.ascontiguousarray(hashes[start : start + PAIRS].T)
        step = PAIRS // mine.shape[1]
        distances = _Distances(len(mine), (step, mine.shape[1]))
        for first in range(0, len(others), step):
            closest = distances.between(mine, theirs[:, first : first + step]).min(axis=0)
            near[start : start + PAIRS] |= closest <= distance
    return near


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
class _ByValue:
    """Hashes, (words, n), in the order of their piece's values, (n,), and the rows to mark where one is near."""

    hashes: np.ndarray
    values: np.ndarray
    rows: np.ndarray

    @classmethod
    def of(cls, hashes: np.ndarray, rows: np.ndarray, piece: Piece) -> "_ByValue":
        values = piece.values(hashes)
        order = np.argsort(values.astype(np.uint16 if piece.width <= 16 else np.uint32), kind="stable")
        return cls(np.ascontiguousarray(hashes[order].T), values[order], rows[order])

    def __getitem__(self, some: slice | np.ndarray) -> "_ByValue":
        return _ByValue(self.hashes[:, some], self.values[some], self.rows[some])


def _look(few: _ByValue, many: _ByValue, piece: Piece, distance: int, near: np.ndarray, most: float) -> bool:
    """Mark those of either kind that are near to one of the other whose piece differs by one of the differences.

    Returns
    -------
    bool
        False if that costs more than to compare so many pairs simply, `most`: not all are marked then.
    """
    asking, standing = few, many
    for _ in range(ROUNDS):
        if len(asking.rows) * len(standing.rows) <= PAIRS:
            met = np.nonzero(hamming(asking.hashes.T[:, np.newaxis], standing.hashes.T) <= distance)
            near[asking.rows[met[0]]] = near[standing.rows[met[1]]] = True
            return True
        askers, counts = (np.bincount(kind.values, minlength=1 << piece.width) for kind in (asking, standing))
        depth, cost = _depth(askers, counts, len(piece.differences))
        if cost > most:
            break
        place = np.arange(len(standing.rows)) - (np.cumsum(counts) - counts)[standing.values]
        side = min(depth, SIDE)
        for first in range(0, min(depth, int(counts.max())), side):
            held = np.flatnonzero((place >= first) & (place < first + side))
            _Shelves(standing[held], place[held] - first, side, piece).mark(asking, distance, near)
        asking, standing = standing[place >= depth], asking
    return False


def _depth(askers: np.ndarray, counts: np.ndarray, differences: int) -> tuple[int, float]:
    """How many of each value to shelve so that it costs least, what is beyond looking in turn; and the cost."""
    in_turn = LOOK + FOUND * np.maximum(askers, SIDE)

    def cost(depth: int) -> float:
        looks = askers.sum() * (LOOK + FOUND * depth) + in_turn @ np.maximum(counts - depth, 0)
        return float(differences * looks + (depth + counts.max() / depth) * (len(counts) + counts.sum()))

    depth = 1
    while depth < counts.max() and cost(2 * depth) < cost(depth):
        depth *= 2
    return depth, cost(depth)


class _Shelves:
    """A few hashes of each value side by side; where there are fewer, the first of all: to be near to it means as much.

    A shelf has `side` places; `place`, (n,), is that of each on its shelf.
    """

    def __init__(self, standing: _ByValue, place: np.ndarray, side: int, piece: Piece) -> None:
        self.side, self.differences = side, piece.differences
        at = standing.values * side + place
        hashes = np.empty((len(standing.hashes), side << piece.width), np.uint64)
        hashes[:] = standing.hashes[:, :1]
        hashes[:, at] = standing.hashes
        self.hashes = hashes.reshape(len(hashes), -1, side)
        self.rows = np.full(side << piece.width, standing.rows[0])
        self.rows[at] = standing.rows

    def mark(self, asking: _ByValue, distance: int, near: np.ndarray) -> None:
        """Mark who asks and is near to what stands on a shelf that is a difference away, and that, too."""
        for start in range(0, len(asking.rows), ASKING):
            some = asking[start : start + ASKING]
            count = len(some.rows)
            mine = np.repeat(some.hashes, self.side, axis=1).reshape(-1, count, self.side)
            step = LOOKS // count
            distances = _Distances(len(mine), (step, count, self.side))
            for first in range(0, len(self.differences), step):
                shelves = some.values ^ self.differences[first : first + step, np.newaxis]
                met = np.flatnonzero(distances.between(mine, self.hashes, shelves) <= distance)
                look, place = np.divmod(met, self.side)
                near[some.rows[look % count]] = True
                near[self.rows[shelves.reshape(-1)[look] * self.side + place]] = True
