"""Which boxes of a large volume are worth cropping, and a seeded choice among them."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

Span = tuple[int, int]
Triple = tuple[int, int, int]

# Voxels that an overview's sample of intensities holds at most.
SAMPLE = 1 << 20
# Steps between no and all specimen that a box's share is kept in.
LEVELS = 50_000


class Roi(NamedTuple):
    """A box of a volume: (first, past the last) along z, y and x."""

    z: Span
    y: Span
    x: Span

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """For indexing a volume."""
        return slice(*self.z), slice(*self.y), slice(*self.x)

    @property
    def voxels(self) -> int:
        """How many voxels the box holds."""
        return (self.z[1] - self.z[0]) * (self.y[1] - self.y[0]) * (self.x[1] - self.x[0])

    def overlaps(self, other: "Roi") -> bool:
        """Whether two boxes share a voxel."""
        return all(a[0] < b[1] and b[0] < a[1] for a, b in zip(self, other, strict=True))


def spans(length: int, crop: int, chunk: int = 1) -> list[Span]:
    """Where cubes lie along one axis: none straddles more chunks than its size forces it to.

    Cubes larger than a chunk begin at every so many whole chunks; smaller ones are packed into each chunk. A short one
    at the end counts when it is at least half a cube.

    >>> spans(300, 128, 64), spans(100, 24, 64), spans(180, 128, 64)
    ([(0, 128), (128, 256)], [(0, 24), (24, 48), (64, 88), (88, 100)], [(0, 128)])
    """
    if crop >= chunk:
        starts = list(range(0, length, -(-crop // chunk) * chunk))
    else:
        starts = [c + k * crop for c in range(0, length, chunk) for k in range(chunk // crop)]
    return [(s, min(s + crop, length)) for s in starts if 2 * (min(s + crop, length) - s) >= crop]


def grid(shape: Triple, crop: int, chunk: Triple = (1, 1, 1)) -> tuple[list[Span], list[Span], list[Span]]:
    """Spans along z, y and x; every combination is a box."""
    z, y, x = (spans(n, crop, min(c, n)) for n, c in zip(shape, chunk, strict=True))
    return z, y, x


def downsampling(length: int, coarse: int) -> float:
    """Voxels per overview voxel along an axis: the whole factor that explains both lengths, else their ratio.

    >>> downsampling(171, 42), downsampling(100, 40)
    (4.0, 2.5)
    """
    factor = max(1, round(length / coarse))
    return float(factor) if coarse in (length // factor, -(-length // factor)) else length / coarse


class Boxes(Sequence[Roi]):
    """Boxes of a grid, made when they are looked at: a petabyte has millions of them.

    Parameters
    ----------
    spans_zyx : tuple of lists
        From `grid`.
    chosen : ndarray of int, optional
        Places in the grid, counted in C order; all of them by default.
    """

    def __init__(self, spans_zyx: Sequence[list[Span]], chosen: np.ndarray | None = None) -> None:
        self.spans, self.chosen = spans_zyx, chosen
        self._counts = [len(spans) for spans in spans_zyx]

    def __len__(self) -> int:
        return math.prod(self._counts) if self.chosen is None else len(self.chosen)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        place = index if self.chosen is None else int(self.chosen[index])
        rest, x = divmod(place, self._counts[2])
        z, y = divmod(rest, self._counts[1])
        return Roi(self.spans[0][z], self.spans[1][y], self.spans[2][x])


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

    def sample(self) -> np.ndarray:
        """Intensities of the specimen, spread over the overview."""
        return np.concatenate(self._sample) if self._sample else np.empty(0)


def not_padding(values: np.ndarray, padding: float) -> np.ndarray:
    """Where an image differs from its padding value; NaN is never specimen."""
    # A float would make numpy compare in float64, which is slow for bytes.
    differs = values != (int(padding) if float(padding).is_integer() else padding)
    return differs & ~np.isnan(values) if values.dtype.kind == "f" else differs


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


def shuffled(rois: Sequence[Roi], seed: int) -> Iterator[Roi]:
    """Yield the boxes in the random order of a seed, the same on every machine.

    Fisher and Yates' shuffle, which remembers only what it has moved: the first boxes of millions cost no more than
    those of a few.
    """
    rng = np.random.default_rng(seed)
    moved: dict[int, int] = {}
    for first in range(len(rois)):
        drawn = int(rng.integers(first, len(rois)))
        yield rois[moved.get(drawn, drawn)]
        moved[drawn] = moved.pop(first, first)


def within(order: Iterable[Roi], budget: float, kept: Sequence[Roi] = ()) -> list[Roi]:
    """The boxes that fit into `budget` bytes of uint8: those `kept`, then as many as fit from the front of `order`.

    A larger budget gives the same boxes and more, because the choice stops at the first that does not fit.
    """
    chosen = list(kept)
    total = sum(roi.voxels for roi in kept)
    for roi in order:
        if any(roi.overlaps(other) for other in kept):
            continue
        total += roi.voxels
        if total > budget:
            break
        chosen.append(roi)
    return chosen
