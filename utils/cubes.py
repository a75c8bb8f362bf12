"""The cube grid: a volume as crop^3 cells, each read once and cut on all axes.

Along a side a cell has a tile (the rows or columns of its patches, as in `utils.patches.tiles`) and its own slices.
Both are the same interval but at the end of a side, where the last tile is moved inward or there is none.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from utils import memory
from utils.axes import Box3D, Span, triple
from utils.patches import Box, tiles

# Voxels of cells side by side that are read at once: they stay in a cache, and of 32 MB and more the memory is not used
# again but asked of the system every time.
ROW_BYTES = 31 << 20
# Of a cell's own memory, and of a patch's hash with what choosing exemplars takes for it.
CELL_BYTES = 1000
HASH_BYTES = 16
# What the voxels along z, y and x are counted as.
SIDES = ("slices", "rows", "columns")


@dataclass(frozen=True)
class Block:
    """One cell's part of a side: where its patches lie, if any do, and which slices are its own."""

    tile: Span | None
    slices: Span

    def shifted(self, offset: int) -> "Block":
        """The same part of a side that begins `offset` voxels earlier."""
        tile = None if self.tile is None else (self.tile[0] + offset, self.tile[1] + offset)
        return Block(tile, (self.slices[0] + offset, self.slices[1] + offset))


@dataclass(frozen=True)
class Cell:
    """A cell of the grid.

    `blocks` are its z, y, x parts; `axes` those on which it has patches; `spacing` the step between slices.
    """

    blocks: tuple[Block, Block, Block]
    axes: tuple[int, ...]
    spacing: int = 1

    def shifted(self, offsets: Sequence[int]) -> "Cell":
        """The same cell of a box that begins at `offsets` (z, y, x)."""
        blocks = (block.shifted(step) for block, step in zip(self.blocks, offsets, strict=True))
        return Cell(triple(blocks), self.axes, self.spacing)

    def slices(self, axis: int) -> range:
        """Indices of the slices that this cell cuts across an axis."""
        first, stop = self.blocks[axis].slices
        return range(-(-first // self.spacing) * self.spacing, stop, self.spacing)

    def box(self, axis: int) -> Box:
        """Rows and columns of the cell's patches across an axis.

        Raises
        ------
        ValueError
            If it has none.
        """
        rows, columns = (self.blocks[a].tile for a in range(3) if a != axis)
        if rows is None or columns is None:
            raise ValueError(f"the cell has no patch on axis {axis}")
        return Box(*rows, *columns)

    def patches(self) -> list[tuple[int, int]]:
        """(axis, slice index) of every patch, in the order in which the cell hashes them."""
        return [(axis, index) for axis in self.axes for index in self.slices(axis)]

    def __len__(self) -> int:
        return sum(len(self.slices(axis)) for axis in self.axes)

    def region(self) -> Box3D:
        """The z, y, x intervals of voxels that the patches cover; along rows and columns of patches just their tile."""
        return triple(self.extent(side) for side in range(3))

    def extent(self, side: int) -> Span:
        """The interval of the region along a side."""
        spans = [self.blocks[side].tile] if any(axis != side for axis in self.axes) else []
        if side in self.axes:
            own = self.slices(side)
            spans.append((own[0], own[-1] + 1))
        known = [span for span in spans if span is not None]
        return min(s[0] for s in known), max(s[1] for s in known)


def grid(
    shape: Sequence[int],
    crop: int,
    axes: Sequence[int] = (0, 1, 2),
    *,
    edges: str = "shift",
    spacing: int = 1,
    min_side: int = 0,
) -> list[Cell]:
    """All cells of a volume that have patches, none with a side shorter than `min_side`, in memory order."""
    _refuse_endless(shape, crop, axes, spacing)
    sides = [_blocks(length, crop, edges, min_side) for length in shape]
    cells = [_cell((z, y, x), axes, spacing) for z in sides[0] for y in sides[1] for x in sides[2]]
    return [cell for cell in cells if cell.axes]


def side_by_side(cells: Sequence[Cell], itemsize: int, most: int) -> list[list[Cell]]:
    """Cells in their order, those together that follow each other along x: rows of voxels are then read once.

    At most so many come together, at least one, and no more of these voxels than `ROW_BYTES` hold.
    """
    rows: list[list[Cell]] = []
    for cell in cells:
        last = rows[-1] if rows else []
        if last and len(last) < most and _follows(last[-1], cell) and _size(last[0], cell) * itemsize <= ROW_BYTES:
            last.append(cell)
        else:
            rows.append([cell])
    return rows


def _follows(left: Cell, right: Cell) -> bool:
    return left.blocks[:2] == right.blocks[:2] and left.blocks[2].slices[1] == right.blocks[2].slices[0]


def _size(first: Cell, last: Cell) -> int:
    """Voxels of a row, by its ends: looking at each cell for each one that follows would be quadratic."""
    return math.prod(stop - start for start, stop in common_region([first, last]))


def common_region(cells: Sequence[Cell]) -> Box3D:
    """The z, y, x intervals that hold the regions of all cells."""
    sides = zip(*(cell.region() for cell in cells), strict=True)
    return triple((min(start for start, _ in spans), max(stop for _, stop in spans)) for spans in sides)


def within(region: Box3D, outer: Box3D) -> tuple[slice, slice, slice]:
    """Where a region lies in an array that holds an outer one."""
    return triple(slice(a - start, b - start) for (a, b), (start, _) in zip(region, outer, strict=True))


def _refuse_endless(shape: Sequence[int], crop: int, axes: Sequence[int], spacing: int) -> None:
    """Refuse a volume whose cells and hashes alone would fill the memory that may be taken."""
    tiled = [-(-length // crop) for length in shape]
    cells = math.prod(tiled)
    patches = sum(-(-shape[axis] // spacing) * (cells // tiled[axis]) for axis in axes)
    taken, limit = cells * CELL_BYTES + patches * HASH_BYTES, memory.limit_bytes()
    if taken > limit:
        raise ValueError(
            f"{' x '.join(map(str, shape))} voxels give {patches} patches, which take {taken / 1e9:.4g} GB of memory "
            f"to tell apart; {limit / 1e9:.4g} GB are allowed (--max-gb): take a coarser level, or crop it first"
        )


def axes_with_patches(shape: Sequence[int], axes: Sequence[int], min_side: int) -> tuple[tuple[int, ...], str]:
    """The axes across which a volume has patches at all, and a sentence about the others (empty when there are none).

    >>> axes_with_patches((8, 512, 512), (0, 1, 2), 112)
    ((0,), 'axes 1 and 2 give no patches: 8 slices, --min-side 112')
    """
    short = [side for side in range(3) if shape[side] < min_side]
    lost = [axis for axis in axes if any(side != axis for side in short)]
    kept = tuple(axis for axis in axes if axis not in lost)
    if not lost:
        return kept, ""
    sizes = " and ".join(f"{shape[side]} {SIDES[side]}" for side in short if any(side != axis for axis in lost))
    which = f"axis {lost[0]} gives" if len(lost) == 1 else f"axes {', '.join(map(str, lost[:-1]))} and {lost[-1]} give"
    return kept, f"{which} no patches: {sizes}, --min-side {min_side}"


def _blocks(length: int, crop: int, edges: str, min_side: int) -> list[Block]:
    spans = tiles(length, crop, edges, min_side)
    starts = range(0, length, crop)
    return [
        Block(spans[i] if i < len(spans) else None, (start, min(start + crop, length)))
        for i, start in enumerate(starts)
    ]


def _cell(blocks: tuple[Block, Block, Block], axes: Sequence[int], spacing: int) -> Cell:
    whole = Cell(blocks, tuple(axes), spacing)
    present = [
        axis
        for axis in sorted(axes)
        if all(blocks[side].tile is not None for side in range(3) if side != axis) and len(whole.slices(axis))
    ]
    return Cell(blocks, tuple(present), spacing)


def cut(cube: np.ndarray, cell: Cell, axis: int, index: int) -> np.ndarray:
    """One patch of a cell.

    Parameters
    ----------
    cube : ndarray, shape (z, y, x)
        The voxels of ``cell.region()``.
    cell : Cell
    axis, index : int

    Returns
    -------
    ndarray, shape (h, w)
    """
    origin, _ = cell.extent(axis)
    return cube[tuple(index - origin if side == axis else slice(None) for side in range(3))]
