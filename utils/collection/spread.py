"""Choosing some of many patches: evenly in space, slices apart, the same whatever else is there."""

from collections import defaultdict
from collections.abc import Hashable
from hashlib import blake2b

import numpy as np

from utils.overlap import TakenBoxes

# Blocks are halved until each patch has its own; patches of one very place are told apart by their keys.
FINEST = 20
# Depths are compared in thousandths of a nm.
PER_NM = 1000


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
        self._thickness = round(nm * PER_NM)
        self._chosen: defaultdict[Hashable, TakenBoxes] = defaultdict(TakenBoxes)

    def admit(self, plane: Hashable, box: tuple[int, int, int, int], depth: float) -> bool:
        """Whether a patch may be chosen; if so it counts for those that follow.

        A plane is a volume and an axis; a box y0, y1, x0, x1; the depth of the slice is in nm. Slices are near each
        other where slabs overlap that are as thick as the gap.
        """
        if not self._thickness:
            return True
        top, chosen = round(depth * PER_NM), self._chosen[plane]
        slab = ((top, top + self._thickness), box[:2], box[2:])
        if chosen.covers(slab):
            return False
        chosen.add(slab)
        return True
