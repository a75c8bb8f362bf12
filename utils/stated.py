"""What is stated about a volume outside of its file: its voxel size, and where the data comes from."""

import math
import warnings
from dataclasses import dataclass, replace
from typing import TypeVar

from utils.formats.volume_base import Volume
from utils.formats.voxel_size import VoxelSize, nm_text, significant

TABLE_NAME = "datasets.csv"
SIZES = ("voxel_z", "voxel_y", "voxel_x")
# z, y, x in nm; None for what is left to the header.
Given = tuple[float | None, float | None, float | None]
NOT_GIVEN: Given = (None, None, None)
AnyVolume = TypeVar("AnyVolume", bound=Volume)
# A header's number may be rounded by so much and still say the same.
SAME = 0.01


@dataclass(frozen=True)
class Stated:
    """What is stated about one volume outside of its file."""

    voxel_size: Given = NOT_GIVEN  # z, y, x in nm; None for an axis that is left to the header
    fields: tuple[tuple[str, str], ...] = ()  # the table's other columns that are not empty, and what they say
    where: str = ""  # who states it, as messages call it
    problem: str = ""  # why it cannot be used

    def options(self) -> dict[str, object]:
        """What decides a result made of the volume, as a recipe takes it: its voxel size."""
        return {"voxel-size": list(self.voxel_size)}

    def applied(self, volume: AnyVolume) -> AnyVolume:
        """The volume with the voxel size that is stated for it; a warning says where its header says another.

        Raises
        ------
        ValueError
            If the statement cannot be used; the volume is closed.
        """
        if self.problem:
            volume.close()
            raise ValueError(self.problem)
        if self.voxel_size == NOT_GIVEN:
            return volume
        header = volume.header_size.nm
        sides = [given or (header[i] if header else None) for i, given in enumerate(self.voxel_size)]
        if header and any(not math.isclose(a, b, rel_tol=SAME) for a, b in zip(header, sides, strict=True) if b):
            said = f"the header says {nm_text(header)}, {self.where} {nm_text(sides)} (z, y, x)"
            warnings.warn(f"voxel size: {said}: the latter is taken", stacklevel=2)
        volume.header_size = self._size(sides)
        return volume

    def _size(self, sides: list[float | None]) -> VoxelSize:
        z, y, x = sides
        if z is None or y is None or x is None:
            lacking = ", ".join(name for name, side in zip(SIZES, sides, strict=True) if side is None)
            return VoxelSize(None, f"the header has none, and {self.where} has no {lacking}")
        return VoxelSize((z, y, x))

    def whole_size(self) -> tuple[float, float, float] | None:
        """The voxel size where it is stated for all axes, for a file whose header has none.

        Raises
        ------
        ValueError
            If the statement cannot be used.
        """
        if self.problem:
            raise ValueError(self.problem)
        return self._size(list(self.voxel_size)).nm

    def scaled(self, factors: tuple[float, float, float] | None) -> "Stated":
        """The same of a copy whose voxels are larger by factors z, y, x; None where that is not known."""
        if factors is None:
            return replace(self, voxel_size=NOT_GIVEN)
        z, y, x = (
            side and significant(side * factor, 12) for side, factor in zip(self.voxel_size, factors, strict=True)
        )
        return replace(self, voxel_size=(z, y, x))


NOTHING_STATED = Stated()
