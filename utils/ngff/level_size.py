"""The true voxel size of a level: what the metadata says, what the user says, and what to do when they differ."""

import warnings
from collections.abc import Sequence

from utils.axes import Lengths, triple
from utils.formats.voxel_size import nm_text, significant
from utils.ngff.metadata import downsampling
from utils.ngff.multiscale import Multiscale

# Two statements of one length that differ by less are roundings of each other.
TOLERANCE = 0.01
# A level's voxel size that its shape contradicts by more is no rounding either.
MISFIT = 0.25
# Coarse voxels by which a level may be longer or shorter than its scale says: halves are rounded at every level.
EDGE = 2


def level_voxel_size(
    image: Multiscale, index: int, given: Sequence[float | None] = (None, None, None), *, metadata_first: bool = False
) -> Lengths:
    """Voxel size (z, y, x, nm) of level `index`.

    What is `given` is z, y, x in nm of level 0, as a table states them; None where it does not. With `metadata_first`
    the metadata's size of precomputed data counts, where it has one; a contradiction is said either way.

    Raises
    ------
    ValueError
        If neither the table nor the metadata tells.
    """
    declared = image.levels[index].voxel_size
    metadata_first = metadata_first and image.format == "precomputed"
    if all(length is None for length in given):
        if declared is None:
            raise ValueError(_unknown(image, index))
        _say_misfit(image, index, declared)
        return declared
    finest = _completed(image, given)
    if _differ(finest, image.levels[0].voxel_size):
        if index and declared is not None and not _differ(finest, declared):
            warnings.warn(
                f"the table's voxel size {_text(finest)} is the metadata's of level {index}, not of level 0; "
                f"taken for level {index}",
                stacklevel=2,
            )
            return declared
        _say_contradiction(finest, image.levels[0].voxel_size, metadata_first)
    if metadata_first and declared is not None:
        return declared
    return triple(significant(length * f, 12) for length, f in zip(finest, factors(image, index), strict=True))


def factors(image: Multiscale, index: int) -> Lengths:
    """How much coarser a level is than level 0, z, y, x: by its metadata's scales, else by its shape.

    Scales that the shapes contradict (every level described as the first is a common slip) do not count.
    """
    first, level = image.levels[0], image.levels[index]
    declared: Sequence[float] = (0.0, 0.0, 0.0)
    if first.scale and level.scale and first.unit == level.unit and min(first.scale) > 0:
        declared = [b / a for a, b in zip(first.scale, level.scale, strict=True)]
    sides = zip(declared, first.shape, level.shape, strict=True)
    return triple(f if f > 0 and abs(a - b * f) <= EDGE * f else downsampling(a, b) for f, a, b in sides)


def _completed(image: Multiscale, given: Sequence[float | None]) -> Lengths:
    declared = image.levels[0].voxel_size or (None, None, None)
    sizes = [mine if mine is not None else theirs for mine, theirs in zip(given, declared, strict=True)]
    known = [size for size in sizes if size is not None]
    if len(known) < 3:
        raise ValueError(f"the table gives some of voxel_x, voxel_y, voxel_z; {_unknown(image, 0)}")
    return triple(known)


def _unknown(image: Multiscale, index: int) -> str:
    return (
        f"voxel size missing: {image.levels[index].size.why_missing}; give voxel_x, voxel_y and voxel_z (nm at level "
        "0) in the table, or --unit where only the unit is missing"
    )


def _differ(a: Lengths, b: Lengths | None) -> bool:
    return b is None or any(abs(p - q) > TOLERANCE * q for p, q in zip(a, b, strict=True))


def _say_contradiction(mine: Lengths, theirs: Lengths | None, metadata_first: bool) -> None:
    if theirs is not None:
        warnings.warn(
            f"voxel sizes contradict each other: the table says {_text(mine)}, the metadata {_text(theirs)} (level 0); "
            f"the {'metadata' if metadata_first else 'table'}'s is used",
            stacklevel=3,
        )


def _say_misfit(image: Multiscale, index: int, declared: Lengths) -> None:
    finest = image.levels[0].voxel_size
    if finest is None:
        return
    expected = triple(significant(a * f, 4) for a, f in zip(finest, factors(image, index), strict=True))
    if any(abs(a - b) > MISFIT * b for a, b in zip(declared, expected, strict=True)):
        warnings.warn(
            f"level {index} has the shape of {_text(expected)}, but its metadata say {_text(declared)}; the "
            "metadata's is used, a table or another --level can overrule it",
            stacklevel=3,
        )


def _text(size: Lengths) -> str:
    return f"{nm_text(size)} (z, y, x)"
