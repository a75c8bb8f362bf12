"""A patch of an export, and what is said of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils.collection.places import Location

VoxelSize = tuple[float, float, float]


AXES = ("z", "y", "x")


NUMBERS = ("score", "weight", *(f"{axis}{end}_nm" for axis in AXES for end in (0, 1)), *(f"voxel_{a}" for a in AXES))


WHOLE = ("axis", "slice", *(f"{axis}{end}" for axis in AXES for end in (0, 1)))


@dataclass(frozen=True)
class Sample:
    """A patch to be exported.

    Attributes
    ----------
    name, dataset, dictionary, source : str
        `source` is the file or address of its volume, as its dictionary remembers it.
    path : Path
        Its TIFF.
    score : float
    place : Location, optional
    voxel_size : tuple of float, optional
        z, y, x in nm.
    key : int
        Its place in every random order.
    repeated : bool
        Whether other datasets have a patch of that name.
    """

    name: str
    dataset: str
    dictionary: str
    source: str
    path: Path
    score: float
    place: Location | None
    voxel_size: VoxelSize | None
    key: int
    weight: float | None = None
    repeated: bool = False

    @property
    def volume(self) -> str:
        """The volume or image that it was cut from, regions of one volume taken together."""
        return self.place.volume if self.place else self.source

    def row(self, free: Mapping[str, str]) -> dict[str, Any]:
        """What is said of the patch, by column; None where it is not known."""
        box = self.place.box if self.place else None
        nm = self.place.nm(self.voxel_size) if self.place else None
        row: dict[str, Any] = {
            "name": self.name,
            "dataset": self.dataset,
            "dictionary": self.dictionary,
            "source": self.source,
            "score": self.score,
            "axis": self.place.axis if self.place else None,
            "slice": self.place.index if self.place and self.place.axis is not None else None,
        }
        for i, axis in enumerate(AXES):
            flat = self.place is not None and self.place.axis is None and axis == "z"
            for end in (0, 1):
                row[f"{axis}{end}"] = box[i][end] if box and not flat else None
                row[f"{axis}{end}_nm"] = round(nm[i][end], 4) if nm and not flat else None
            row[f"voxel_{axis}"] = self.voxel_size[i] if self.voxel_size else None
        if self.weight is not None:
            row["weight"] = self.weight
        return row | {key: value for key, value in free.items() if key not in row}
