"""The cube grid: a volume as crop^3 cells, each read once and cut on all axes.

Along a side a cell has a tile (the rows or columns of its patches, as in `utils.patches.tiles`) and its own slices.
Both are the same interval but at the end of a side, where the last tile is moved inward or there is none.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from utils import memory
from utils.dhash import bits_of_rows, reduce_last, reduce_middle
from utils.enlarging import enlarge_last, enlarge_middle
from utils.hashing import is_flat, patch_hasher
from utils.patches import Box, Span, tiles

# Slices turned to float32 at a time, so that the scratch stays in a core's cache.
SLAB = 8
# Voxels of cells side by side that are read at once.
ROW_BYTES = 64 << 20
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
        z, y, x = (block.shifted(step) for block, step in zip(self.blocks, offsets, strict=True))
        return Cell((z, y, x), self.axes, self.spacing)

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

    def region(self) -> tuple[Span, Span, Span]:
        """The z, y, x intervals of voxels that the patches cover."""
        return tuple(self._extent(side) for side in range(3))  # type: ignore[return-value]

    def _extent(self, side: int) -> Span:
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
    refuse_endless(shape, crop, axes, spacing)
    sides = [_blocks(length, crop, edges, min_side) for length in shape]
    cells = [_cell((z, y, x), axes, spacing) for z in sides[0] for y in sides[1] for x in sides[2]]
    return [cell for cell in cells if cell.axes]


def side_by_side(cells: Sequence[Cell], itemsize: int, most: int) -> list[list[Cell]]:
    """Cells in their order, those together that follow each other along x: rows of voxels are then read once.

    Parameters
    ----------
    cells : sequence of Cell
    itemsize : int
        Bytes of a voxel: what is read at once stays below `ROW_BYTES`, unless it is one cell.
    most : int
        Cells that come together at most, at least one.
    """
    rows: list[list[Cell]] = []
    for cell in cells:
        last = rows[-1] if rows else []
        if last and len(last) < most and _follows(last[-1], cell) and _size([*last, cell]) * itemsize <= ROW_BYTES:
            last.append(cell)
        else:
            rows.append([cell])
    return rows


def _follows(left: Cell, right: Cell) -> bool:
    return left.blocks[:2] == right.blocks[:2] and left.blocks[2].slices[1] == right.blocks[2].slices[0]


def _size(cells: Sequence[Cell]) -> int:
    return math.prod(stop - start for start, stop in common_region(cells))


def common_region(cells: Sequence[Cell]) -> tuple[Span, Span, Span]:
    """The z, y, x intervals that hold the regions of all cells."""
    sides = zip(*(cell.region() for cell in cells), strict=True)
    z, y, x = ((min(start for start, _ in spans), max(stop for _, stop in spans)) for spans in sides)
    return z, y, x


def within(region: tuple[Span, Span, Span], outer: tuple[Span, Span, Span]) -> tuple[slice, slice, slice]:
    """Where a region lies in an array that holds an outer one."""
    z, y, x = (slice(a - start, b - start) for (a, b), (start, _) in zip(region, outer, strict=True))
    return z, y, x


def refuse_endless(shape: Sequence[int], crop: int, axes: Sequence[int], spacing: int) -> None:
    """Refuse a volume whose cells and hashes alone would fill the memory that may be taken.

    Raises
    ------
    ValueError
        With the number of patches.
    """
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
    origin = [first for first, _ in cell.region()]
    where: list[int | slice] = []
    for side in range(3):
        tile = cell.blocks[side].tile
        if side == axis or tile is None:
            where.append(index - origin[side])
        else:
            where.append(slice(tile[0] - origin[side], tile[1] - origin[side]))
    return cube[tuple(where)]


def hash_cell(
    cube: np.ndarray, cell: Cell, crop: int, *, hash_size: int = 8, method: str = "dhash"
) -> tuple[np.ndarray, np.ndarray]:
    """Hash every patch of a cell.

    Parameters
    ----------
    cube : ndarray of uint8, shape (z, y, x)
        The voxels of ``cell.region()``.
    cell : Cell
    crop : int
        Patches with a shorter side are resized (bilinear) to crop x crop before they are hashed.
    hash_size : int
    method : str

    Returns
    -------
    hashes : ndarray of uint64, shape (len(cell), words)
    flat : ndarray of bool, shape (len(cell),)
        Patches of one value throughout: they have no meaningful hash, theirs is 0.
    """
    if is_one_value(cube):
        return flat_hashes(len(cell), hash_size)
    if method == "dhash":
        reduced = _reduced(cube, cell, hash_size) if _is_square(cell, crop) else _enlarged(cube, cell, crop, hash_size)
        hashes = np.concatenate([bits_of_rows(rows) for rows in reduced])
    else:
        hash_one = patch_hasher(crop, hash_size, method)
        hashes = np.stack([hash_one(cut(cube, cell, *where)) for where in cell.patches()])
    # A flat patch has equal neighbours everywhere, so only patches with an all-zero dHash need a look at their pixels.
    suspects = ~hashes.any(axis=1) if method == "dhash" else np.ones(len(hashes), bool)
    where = cell.patches()
    flat = np.zeros(len(hashes), bool)
    for patch in np.flatnonzero(suspects).tolist():
        flat[patch] = is_flat(cut(cube, cell, *where[patch]))
    hashes[flat] = 0
    return hashes, flat


def flat_hashes(patches: int, hash_size: int) -> tuple[np.ndarray, np.ndarray]:
    """What `hash_cell` gives for so many patches of one value throughout.

    Parameters
    ----------
    patches, hash_size : int

    Returns
    -------
    hashes : ndarray of uint64, shape (patches, words)
    flat : ndarray of bool, shape (patches,)
    """
    return np.zeros((patches, -(-(hash_size**2) // 64)), np.uint64), np.ones(patches, bool)


def is_one_value(cube: np.ndarray) -> bool:
    """Whether all voxels are alike, as in the padding of sparse volumes; its first slice says no of most tissue.

    Parameters
    ----------
    cube : ndarray, shape (z, y, x)
    """
    return bool(cube[0].min() == cube[0].max() and cube.min() == cube.max())


def _is_square(cell: Cell, crop: int) -> bool:
    return all(cell.box(axis)[1::2] == (cell.box(axis).y0 + crop, cell.box(axis).x0 + crop) for axis in cell.axes)


def _reduced(cube: np.ndarray, cell: Cell, hash_size: int) -> Iterator[np.ndarray]:
    """For each axis of the cell its patches shrunk to (slices, hash size, hash size + 1).

    The xy and the xz patches share their first pass, along x; both second passes then run on an array that is 25
    times smaller. The yz patches are reduced along y, then z.
    """
    (z, y, x), own = _places(cell)
    if 0 in cell.axes or 1 in cell.axes:
        along_x = _by_slabs(cube[:, :, x], lambda slab: reduce_last(slab, hash_size + 1))
        if 0 in cell.axes:
            yield reduce_middle(along_x[own[0]][:, y], hash_size)
        if 1 in cell.axes:
            yield reduce_middle(along_x[z][:, own[1]].swapaxes(0, 1), hash_size)
    if 2 in cell.axes:
        along_y = _by_slabs(cube[z, y], lambda slab: reduce_middle(slab, hash_size + 1))
        yield reduce_middle(along_y[:, :, own[2]].transpose(2, 0, 1), hash_size)


def _enlarged(cube: np.ndarray, cell: Cell, crop: int, hash_size: int) -> Iterator[np.ndarray]:
    """As `_reduced`, of patches that are made square first; those across z and y share what happens along x."""
    (z, y, x), own = _places(cell)
    if 0 in cell.axes or 1 in cell.axes:
        along_x = enlarge_last(cube[:, :, x], crop)
        if 0 in cell.axes:
            yield _squared(along_x[own[0]][:, y], crop, hash_size)
        if 1 in cell.axes:
            yield _squared(along_x[z][:, own[1]].swapaxes(0, 1), crop, hash_size)
    if 2 in cell.axes:
        yield _squared(enlarge_last(cube[z, y][:, :, own[2]].transpose(2, 0, 1), crop), crop, hash_size)


def _squared(wide: np.ndarray, crop: int, hash_size: int) -> np.ndarray:
    """Patches (n, h, crop), made (n, crop, crop) and shrunk to (n, hash size, hash size + 1), a few at a time."""
    slabs = (enlarge_middle(wide[first : first + SLAB], crop) for first in range(0, len(wide), SLAB))
    return np.concatenate([reduce_middle(reduce_last(slab, hash_size + 1), hash_size) for slab in slabs])


def _places(cell: Cell) -> tuple[list[slice], list[np.ndarray]]:
    """Where in a cell's cube its tiles lie along z, y, x, and where the slices are that are patches of each axis."""
    origin = [first for first, _ in cell.region()]
    tiles_within = [_within(cell.blocks[side].tile, origin[side]) for side in range(3)]
    return tiles_within, [np.array(cell.slices(axis)) - origin[axis] for axis in range(3)]


def _within(tile: Span | None, origin: int) -> slice:
    return slice(None) if tile is None else slice(tile[0] - origin, tile[1] - origin)


def _by_slabs(cube: np.ndarray, reduce: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    parts = [reduce(cube[first : first + SLAB].astype(np.float32)) for first in range(0, len(cube), SLAB)]
    return np.concatenate(parts)
