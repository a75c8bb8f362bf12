"""Patches: the tile grid, and the names that say where a patch lies."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

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


def tiles(length: int, crop: int, edges: str = "shift", min_side: int = 0) -> list[tuple[int, int]]:
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


def _tiles(length: int, crop: int, edges: str) -> list[tuple[int, int]]:
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


# The grammar: each formatter stands beside the pattern that reads its names back.
_NAME_2D = re.compile(r"^(?P<source>.+)-LOC-2d-(?P<y0>\d+)-(?P<y1>\d+)_(?P<x0>\d+)-(?P<x1>\d+)$", re.DOTALL)
_NAME_3D = re.compile(
    r"^(?P<source>.+)-LOC-(?P<axis>[012])_(?P<first>-?\d+)(-(?P<stop>\d+))?"
    r"_(?P<y0>\d+)-(?P<y1>\d+)_(?P<x0>\d+)-(?P<x1>\d+)$",
    re.DOTALL,
)
_ROI = re.compile(r"^(?P<dataset>.+?)-ROI-x(\d+)-(\d+)_y(\d+)-(\d+)_z(\d+)-(\d+)$", re.DOTALL)


@dataclass(frozen=True)
class PatchName:
    """Where a patch lies: in a 2D image (`axis` None), in slice `first` of a volume, or in slices first..stop - 1."""

    source: str
    box: Box
    axis: int | None = None
    first: int = 0
    stop: int | None = None


def format_name_2d(source: str, box: Box) -> str:
    """``{image stem}-LOC-2d-{y0}-{y1}_{x0}-{x1}``."""
    return f"{source}-LOC-2d-{box.y0}-{box.y1}_{box.x0}-{box.x1}"


def format_name_3d(source: str, axis: int, index: int, count: int, box: Box) -> str:
    """``{volume name}-LOC-{axis}_{index}_{y0}-{y1}_{x0}-{x1}``, the index as wide as the last of `count` slices.

    >>> format_name_3d("vol", 1, 7, 100, Box(0, 224, 0, 224))
    'vol-LOC-1_07_0-224_0-224'
    """
    return f"{source}-LOC-{axis}_{_padded(index, count)}_{box.y0}-{box.y1}_{box.x0}-{box.x1}"


def format_name_subvolume(source: str, axis: int, first: int, stop: int, count: int, box: Box) -> str:
    """``{volume name}-LOC-{axis}_{first}-{past the last}_{y0}-{y1}_{x0}-{x1}``.

    A padded subvolume may begin before slice 0: ``first`` is then negative.
    """
    return f"{source}-LOC-{axis}_{_padded(first, count)}-{_padded(stop, count)}_{box.y0}-{box.y1}_{box.x0}-{box.x1}"


def _padded(index: int, count: int) -> str:
    return str(index).zfill(len(str(count - 1)))


def parse_name(name: str) -> PatchName:
    """Read a patch's name back.

    Raises
    ------
    ValueError
        If it follows none of the grammars.
    """
    if found := _NAME_2D.match(name):
        return PatchName(found["source"], _box(found))
    if found := _NAME_3D.match(name):
        stop = int(found["stop"]) if found["stop"] else None
        return PatchName(found["source"], _box(found), int(found["axis"]), int(found["first"]), stop)
    raise ValueError(
        f"{name!r} is no patch name; expected {{source}}-LOC-2d-y0-y1_x0-x1 or {{source}}-LOC-axis_index_y0-y1_x0-x1"
    )


def _box(found: re.Match[str]) -> Box:
    return Box(*(int(found[field]) for field in Box._fields))


def format_roi(dataset: str, z: tuple[int, int], y: tuple[int, int], x: tuple[int, int]) -> str:
    """``{dataset}-ROI-x{x0}-{x1}_y{y0}-{y1}_z{z0}-{z1}``: a region cropped from a dataset, in its voxels."""
    return f"{dataset}-ROI-x{x[0]}-{x[1]}_y{y[0]}-{y[1]}_z{z[0]}-{z[1]}"


def parse_roi(name: str) -> tuple[str, tuple[tuple[int, int], tuple[int, int], tuple[int, int]]]:
    """Dataset and (z, y, x) intervals of a region's name; ValueError when it is none."""
    if not (found := _ROI.match(name)):
        raise ValueError(f"{name!r} is no region's name; expected {{dataset}}-ROI-x0-x1_y0-y1_z0-z1")
    x0, x1, y0, y1, z0, z1 = (int(value) for value in found.groups()[1:])
    return found["dataset"], ((z0, z1), (y0, y1), (x0, x1))


def dataset_of(name: str) -> str:
    """The dataset that a volume, a dictionary or a patch belongs to: what stands before ``-ROI-`` or ``-LOC-``.

    >>> dataset_of("fly-ROI-x0-9_y0-9_z0-9-LOC-0_1_0-9_0-9"), dataset_of("fly-LOC-2d-0-9_0-9"), dataset_of("fly")
    ('fly', 'fly', 'fly')
    """
    return name.split("-ROI-")[0].split("-LOC-")[0] or name
