"""Which boxes of a large volume are worth cropping, and a seeded choice among them."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

Span = tuple[int, int]
Triple = tuple[int, int, int]

# Voxels that an overview's sample of intensities holds at most.
SAMPLE = 1 << 20


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


class Survey:
    """Looks at an overview plane by plane: how much of each box is specimen, and which intensities it has.

    Parameters
    ----------
    spans_zyx : tuple of lists
        The boxes' spans, from `grid`.
    ratio : tuple of float
        Voxels of the boxes' level per overview voxel, z, y, x.
    depth : int
        Planes of the overview.
    padding : float
        The value that is no specimen; NaN allowed.
    """

    def __init__(self, spans_zyx: Sequence[list[Span]], ratio: Sequence[float], depth: int, padding: float) -> None:
        self.spans = spans_zyx
        self.ratio = ratio
        self.depth = depth
        self.padding = padding
        self._count = np.zeros([len(s) for s in spans_zyx], np.int64)
        self._total = np.zeros_like(self._count)
        self._sample: list[np.ndarray] = []

    def add(self, z: int, plane: np.ndarray) -> None:
        """Take plane `z` of the overview, of shape (y, x), into account."""
        specimen = not_padding(plane, self.padding)
        layers = [i for i, (a, b) in enumerate(_scaled(self.spans[0], self.ratio[0], self.depth)) if a <= z < b]
        if layers:
            y, x = (_scaled(self.spans[i], self.ratio[i], plane.shape[i - 1]) for i in (1, 2))
            self._count[layers] += _box_sums(specimen, y, x)
            self._total[layers] += np.outer([b - a for a, b in y], [b - a for a, b in x])
        values = plane[specimen]
        quota = max(1, SAMPLE // self.depth)
        self._sample.append(values[:: max(1, -(-values.size // quota))].copy())  # a view would keep the plane

    def fractions(self) -> np.ndarray:
        """Share of specimen in every box, shape (boxes along z, y, x)."""
        return self._count / np.maximum(self._total, 1)

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


def candidates(spans_zyx: Sequence[list[Span]], fractions: np.ndarray, min_frac: float) -> list[Roi]:
    """Boxes of which at least `min_frac` is specimen, in the order of the grid."""
    z, y, x = spans_zyx
    return [Roi(z[i], y[j], x[k]) for i, j, k in np.argwhere(fractions >= min_frac - 1e-9).tolist()]


def all_boxes(spans_zyx: Sequence[list[Span]]) -> list[Roi]:
    """Every box of a grid."""
    return candidates(spans_zyx, np.ones([len(s) for s in spans_zyx]), 0.0)


def shuffled(rois: Sequence[Roi], seed: int) -> list[Roi]:
    """The boxes in the random order of a seed: the same on every machine."""
    return [rois[i] for i in np.random.default_rng(seed).permutation(len(rois))]


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
