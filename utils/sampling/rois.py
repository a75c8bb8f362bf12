"""The boxes of a large volume that may be cropped: their grid, a seeded choice among them, as many as fit."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from utils.axes import Span, TakenBoxes, Triple, triple

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


class Boxes:
    """Boxes of a grid, made when they are looked at: a petabyte has millions of them."""

    def __init__(self, spans_zyx: Sequence[list[Span]], chosen: np.ndarray | None = None) -> None:
        # Chosen are places in the grid, counted in C order, shape (n,); all of them by default.
        self.spans, self.chosen = spans_zyx, chosen
        self.counts = [len(spans) for spans in spans_zyx]

    def __len__(self) -> int:
        return math.prod(self.counts) if self.chosen is None else len(self.chosen)

    def __getitem__(self, index: int) -> Roi:
        if not 0 <= index < len(self):
            raise IndexError(index)
        place = index if self.chosen is None else int(self.chosen[index])
        z, y, x = np.unravel_index(place, self.counts)
        return Roi(self.spans[0][z], self.spans[1][y], self.spans[2][x])

    @property
    def places(self) -> np.ndarray:
        """Every box's place in the grid, counted in C order, shape (n,)."""
        return np.arange(len(self)) if self.chosen is None else self.chosen


def shuffled(rois: Boxes | Sequence[Roi], seed: int) -> Iterator[Roi]:
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


def stratified(boxes: Boxes, seed: int) -> Iterator[Roi]:
    """Yield the boxes in an order of which every beginning is spread evenly over them.

    They are lined up along a curve that keeps neighbours together (Morton's), and drawn by a van der Corput sequence
    with a random digital shift (Owen, 1995, doi:10.1007/978-1-4612-2552-2_19): of any 2^k equal parts of the line, the
    first 2^k draws take one box each.
    """
    count = len(boxes)
    if not count:
        return
    line = np.argsort(_morton(boxes), kind="stable")
    bits = (count - 1).bit_length()
    shift = int(np.random.default_rng(seed).integers(0, 1 << bits))
    taken = np.zeros(count, bool)
    for draw in range(1 << bits):
        reverse = int(f"{draw:0{bits}b}"[::-1], 2) ^ shift
        place = reverse * count >> bits
        if not taken[place]:
            taken[place] = True
            yield boxes[int(line[place])]


def _morton(boxes: Boxes) -> np.ndarray:
    """Each box's place on Morton's curve: the bits of its indices along z, y and x, interleaved."""
    codes = np.zeros(len(boxes), np.int64)
    for axis, index in enumerate(np.unravel_index(boxes.places, boxes.counts)):
        for bit in range(20):
            codes |= (index.astype(np.int64) >> bit & 1) << (3 * bit + axis)
    return codes


def boxes_that_fit(order: Iterable[Roi], budget: float, kept: Sequence[Roi] = ()) -> list[Roi]:
    """The boxes that fit into `budget` bytes of uint8: those `kept`, then as many as fit from the front of `order`.

    None overlaps another. A larger budget gives the same boxes and more, because the choice stops at the first that
    does not fit.
    """
    chosen = list(kept)
    total = sum(roi.voxels for roi in kept)
    taken = TakenBoxes()
    for roi in kept:
        taken.add(roi)
    for roi in order:
        if taken.covers(roi):
            continue
        total += roi.voxels
        if total > budget:
            break
        chosen.append(roi)
        taken.add(roi)
    return chosen


def choose_without_padding(
    order: Callable[[], Iterable[Roi]],
    budget: float,
    padding: dict[Roi, str],
    find_padding: Callable[[list[Roi]], Mapping[Roi, str]],
    kept: Sequence[Roi] = (),
) -> list[Roi]:
    """The `boxes_that_fit` into `budget` bytes when those that turn out to be padding are left out.

    `order` begins the order in which boxes are drawn. `find_padding` takes the chosen boxes, and gives those among them
    that are padding, with what is known of them; `padding` takes them up.
    """
    while True:
        chosen = boxes_that_fit((roi for roi in order() if roi not in padding), budget, kept)
        found = find_padding(chosen)
        if not found:
            return chosen
        padding.update(found)
