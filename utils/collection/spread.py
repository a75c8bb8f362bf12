"""Choosing some of many patches: evenly in space, slices apart, the same whatever else is there."""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np

# Blocks are halved until each patch has its own; patches of one very place are told apart by their keys.
FINEST = 20


def key_of(seed: int, name: str) -> int:
    """A number of 64 bits that a name keeps whatever is added to the collection: the random choice of a seed."""
    return int.from_bytes(blake2b(f"{seed}\0{name}".encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def spread_order(points: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """An order of points in space of which every beginning is spread evenly: blocks of the space in turn.

    First one point of all, then one of every eighth of the space that has none yet, then one of every eighth of these,
    and so on; within a block, and among the blocks of a size, the smallest key goes first.

    Parameters
    ----------
    points : ndarray, shape (n, 3)
    keys : ndarray, shape (n,) uint64

    Returns
    -------
    ndarray, shape (n,) int
        Indices of the points.
    """
    count = len(points)
    by_key = np.argsort(keys, kind="stable")
    if not count:
        return by_key
    size = float(np.ptp(points, axis=0).max()) * (1 + 1e-9)
    unit = (points - points.min(axis=0)) / size if size else np.zeros_like(points, float)
    level_of = np.full(count, FINEST)
    for level in range(FINEST):
        cells = np.floor(unit * 2**level).astype(np.int64)
        # A point chosen before stands for its block: it comes first among those of its block.
        ranked = by_key[np.argsort(level_of[by_key], kind="stable")]
        z, y, x = cells[ranked].T
        _, first = np.unique((z << 42) | (y << 21) | x, return_index=True)
        chosen = ranked[first]
        level_of[chosen] = np.minimum(level_of[chosen], level)
        if level_of.max() < FINEST:
            break
    return by_key[np.argsort(level_of[by_key], kind="stable")]


class Gaps:
    """Tells whether a slice is at least so many nm from the chosen ones that show the same place; 0: no rule."""

    def __init__(self, nm: float) -> None:
        self.nm = nm
        self._chosen: defaultdict[tuple[Any, ...], list[tuple[float, tuple[int, int, int, int]]]] = defaultdict(list)

    def admit(self, plane: tuple[Any, ...], box: tuple[int, int, int, int], depth: float) -> bool:
        """Whether a patch may be chosen; if so it counts for those that follow.

        A plane is a volume and an axis; a box y0, y1, x0, x1; the depth of the slice is in nm.
        """
        if not self.nm:
            return True
        cells = _cells(box)
        if any(self._is_near(self._chosen[(*plane, cell)], box, depth) for cell in cells):
            return False
        for cell in cells:
            insort(self._chosen[(*plane, cell)], (depth, box))
        return True

    def _is_near(
        self, chosen: Sequence[tuple[float, tuple[int, int, int, int]]], box: tuple[Any, ...], depth: float
    ) -> bool:
        at = bisect_left(chosen, (depth - self.nm, (0, 0, 0, 0)))
        while at < len(chosen) and chosen[at][0] < depth + self.nm:
            if chosen[at][0] > depth - self.nm and _overlap(chosen[at][1], box):
                return True
            at += 1
        return False


def _cells(box: tuple[int, int, int, int], side: int = 256) -> list[tuple[int, int]]:
    y0, y1, x0, x1 = box
    rows, columns = range(y0 // side, (y1 - 1) // side + 1), range(x0 // side, (x1 - 1) // side + 1)
    return [(row, column) for row in rows for column in columns]


def _overlap(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]
