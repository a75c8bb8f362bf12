"""What there is along z, y and x, always in this order: shapes, voxel sizes, boxes."""

from collections.abc import Iterable
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
