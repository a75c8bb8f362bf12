"""A patch of an export, and what is said of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils.collection.places import Location, VoxelSize, place_columns


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
