"""Codes that are found in any of their eight views and both polarities, by one look."""

from collections.abc import Iterator

import numpy as np

from utils.duplicates.embedding import RELATIVE_VIEWS, SIZE, VIEWS, code_views, lengths
from utils.duplicates.inverted_file import Cell, by_cell, cell_count, centres, greatest

# The centres, in whichever view, that each probe looks at; and probes at a time when they are chosen.
PROBED = 64
CHUNK = 32


class ViewFile:
    """Codes by cell, each turned as its cell's centre lies; 76 bytes a code and the room to grow.

    A probe and its turned or inverted copy have the same distances to all views of a centre, so that both find the same
    cells, and one probe does for all views. So many codes as are `expected` decide how many cells there are.
    """

    def __init__(self, expected: int) -> None:
        middle = centres(max(1, cell_count(expected) // 2))
        self._centres = (middle / np.maximum(lengths(middle), 1)[:, np.newaxis]).astype(np.float32)
        self._cells = [Cell() for _ in middle]

    def add(self, codes: np.ndarray, owners: np.ndarray) -> None:
        """Put codes into their cells; those of patches without contrast are left out.

        Parameters
        ----------
        codes : ndarray of int8, shape (n, SIZE)
        owners : ndarray of int, shape (n,)
        """
        for start in range(0, len(codes), CHUNK):
            rows = start + np.flatnonzero(codes[start : start + CHUNK].any(axis=1))
            views = code_views(codes[rows])
            view, cell = np.divmod(self._nearest(views, 1)[:, 0], len(self._cells))
            turned, marked = views[np.arange(len(rows)), view], owners[rows] * len(VIEWS) + view
            for number, places in by_cell(cell, np.arange(len(rows))):
                self._cells[number].extend(turned[places], marked[places])

    def search(self, probes: np.ndarray, least: float) -> Iterator[tuple[np.ndarray, ...]]:
        """Codes that are like a probe in any view, whatever the sign: their cosine without it is at least `least`.

        Parameters
        ----------
        probes : (n, SIZE) int8 array
        least : float

        Yields
        ------
        probe, owner, view, cosine : (m,) arrays
            `view` is that of the probe in which it is like the owner's code. A pair may come in several views.
        """
        usable = np.flatnonzero(probes.any(axis=1))
        views = code_views(probes[usable])
        nearest = self._nearest(views, min(PROBED, len(VIEWS) * len(self._cells)))
        view, cell = np.divmod(nearest, len(self._cells))
        asking = (np.arange(len(usable))[:, np.newaxis] * len(VIEWS) + view).ravel()
        for number, asked in by_cell(cell.ravel(), asking):
            for which, marked, cosine in self._cells[number].search(
                views.reshape(-1, SIZE)[asked], least, either_sign=True
            ):
                row, view = np.divmod(asked[which], len(VIEWS))
                owner, its_view = np.divmod(marked, len(VIEWS))
                yield usable[row], owner, RELATIVE_VIEWS[view, its_view], cosine

    def _nearest(self, views: np.ndarray, count: int) -> np.ndarray:
        """The nearest centres of codes in all views, either sign: (n, count), view * cells + cell."""
        found = np.empty((len(views), count), np.int64)
        for start in range(0, len(views), CHUNK):
            part = views[start : start + CHUNK].astype(np.float32)
            near = np.abs(part.reshape(-1, SIZE) @ self._centres.T)
            found[start : start + CHUNK] = greatest(near.reshape(len(part), -1), count)
        return found
