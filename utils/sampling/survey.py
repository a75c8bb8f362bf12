"""Which boxes of a volume are specimen, seen on an overview of it."""

import math
from collections.abc import Sequence

import numpy as np

from utils.sampling.rois import Boxes, Roi, Span, Triple, not_padding

# Voxels that an overview's sample of intensities holds at most.
SAMPLE = 1 << 20
# Steps between no and all specimen that a box's share is kept in.
LEVELS = 50_000


class Survey:
    """Looks at an overview plane by plane: which boxes are specimen enough, and which intensities it has.

    Parameters
    ----------
    spans_zyx : tuple of lists
        The boxes' spans, from `grid`.
    ratio : tuple of float
        Voxels of the boxes' level per overview voxel, z, y, x.
    shape : tuple of int
        Of the overview.
    padding : float
        The value that is no specimen; NaN allowed.
    """

    def __init__(self, spans_zyx: Sequence[list[Span]], ratio: Sequence[float], shape: Triple, padding: float) -> None:
        self.spans, self.shape, self.padding = spans_zyx, shape, padding
        self._z, self._y, self._x = (_scaled(s, r, n) for s, r, n in zip(spans_zyx, ratio, shape, strict=True))
        # Counts of the layers of boxes that the current plane belongs to; earlier layers are done with.
        self._open: dict[int, np.ndarray] = {}
        self._done: dict[int, np.ndarray] = {}
        self._sample: list[np.ndarray] = []
        self._places: list[dict[Span, int]] | None = None

    def add(self, z: int, plane: np.ndarray) -> None:
        """Take plane `z` of the overview, of shape (y, x), into account; planes come in order."""
        specimen = not_padding(plane, self.padding)
        layers = [i for i, (first, stop) in enumerate(self._z) if first <= z < stop]
        if layers:
            sums = _box_sums(specimen, self._y, self._x)
            for layer in layers:
                self._open[layer] = self._open[layer] + sums if layer in self._open else sums
        for layer in [i for i in self._open if z == self._z[i][1] - 1]:
            self._done[layer] = self._fractions(layer)
        values = plane[specimen]
        quota = max(1, SAMPLE // self.shape[0])
        self._sample.append(values[:: max(1, -(-values.size // quota))].copy())  # a view would keep the plane

    def _fractions(self, layer: int) -> np.ndarray:
        """Share of specimen in the boxes of a finished layer, in steps of 1 / LEVELS."""
        z, y, x = ([stop - first for first, stop in spans] for spans in ([self._z[layer]], self._y, self._x))
        share = self._open.pop(layer) / (z[0] * np.outer(y, x))
        return np.floor(share * LEVELS + 1e-6).astype(np.uint16)

    def candidates(self, min_frac: float) -> Boxes:
        """Boxes of which at least `min_frac` is specimen, in the order of the grid."""
        least = math.ceil(min_frac * LEVELS - 1e-6)
        size = len(self.spans[1]) * len(self.spans[2])
        kind = np.int32 if len(Boxes(self.spans)) < 2**31 else np.int64
        found = [(np.flatnonzero(self._done[i] >= least) + i * size).astype(kind) for i in sorted(self._done)]
        return Boxes(self.spans, np.concatenate(found) if found else np.empty(0, kind))

    def share(self, roi: Roi) -> float:
        """Share of specimen in one box of the grid."""
        if self._places is None:
            self._places = [{span: i for i, span in enumerate(spans)} for spans in self.spans]
        z, y, x = (places[span] for places, span in zip(self._places, roi, strict=True))
        return float(self._done[z][y, x]) / LEVELS

    def sample(self) -> np.ndarray:
        """Intensities of the specimen, spread over the overview."""
        return np.concatenate(self._sample) if self._sample else np.empty(0)


def _scaled(sides: list[Span], ratio: float, length: int) -> list[Span]:
    """Spans in overview voxels, at least one long."""
    scaled = []
    for first, stop in sides:
        low = min(round(first / ratio), length - 1)
        scaled.append((low, min(max(low + 1, round(stop / ratio)), length)))
    return scaled


def _box_sums(mask: np.ndarray, y: list[Span], x: list[Span]) -> np.ndarray:
    table = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), np.int64)
    np.cumsum(np.cumsum(mask, axis=0, dtype=np.int64), axis=1, out=table[1:, 1:])
    y0, y1 = np.array(y, int).reshape(-1, 2).T
    x0, x1 = np.array(x, int).reshape(-1, 2).T
    return table[np.ix_(y1, x1)] - table[np.ix_(y0, x1)] - table[np.ix_(y1, x0)] + table[np.ix_(y0, x0)]
