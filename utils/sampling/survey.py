"""What is specimen, and what padding, missing chunks, one value throughout: of a cube, and of boxes on an overview."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from utils.axes import Span, Triple
from utils.sampling.rois import Boxes, Roi

# Share of voxels that may differ in a cube of one value: the percentiles of a contrast window ignore as many.
STRAY = 0.001
FEW = 1 << 12
# Voxels that an overview's sample of intensities holds, about; in bands of so many rows, so that neighbours stay beside
# each other: hot pixels are told by them.
SAMPLE, BAND = 1 << 20, 8
# Steps between no and all specimen that a box's share is kept in.
LEVELS = 50_000


class PaddingError(ValueError):
    """A cube holds (nearly) nothing but padding, or one value throughout."""


def not_padding(values: np.ndarray, padding: float) -> np.ndarray:
    """Where an image differs from its padding value; NaN is never specimen.

    Parameters
    ----------
    values : ndarray, any shape
    padding : float

    Returns
    -------
    ndarray of bool, same shape
    """
    # A float would make numpy compare in float64, which is slow for bytes.
    differs = values != (int(padding) if float(padding).is_integer() else padding)
    return np.asarray(differs & ~np.isnan(values) if values.dtype.kind == "f" else differs)


def refuse_flat(gray: np.ndarray) -> None:
    """Refuse a cube of one value, hot pixels and the like aside.

    Parameters
    ----------
    gray : ndarray of uint8, shape (z, y, x)

    Raises
    ------
    PaddingError
        If it is one.
    """
    # numpy counts bytes in eight times their memory: the commonest value of a few tells which to look for.
    few = gray.reshape(-1)[:: -(-gray.size // FEW)]
    value = int(np.bincount(few).argmax())
    held = sum(int(np.count_nonzero(plane == value)) for plane in gray)
    if gray.size - held <= STRAY * gray.size:
        share = "every voxel" if held == gray.size else f"{held / gray.size:.2%} of the voxels"
        raise PaddingError(f"{share} is {value} of 255: nothing was written")


def specimen_share(voxels: np.ndarray, fills: Iterable[float], min_frac: float = 0.0) -> tuple[float, str]:
    """The share of a cube's voxels that are none of its fill values, and why the cube counts as padding, if it does.

    Parameters
    ----------
    voxels : ndarray, shape (z, y, x)
    fills : iterable of float
    min_frac : float
        The least share that does not.
    """
    least = 1.0
    for fill in fills:
        found = sum(int(np.count_nonzero(not_padding(plane, fill))) for plane in voxels)
        least = min(least, found / voxels.size)
        if found == 0:
            return least, f"every voxel is {fill:g} (padding, or chunks that are missing): nothing was written"
        if found < min_frac * voxels.size:
            return least, f"only {found / voxels.size:.0%} is not padding ({fill:g}): nothing was written"
    return least, ""


class Survey:
    """Looks at an overview plane by plane: which boxes are specimen enough, and which intensities it has."""

    def __init__(
        self,
        spans_zyx: Sequence[list[Span]],  # the boxes', from `grid`
        ratio: Sequence[float],  # voxels of the boxes' level per overview voxel, z, y, x
        shape: Triple,  # of the overview
        padding: float,  # the value that is no specimen; NaN allowed
        level: int | None = None,  # of the overview, where it is one of an image's
    ) -> None:
        self.spans, self.shape, self.padding, self.level = spans_zyx, shape, padding, level
        self._z, self._y, self._x = (_scaled(s, r, n) for s, r, n in zip(spans_zyx, ratio, shape, strict=True))
        # Counts of the layers of boxes that the current plane belongs to; earlier layers are done with.
        self._open: dict[int, np.ndarray] = {}
        self._done: dict[int, np.ndarray] = {}
        self._bands: list[np.ndarray] = []
        self._quota = 0  # voxels that the sample may still take
        self._places = [{span: i for i, span in enumerate(spans)} for spans in spans_zyx]

    def add(self, z: int, plane: np.ndarray, pixels: np.ndarray | None = None) -> None:
        """Take plane `z` of the overview into account; planes come in order.

        Parameters
        ----------
        z : int
        plane : ndarray, shape (y, x)
        pixels : ndarray, shape (h, w), optional
            All pixels of the plane, where the overview's are some of them.
        """
        specimen = not_padding(plane, self.padding)
        layers = [i for i, (first, stop) in enumerate(self._z) if first <= z < stop]
        if layers:
            sums = _box_sums(specimen, self._y, self._x)
            for layer in layers:
                self._open[layer] = self._open[layer] + sums if layer in self._open else sums
        for layer in [i for i in self._open if z == self._z[i][1] - 1]:
            self._done[layer] = self._fractions(layer)
        if pixels is not None:
            plane, specimen = pixels, not_padding(pixels, self.padding)
        self._take(plane, specimen)

    def _take(self, plane: np.ndarray, specimen: np.ndarray) -> None:
        """Put bands of a plane's rows into the sample, where the specimen is; it gets at least one of the first."""
        rows, height = len(plane), min(BAND, len(plane))
        band = height * plane.shape[1]
        self._quota += max(1, SAMPLE // self.shape[0]) if self._bands else max(band, SAMPLE // self.shape[0])
        sums = np.cumsum(specimen.sum(axis=1))
        count = min(self._quota // band, -(-rows // height)) if sums[-1] else 0
        for middle in (np.arange(count) + 0.5) / max(1, count) * sums[-1]:
            first = int(np.searchsorted(sums, middle)) - height // 2
            first = min(max(0, first), rows - height)
            self._bands.append(plane[first : first + height].copy())  # a view would keep the plane
        self._quota -= count * band

    def _fractions(self, layer: int) -> np.ndarray:
        """Share of specimen in the boxes of a finished layer, in steps of 1 / LEVELS."""
        z, y, x = ([stop - first for first, stop in spans] for spans in ([self._z[layer]], self._y, self._x))
        share = self._open.pop(layer) / (z[0] * np.outer(y, x))
        return np.asarray(np.floor(share * LEVELS + 1e-6), np.uint16)

    def candidates(self, min_frac: float) -> Boxes:
        """Boxes of which at least `min_frac` is specimen, in the order of the grid."""
        least = math.ceil(min_frac * LEVELS - 1e-6)
        size = len(self.spans[1]) * len(self.spans[2])
        kind = np.int32 if len(Boxes(self.spans)) < 2**31 else np.int64
        found = [(np.flatnonzero(self._done[i] >= least) + i * size).astype(kind) for i in sorted(self._done)]
        return Boxes(self.spans, np.concatenate(found) if found else np.empty(0, kind))

    def share(self, roi: Roi) -> float:
        """Share of specimen in one box of the grid."""
        z, y, x = (places[span] for places, span in zip(self._places, roi, strict=True))
        return float(self._done[z][y, x]) / LEVELS

    def sample(self) -> np.ndarray:
        """Bands of rows with specimen, spread over the overview; padding lies among it.

        Returns
        -------
        ndarray, shape (n, rows, columns)
        """
        return np.stack(self._bands) if self._bands else np.empty((0, 0, 0))


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
    return np.asarray(table[np.ix_(y1, x1)] - table[np.ix_(y0, x1)] - table[np.ix_(y1, x0)] + table[np.ix_(y0, x0)])
