"""Where patches lie, in the voxels of their dataset and in nm; what an export says of one; some of many, evenly."""

from collections import defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from utils.axes import Box3D, Lengths, TakenBoxes
from utils.names import in_dataset, parse_name, parsed

AXES = ("z", "y", "x")
# The columns of a place: whole numbers, and lengths in nm.
WHOLE = ("axis", "slice", *(f"{axis}{end}" for axis in AXES for end in (0, 1)))
LENGTHS = (*(f"{axis}{end}_nm" for axis in AXES for end in (0, 1)), *(f"voxel_{axis}" for axis in AXES))
# Blocks are halved until each patch has its own; patches of one very place are told apart by their keys.
FINEST = 20
# Depths are compared in thousandths of a nm.
PER_NM = 1000


@dataclass(frozen=True, slots=True)
class Location:
    """The box of a patch."""

    volume: str  # the volume or image, without the region that was cropped from it
    axis: int | None  # 0 = xy, 1 = xz, 2 = yz; None in a 2D image
    index: int  # of the slice, in the region's own count
    # z, y, x in the dataset's voxels, the offset of a region counted in; of an image z is 0..1.
    box: Box3D


def place_of(name: str) -> Location | None:
    """Where a patch's name says that it lies; None where it does not say.

    >>> place_of("fly-ROI-x100-200_y0-90_z50-99-LOC-1_07_0-9_10-20").box
    ((50, 59), (7, 8), (110, 120))
    """
    found = parsed(parse_name, name)
    if found is None:
        return None
    if found.axis is None:
        return Location(found.source, None, 0, found.region(0, 1))
    volume, box = in_dataset(found.source, found.region(found.first, found.stop or found.first + 1))
    return Location(volume, found.axis, found.first, box)


def place_columns(place: Location | None, voxel_size: Lengths | None) -> dict[str, int | float | None]:
    """A place by column, with the voxel size (z, y, x in nm); None where it is not known, and for the z of an image.

    >>> place_columns(place_of("cell-LOC-2d-5-14_0-9"), (1, 4, 4))["y1_nm"]
    56
    """
    axis = place.axis if place else None
    found: dict[str, int | float | None] = {"axis": axis, "slice": place.index if place and axis is not None else None}
    for i, name in enumerate(AXES):
        side = voxel_size[i] if voxel_size else None
        for end, at in enumerate(place.box[i] if place and (i > 0 or axis is not None) else (None, None)):
            found[f"{name}{end}"] = at
            found[f"{name}{end}_nm"] = None if at is None or side is None else round(at * side, 4)
        found[f"voxel_{name}"] = side
    return found


@dataclass(frozen=True, slots=True)
class Sample:
    """A patch to be exported."""

    name: str
    dataset: str
    dictionary: str
    source: str  # the file or address of its volume, as its dictionary remembers it
    path: Path  # its TIFF
    score: float
    place: Location | None
    voxel_size: Lengths | None  # z, y, x in nm
    key: int  # its place in every random order
    weight: float | None = None
    repeated: bool = False  # whether other datasets have a patch of that name

    @property
    def volume(self) -> str:
        """The volume or image that it was cut from, regions of one volume taken together."""
        return self.place.volume if self.place else self.source

    def row(self, free: Mapping[str, str]) -> dict[str, Any]:
        """What is said of the patch, by column; None where it is not known."""
        row: dict[str, Any] = {
            "name": self.name,
            "dataset": self.dataset,
            "dictionary": self.dictionary,
            "source": self.source,
            "score": self.score,
            **place_columns(self.place, self.voxel_size),
        }
        if self.weight is not None:
            row["weight"] = self.weight
        return row | {key: value for key, value in free.items() if key not in row}


def key_of(seed: int, name: str) -> int:
    """A number of 64 bits that a name keeps whatever is added to the collection: the random choice of a seed."""
    return int.from_bytes(blake2b(f"{seed}\0{name}".encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def spread_order(points: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """An order of points in space of which every beginning is spread evenly: blocks of the space in turn.

    First one point of all, then one of every eighth of the space that has none yet, then one of every eighth of these,
    and so on; within a block, and among the blocks of a size, the smallest key goes first.

    Parameters
    ----------
    points : ndarray, shape (n, 3)
    keys : ndarray, shape (n,) uint64

    Returns
    -------
    ndarray, shape (n,) int
        Indices of the points.
    """
    count = len(points)
    by_key = np.argsort(keys, kind="stable")
    if not count:
        return by_key
    size = float(np.ptp(points, axis=0).max()) * (1 + 1e-9)
    unit = (points - points.min(axis=0)) / size if size else np.zeros_like(points, float)
    level_of = np.full(count, FINEST)
    for level in range(FINEST):
        cells = np.floor(unit * 2**level).astype(np.int64)
        # A point chosen before stands for its block: it comes first among those of its block.
        ranked = by_key[np.argsort(level_of[by_key], kind="stable")]
        z, y, x = cells[ranked].T
        _, first = np.unique((z << 42) | (y << 21) | x, return_index=True)
        chosen = ranked[first]
        level_of[chosen] = np.minimum(level_of[chosen], level)
        if level_of.max() < FINEST:
            break
    return by_key[np.argsort(level_of[by_key], kind="stable")]


class Gaps:
    """Tells whether a slice is at least so many nm from the chosen ones that show the same place; 0: no rule."""

    def __init__(self, nm: float) -> None:
        self._thickness = round(nm * PER_NM)
        self._chosen: defaultdict[Hashable, TakenBoxes] = defaultdict(TakenBoxes)

    def admit(self, plane: Hashable, box: tuple[int, int, int, int], depth: float) -> bool:
        """Whether a patch may be chosen; if so it counts for those that follow.

        A plane is a volume and an axis; a box y0, y1, x0, x1; the depth of the slice is in nm. Slices are near each
        other where slabs overlap that are as thick as the gap.
        """
        if not self._thickness:
            return True
        top, chosen = round(depth * PER_NM), self._chosen[plane]
        slab = ((top, top + self._thickness), box[:2], box[2:])
        if chosen.covers(slab):
            return False
        chosen.add(slab)
        return True
