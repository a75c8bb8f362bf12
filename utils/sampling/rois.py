"""The boxes of a large volume that may be cropped."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, overload

import numpy as np

from utils.axes import Span, Triple, triple

Spans = tuple[list[Span], list[Span], list[Span]]
GB = 10**9
# Cubes along one side; what claims more is no image, and a list of them would fill the memory.
MOST_ALONG = 1 << 20


class Roi(NamedTuple):
    """A box of a volume: (first, past the last) along z, y and x."""

    z: Span
    y: Span
    x: Span

    @classmethod
    def of(cls, shape: Sequence[int]) -> "Roi":
        """All of a volume."""
        return cls(*((0, side) for side in shape))

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """For indexing a volume."""
        return slice(*self.z), slice(*self.y), slice(*self.x)

    @property
    def voxels(self) -> int:
        """How many voxels the box holds."""
        return (self.z[1] - self.z[0]) * (self.y[1] - self.y[0]) * (self.x[1] - self.x[0])

    def shifted(self, offsets: Triple) -> "Roi":
        """The same box in coordinates that begin `offsets` (z, y, x) voxels earlier."""
        return Roi(*((first + step, stop + step) for (first, stop), step in zip(self, offsets, strict=True)))


def is_whole(path: Path, roi: Roi) -> bool:
    """Whether the file of a box is there with all its voxels, of a byte each: others may have cut it short."""
    try:
        return path.stat().st_size > roi.voxels
    except OSError:
        return False


def spans(length: int, crop: int) -> list[Span]:
    """Where cubes lie along one axis: at the multiples of their side, so that every voxel belongs to one.

    What is left at the end is a short cube where it is at least half of one, or all there is; else the last cube is
    moved inward, and overlaps the one before it: at most one of the two is chosen. Where the cube's side is a multiple
    of the chunk's, or divides it, no cube but that one straddles more chunks than its size forces it to.

    >>> spans(300, 128), spans(180, 100), spans(50, 128)
    ([(0, 128), (128, 256), (172, 300)], [(0, 100), (100, 180)], [(0, 50)])
    """
    starts = list(range(0, length, crop))
    if length > crop and 2 * (length - starts[-1]) < crop:
        starts[-1] = length - crop
    return [(start, min(start + crop, length)) for start in starts]


def grid(shape: Triple, crop: int) -> Spans:
    """Spans along z, y and x; every combination is a box.

    Raises
    ------
    ValueError
        If a side is longer than that of any image.
    """
    if max(shape) > MOST_ALONG * crop:
        raise ValueError(f"its metadata promise {' x '.join(map(str, shape))} voxels: no image has such sides")
    return triple(spans(length, crop) for length in shape)


class Boxes(Sequence[Roi]):
    """Boxes of a grid, made when they are looked at: a petabyte has millions of them."""

    def __init__(self, spans_zyx: Sequence[list[Span]], chosen: np.ndarray | None = None) -> None:
        # Chosen are places in the grid, counted in C order, shape (n,); all of them by default.
        self.spans, self.chosen = spans_zyx, chosen
        self.counts = [len(spans) for spans in spans_zyx]

    def __len__(self) -> int:
        return math.prod(self.counts) if self.chosen is None else len(self.chosen)

    @overload
    def __getitem__(self, index: int) -> Roi: ...
    @overload
    def __getitem__(self, index: slice) -> list[Roi]: ...
    def __getitem__(self, index: int | slice) -> Roi | list[Roi]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        place = index if self.chosen is None else int(self.chosen[index])
        z, y, x = np.unravel_index(place, self.counts)
        return Roi(self.spans[0][z], self.spans[1][y], self.spans[2][x])

    @property
    def places(self) -> np.ndarray:
        """Every box's place in the grid, counted in C order, shape (n,)."""
        return np.arange(len(self)) if self.chosen is None else self.chosen
