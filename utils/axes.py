"""What there is along z, y and x, always in this order: shapes, voxel sizes, boxes; and which boxes overlap."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from math import prod
from typing import TypeVar

Item = TypeVar("Item")
Triple = tuple[int, int, int]
Lengths = tuple[float, float, float]
GivenLengths = tuple[float | None, float | None, float | None]  # None where nothing is said of an axis
Span = tuple[int, int]  # from the first to past the last
Box3D = tuple[Span, Span, Span]


def triple(values: Iterable[Item]) -> tuple[Item, Item, Item]:
    """What there is along z, y and x, each once.

    >>> triple(n // 2 for n in (8, 6, 4))
    (4, 3, 2)
    """
    z, y, x = values
    return z, y, x


class TakenBoxes:
    """Boxes on one grid for each size of box, so that a look concerns the neighbours only, however many there are."""

    def __init__(self) -> None:
        self._grids: dict[Triple, defaultdict[tuple[int, ...], list[Box3D]]] = {}

    def add(self, box: Box3D) -> None:
        """Take a box."""
        sides = _sides(box)
        grid = self._grids.setdefault(sides, defaultdict(list))
        for cell in _cells(box, sides):
            grid[cell].append(box)

    def covers(self, box: Box3D, most: float = 0.0) -> bool:
        """Whether one that is taken covers more than a share of a box's volume."""
        allowed = most * prod(_sides(box))
        for sides, grid in self._grids.items():
            largest = prod(min(pair) for pair in zip(sides, _sides(box), strict=True))
            if largest > allowed and any(
                _shared(box, other) > allowed for cell in _cells(box, sides) for other in grid.get(cell, ())
            ):
                return True
        return False


def _sides(box: Box3D) -> Triple:
    return triple(stop - first for first, stop in box)


def _cells(box: Box3D, sides: Triple) -> Iterator[tuple[int, ...]]:
    return product(*(range(first // side, -(-stop // side)) for (first, stop), side in zip(box, sides, strict=True)))


def _shared(one: Sequence[Span], other: Sequence[Span]) -> int:
    return prod(max(0, min(a[1], b[1]) - max(a[0], b[0])) for a, b in zip(one, other, strict=True))
