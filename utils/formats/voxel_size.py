"""Voxel sizes: units to nanometres, and numbers in headers that cannot be true."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from utils.axes import GivenLengths, Lengths, triple
from utils.table_text import number_in

SMALLEST_NM = 0.01  # below the radius of an atom
LARGEST_NM = 1e6  # a millimetre: no electron microscope's pixel
# Of tables; in nm.
VOXEL_COLUMNS = ("voxel_z", "voxel_y", "voxel_x")
_NM = {
    **dict.fromkeys(("a", "å", "ångström", "angstrom", "ångstrom"), 0.1),
    **dict.fromkeys(("nm", "nanometer", "nanometre"), 1.0),
    **dict.fromkeys(("um", "µm", "μm", "micron", "micrometer", "micrometre", "micr"), 1e3),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), 1e6),
    **dict.fromkeys(("m", "meter", "metre"), 1e9),
    **dict.fromkeys(("pm", "picometer", "picometre"), 1e-3),
}


class VoxelSize(NamedTuple):
    """A voxel size in nm (z, y, x), or None with the reason why there is none."""

    nm: Lengths | None
    why_missing: str = ""


def nm_per(unit: str) -> float | None:
    """Nanometres in one unit of length, None for a name that is no unit of the microscope's world (pixel, inch).

    >>> nm_per("um"), nm_per("\\\\u00B5m"), nm_per("inch")
    (1000.0, 1000.0, None)
    """
    name = unit.strip().strip("\"'").replace("\\u00B5", "µ").lower()
    return _NM.get(name, _NM.get(name.removesuffix("s")))


def nm_text(zyx: Iterable[float | None]) -> str:
    """A voxel size as people write it; ``?`` for a side that is not known.

    >>> nm_text((30, 4.5, None))
    '30 x 4.5 x ? nm'
    """
    return " x ".join("?" if side is None else f"{side:g}" for side in zyx) + " nm"


def significant(number: float, digits: int) -> float:
    """Round to significant digits: what a header's single precision or rational numbers stand for.

    >>> significant(5.144000053405762, 7)
    5.144
    """
    return float(f"{number:.{digits}g}")


def checked(zyx: Sequence[float] | None, unit: str = "nm") -> VoxelSize:
    """Take a header's voxel size, z, y, x in the unit that it names, or say why it counts as missing.

    So it does when a number is zero, negative, not finite, or outside 0.01 nm to 1 mm.
    """
    if zyx is None:
        return VoxelSize(None, "the header has none")
    factor = nm_per(unit)
    if factor is None:
        return VoxelSize(None, f"the header's unit is {unit!r}")
    size = triple(significant(float(number) * factor, 12) for number in zyx)
    if all(math.isfinite(number) and SMALLEST_NM <= number <= LARGEST_NM for number in size):
        return VoxelSize(size)
    return VoxelSize(None, f"the header says {', '.join(f'{float(n):g}' for n in zyx)} {unit} (z, y, x)")


def checked_unitless(zyx: Sequence[float] | None) -> VoxelSize:
    """Take a size whose header format has no unit worth trusting, as nm; millimetres when only that makes sense.

    ITK and the tools around it store whatever number they are given and label it mm, or not at all. EM data goes
    through them with nm numbers; true millimetres show by being thousands of times smaller than an atom. All ones is
    what these tools write when they were given nothing.
    """
    if zyx is not None and all(number == 1 for number in zyx):
        return VoxelSize(None, "the header says 1, 1, 1 without a unit, which stands for 'not known'")
    if zyx is not None and all(0 < number < SMALLEST_NM / 10 for number in zyx):
        return checked(zyx, "mm")
    return checked(zyx)


def stated_size(cells: Mapping[str, str]) -> GivenLengths:
    """What a row of a table states in its `VOXEL_COLUMNS`; None for an axis of which it says nothing.

    Raises
    ------
    ValueError
        If a cell holds no number, or no voxel has such a side.
    """
    size = triple(number_in(cells, column) for column in VOXEL_COLUMNS)
    for column, side in zip(VOXEL_COLUMNS, size, strict=True):
        if side is not None and not SMALLEST_NM <= side <= LARGEST_NM:
            raise ValueError(f"{column} is {side:g}; expected {SMALLEST_NM:g} to {LARGEST_NM:g} nm, or nothing")
    return size
