"""An inverted file: codes sorted into cells, so that a probe meets only those of the cells nearest to it."""

from collections.abc import Iterator
from functools import cache

import numpy as np

from utils.duplicates.embedding import KEPT, SIZE, codes_of, lengths

# Cells are twice the square root of the codes, in steps of 4, so that they stay the same while a collection grows.
DENSITY = 2.0
PROBED = 16
# Below this many codes one cell holds all: the search is exact.
EXACT = 16384
# Bounds the tables of distances: probes at a time when cells are chosen, products at a time within a cell.
CHUNK = 2048
PRODUCTS = 1 << 22


def cell_count(expected: int) -> int:
    """How many cells serve that many codes.

    >>> cell_count(10_000), cell_count(100_000), cell_count(200_000), cell_count(1_000_000)
    (1, 512, 512, 2048)
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
    """Codes by cell, each with its owner's number; 68 bytes a code and the room to grow.

    Parameters
    ----------
    expected : int
        How many codes there will be.
    middle : (n, SIZE) int8 array, optional
        Centres of the cells, where random textures are none.

    Notes
    -----
    Products of codes are whole numbers below 2^24, which float32 holds exactly: every machine finds the same.
    """

    def __init__(self, expected: int, middle: np.ndarray | None = None) -> None:
        middle = centres(cell_count(expected)) if middle is None else middle
        self._centres = middle.astype(np.float32)
        self._scale = np.maximum(lengths(middle), 1).astype(np.float32)
        self._cells = [_Cell() for _ in middle]

    def __len__(self) -> int:
        return sum(cell.count for cell in self._cells)

    def add(self, codes: np.ndarray, owners: np.ndarray) -> None:
        """Put codes into their cells; those of windows without contrast are left out.

        Parameters
        ----------
        codes : ndarray of int8, shape (n, SIZE)
        owners : ndarray of int, shape (n,)
        """
        usable = np.flatnonzero(codes.any(axis=1))
        if not len(usable):
            return
        nearest = self._nearest(codes[usable], 1)[:, 0]
        order = np.argsort(nearest, kind="stable")
        present, starts = np.unique(nearest[order], return_index=True)
        for cell, rows in zip(present.tolist(), np.split(usable[order], starts[1:]), strict=True):
            self._cells[cell].extend(codes[rows], owners[rows])

    def search(
        self, probes: np.ndarray, least: float, *, either_sign: bool, probed: int = PROBED
    ) -> Iterator[tuple[np.ndarray, ...]]:
        """Codes whose cosine with a probe is at least `least`, cell by cell.

        Parameters
        ----------
        probes : (n, SIZE) int8 array
        least : float
        either_sign : bool
            Also those whose cosine is at most ``-least``: inverted copies.
        probed : int
            Cells that each probe looks into.

        Yields
        ------
        probe, owner, cosine : (m,) arrays
        """
        scale = lengths(probes).astype(np.float32)
        for number, asking in self._visits(probes, either_sign, probed):
            cell = self._cells[number]
            step = max(1, PRODUCTS // len(asking))
            asked, size = probes[asking].astype(np.float32), scale[asking, np.newaxis]
            for start in range(0, cell.count, step):
                codes = cell.codes[start : min(cell.count, start + step)].astype(np.float32)
                found = asked @ codes.T
                found /= size
                found /= np.sqrt(np.einsum("ij,ij->i", codes, codes))
                places = np.flatnonzero((np.abs(found) if either_sign else found) >= least)
                probe, code = np.divmod(places, found.shape[1])
                yield asking[probe], cell.owners[start + code], found.ravel()[places]

    def _visits(self, probes: np.ndarray, either_sign: bool, probed: int) -> Iterator[tuple[int, np.ndarray]]:
        """The cells that are looked into, each with the probes that ask there."""
        usable = np.flatnonzero(probes.any(axis=1))
        if not len(usable):
            return
        signs = (1, -1) if either_sign else (1,)
        nearest = np.concatenate([self._nearest(sign * probes[usable], probed) for sign in signs], axis=1)
        pairs = np.unique(nearest * len(probes) + usable[:, np.newaxis])
        cells, asking = np.divmod(pairs, len(probes))
        present, starts = np.unique(cells, return_index=True)
        for cell, askers in zip(present.tolist(), np.split(asking, starts[1:]), strict=True):
            if self._cells[cell].count:
                yield cell, askers

    def _nearest(self, codes: np.ndarray, count: int) -> np.ndarray:
        """The nearest cells of each code, (n, count)."""
        count = min(count, len(self._centres))
        if len(self._centres) == 1:
            return np.zeros((len(codes), 1), np.int64)
        found = np.empty((len(codes), count), np.int64)
        for start in range(0, len(codes), CHUNK):
            part = slice(start, start + CHUNK)
            far = -(codes[part].astype(np.float32) @ self._centres.T) / self._scale
            found[part] = np.argpartition(far, count - 1, axis=1)[:, :count] if count > 1 else far.argmin(1)[:, None]
        return found


class _Cell:
    """Arrays that grow by half when they are full."""

    def __init__(self) -> None:
        self.count = 0
        self.codes = np.empty((0, SIZE), np.int8)
        self.owners = np.empty(0, np.int64)

    def extend(self, codes: np.ndarray, owners: np.ndarray) -> None:
        stop = self.count + len(codes)
        if stop > len(self.codes):
            room = max(stop, len(self.codes) * 3 // 2)
            self.codes = np.concatenate([self.codes, np.empty((room - len(self.codes), SIZE), np.int8)])
            self.owners = np.concatenate([self.owners, np.empty(room - len(self.owners), np.int64)])
        self.codes[self.count : stop], self.owners[self.count : stop] = codes, owners
        self.count = stop
