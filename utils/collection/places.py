"""Where a patch lies, its box in the voxels of its dataset and in nm; and a patch of an export."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils.names import parse_level, parse_name, parse_roi, parsed

Interval = tuple[int, int]
VoxelSize = tuple[float, float, float]
AXES = ("z", "y", "x")
# The columns of a place: whole numbers, and lengths in nm.
WHOLE = ("axis", "slice", *(f"{axis}{end}" for axis in AXES for end in (0, 1)))
LENGTHS = (*(f"{axis}{end}_nm" for axis in AXES for end in (0, 1)), *(f"voxel_{axis}" for axis in AXES))


@dataclass(frozen=True)
class Location:
    """The box of a patch."""

    volume: str  # the volume or image, without the region that was cropped from it
    axis: int | None  # 0 = xy, 1 = xz, 2 = yz; None in a 2D image
    index: int  # of the slice, in the region's own count
    # z, y, x in the dataset's voxels, the offset of a region counted in; of an image z is 0..1.
    box: tuple[Interval, Interval, Interval]


def place_of(name: str) -> Location | None:
    """Where a patch's name says that it lies; None where it does not say.

    >>> place_of("fly-ROI-x100-200_y0-90_z50-99-LOC-1_07_0-9_10-20").box
    ((50, 59), (7, 8), (110, 120))
    """
    found = parsed(parse_name, name)
    if found is None:
        return None
    rows, columns = (found.box.y0, found.box.y1), (found.box.x0, found.box.x1)
    if found.axis is None:
        return Location(found.source, None, 0, ((0, 1), rows, columns))
    slices = (found.first, found.stop or found.first + 1)
    box = [rows, columns]
    box.insert(found.axis, slices)
    volume, offsets = parsed(parse_roi, found.source) or (found.source, ((0, 0),) * 3)
    z, y, x = ((a + start, b + start) for (a, b), (start, _) in zip(box, offsets, strict=True))
    return Location(volume, found.axis, found.first, (z, y, x))


def place_columns(place: Location | None, voxel_size: VoxelSize | None) -> dict[str, int | float | None]:
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


def image_of(dataset: str) -> str:
    """A dataset's name without the level of a multiscale image: levels show the same tissue.

    >>> image_of("fly_s2"), image_of("fly")
    ('fly', 'fly')
    """
    return (parsed(parse_level, dataset) or (dataset, 0))[0]


@dataclass(frozen=True)
class Sample:
    """A patch to be exported."""

    name: str
    dataset: str
    dictionary: str
    source: str  # the file or address of its volume, as its dictionary remembers it
    path: Path  # its TIFF
    score: float
    place: Location | None
    voxel_size: VoxelSize | None  # z, y, x in nm
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
