"""Patches: the tile grid."""

from collections.abc import Sequence
from typing import NamedTuple

from utils.axes import Span

EDGES = ("shift", "keep", "drop")


class Box(NamedTuple):
    """A half-open region of a slice: rows y0..y1, columns x0..x1 as numpy sees the slice."""

    y0: int
    y1: int
    x0: int
    x1: int


def default_min_side(crop: int) -> int:
    """Half the crop: what is shorter is dropped, as published (https://doi.org/10.7554/eLife.65894: 112 of 224 px).

    >>> default_min_side(224), default_min_side(225)
    (112, 113)
    """
    return (crop + 1) // 2


def tiles(length: int, crop: int, edges: str = "shift", min_side: int = 0) -> list[Span]:
    """Intervals that tile a side without overlap, but for the last.

    ``max(1, round(length / crop))`` of them, half rounded up. What sticks out at the end is moved inward (``shift``),
    left short (``keep``) or left out (``drop``). A side shorter than the crop is one interval of its own length. No
    interval is shorter than `min_side`, so that there may be none.

    >>> tiles(1024, 224)
    [(0, 224), (224, 448), (448, 672), (672, 896), (800, 1024)]
    >>> tiles(560, 224, "keep"), tiles(559, 224)
    ([(0, 224), (224, 448), (448, 560)], [(0, 224), (224, 448)])
    >>> tiles(112, 224, min_side=112), tiles(111, 224, min_side=112)
    ([(0, 112)], [])
    """
    return [(start, stop) for start, stop in _tiles(length, crop, edges) if stop - start >= min_side]


def _tiles(length: int, crop: int, edges: str) -> list[Span]:
    if edges not in EDGES:
        raise ValueError(f"edges {edges!r} is none of {', '.join(EDGES)}")
    if length <= crop:
        return [(0, length)]
    count = max(1, (2 * length + crop) // (2 * crop))
    spans = [(i * crop, (i + 1) * crop) for i in range(count)]
    if spans[-1][1] > length:
        last = spans.pop()
        if edges == "shift":
            spans.append((length - crop, length))
        elif edges == "keep":
            spans.append((last[0], length))
    return spans


def patch_boxes(shape: tuple[int, int], crop: int, edges: str = "shift", min_side: int = 0) -> list[Box]:
    """The tiles of a 2D image, row by row; none where a side is shorter than `min_side`."""
    rows, columns = (tiles(side, crop, edges, min_side) for side in shape)
    return [Box(*row, *column) for row in rows for column in columns]


def too_small(shape: Sequence[int], min_side: int) -> str:
    """Why an image or a volume of this shape has no patch; empty when it has some.

    A patch lies across two of the sides: one long side alone gives none.

    >>> too_small((90, 2000), 112), too_small((8, 512, 512), 112)
    ('90 x 2000 pixels are too small for a patch (--min-side 112)', '')
    """
    if sum(side >= min_side for side in shape) >= 2:
        return ""
    unit = "pixels" if len(shape) == 2 else "voxels"
    return f"{' x '.join(map(str, shape))} {unit} are too small for a patch (--min-side {min_side})"
