"""An inverted file: codes sorted into cells, so that a probe meets only those of the cells nearest to it."""

from collections.abc import Iterator
from functools import cache

import numpy as np

from utils.duplicates.embedding import KEPT, SIZE, codes_of, lengths

# Cells are twice the square root of the codes, in steps of 4, so that they stay the same while a collection grows.
DENSITY = 2.0
# Below this many codes one cell holds all: the search is exact.
EXACT = 16384
# Bounds the tables of distances: probes at a time when cells are chosen, products at a time within a cell.
CHUNK = 2048
PRODUCTS = 1 << 17


def cell_count(expected: int) -> int:
    """How many cells serve that many codes.

    >>> cell_count(10_000), cell_count(100_000), cell_count(200_000), cell_count(1_000_000)
    (1, 512, 512, 1024)
    """
    if expected <= EXACT:
        return 1
    power = int(np.ceil(np.log(expected) / np.log(4)))
    return int(DENSITY * 2 ** (power - 1))


@cache
def centres(count: int) -> np.ndarray:
    """Codes of random textures whose spectrum falls as that of images does: the same whatever the collection is.

    Returns
    -------
    ndarray of int8, shape (count, SIZE)
    """
    row, column = np.indices((KEPT, KEPT))
    fall = np.maximum(np.hypot(row, column), 1)
    return codes_of(np.random.default_rng(0).standard_normal((count, KEPT, KEPT)) / fall)


class InvertedFile:
    """Codes by cell, each with its owner's number; 76 bytes a code and the room to grow.

    As many as are `expected` decide how many cells there are. `middle`, (n, SIZE) int8, are centres where random
    textures are none. Products of codes are whole numbers below 2^24, which float32 holds exactly: every machine finds
    the same.
    """

    def __init__(self, expected: int, middle: np.ndarray | None = None) -> None:
        middle = centres(cell_count(expected)) if middle is None else middle
        self._centres = middle.astype(np.float32)
        self._scale = np.maximum(lengths(middle), 1).astype(np.float32)
        self._cells = [Cell() for _ in middle]

    def add(self, codes: np.ndarray, owners: np.ndarray) -> None:
        """Put codes into their cells; those of windows without contrast are left out.

        Parameters
        ----------
        codes : ndarray of int8, shape (n, SIZE)
        owners : ndarray of int, shape (n,)
        """
        usable = np.flatnonzero(codes.any(axis=1))
        nearest = self._nearest(codes[usable], 1)[:, 0]
        for cell, rows in by_cell(nearest, usable):
            self._cells[cell].extend(codes[rows], owners[rows])

    def pairs(self, probes: np.ndarray, least: float, *, probed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Codes whose cosine with a probe is at least `least`, by probe and then by owner.

        Parameters
        ----------
        probes : (n, SIZE) int8 array
        least : float
        probed : int
            Cells that each probe looks into.

        Returns
        -------
        probe, owner, cosine : (m,) arrays
        """
        usable = np.flatnonzero(probes.any(axis=1))
        nearest = self._nearest(probes[usable], probed)
        parts = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))]
        for cell, asking in by_cell(nearest.ravel(), np.repeat(usable, nearest.shape[1])):
            for which, owner, cosine in self._cells[cell].search(probes[asking], least):
                parts.append((asking[which], owner, cosine))
        probe, owner, cosine = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.lexsort((owner, probe))
        return probe[order], owner[order], cosine[order]

    def _nearest(self, codes: np.ndarray, count: int) -> np.ndarray:
        """The nearest cells of each code, (n, count)."""
        count = min(count, len(self._centres))
        found = np.empty((len(codes), count), np.int64)
        for start in range(0, len(codes), CHUNK):
            part = slice(start, start + CHUNK)
            found[part] = greatest(codes[part].astype(np.float32) @ self._centres.T / self._scale, count)
        return found


def greatest(values: np.ndarray, count: int) -> np.ndarray:
    """Where the greatest values of each row stand, in no order.

    Parameters
    ----------
    values : ndarray, shape (n, m)
    count : int
        At most m.

    Returns
    -------
    ndarray of int, shape (n, count)
    """
    if count == 1:
        return np.asarray(values.argmax(axis=1)[:, np.newaxis])
    if count == values.shape[1]:
        return np.broadcast_to(np.arange(count), values.shape)
    return np.asarray(np.argpartition(values, -count, axis=1)[:, -count:])


def by_cell(cells: np.ndarray, values: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Values by their cell, in order.

    Parameters
    ----------
    cells, values : ndarray of int, shape (n,)

    Yields
    ------
    cell, values : int, and ndarray of int, shape (k,)
    """
    order = np.argsort(cells, kind="stable")
    present, starts = np.unique(cells[order], return_index=True)
    if len(present):
        yield from zip(present.tolist(), np.split(values[order], starts[1:]), strict=True)


class Cell:
    """Codes with their lengths and owners, in arrays that grow by half when they are full."""

    def __init__(self) -> None:
        self.count = 0
        self._codes = np.empty((0, SIZE), np.int8)
        self._lengths = np.empty(0, np.float32)
        self._owners = np.empty(0, np.int64)

    def extend(self, codes: np.ndarray, owners: np.ndarray) -> None:
        """Add codes.

        Parameters
        ----------
        codes : ndarray of int8, shape (n, SIZE)
        owners : ndarray of int, shape (n,)
        """
        stop = self.count + len(codes)
        if stop > len(self._codes):
            room = max(stop, len(self._codes) * 3 // 2)
            self._codes, self._lengths, self._owners = (
                np.concatenate([each, np.empty((room - len(each), *each.shape[1:]), each.dtype)])
                for each in (self._codes, self._lengths, self._owners)
            )
        part = slice(self.count, stop)
        self._codes[part], self._lengths[part], self._owners[part] = codes, lengths(codes), owners
        self.count = stop

    def search(
        self, probes: np.ndarray, least: float, *, either_sign: bool = False
    ) -> Iterator[tuple[np.ndarray, ...]]:
        """Codes whose cosine with a probe is at least `least`, some at a time.

        Parameters
        ----------
        probes : (n, SIZE) int8 array
        least : float
        either_sign : bool
            Also those whose cosine is at most ``-least``: inverted copies; cosines then come without their sign.

        Yields
        ------
        probe, owner, cosine : (m,) arrays
        """
        asked, size = probes.astype(np.float32), lengths(probes).astype(np.float32)
        step = max(1, PRODUCTS // len(probes))
        for start in range(0, self.count, step):
            part = slice(start, min(self.count, start + step))
            found = asked @ self._codes[part].astype(np.float32).T
            if either_sign:
                np.abs(found, out=found)
            # Lengths differ little: the shortest code lets few through that are to be looked at one by one.
            enough = found >= (least * 0.9999 * self._lengths[part].min()) * size[:, np.newaxis]
            probe, code = np.divmod(np.flatnonzero(enough), found.shape[1])
            cosine = found[probe, code] / size[probe] / self._lengths[start + code]
            near = cosine >= least
            yield probe[near], self._owners[start + code[near]], cosine[near]
