"""An image as a row of a table or a bare address states it, and the true voxel sizes of its levels.

What the metadata says, what the row says, and what to do when they differ.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from utils.axes import GivenLengths, Lengths, triple
from utils.formats.voxel_size import nm_text, significant
from utils.names import image_name, split_level
from utils.ngff.access import Access
from utils.ngff.address import Address, address_name, is_state_link
from utils.ngff.metadata import downsampling
from utils.ngff.multiscale import Multiscale, NgffVolume, open_multiscale
from utils.ngff.pointers import state_layer
from utils.redaction import redacted

# Two statements of one length that differ by less are roundings of each other.
TOLERANCE = 0.01
# A level's voxel size that its shape contradicts by more is no rounding either.
MISFIT = 0.25
# Coarse voxels by which a level may be longer or shorter than its scale says: halves are rounded at every level.
EDGE = 2


@dataclass(frozen=True)
class Dataset:
    """One row: what to read, and how. None where the row says nothing."""

    url: str
    name: str
    level: int | None = None
    given_size: GivenLengths = (None, None, None)  # in nm at level 0
    crop: bool = True
    crop_size: int | None = None
    invert: bool = False
    padding_value: float = 0.0
    metadata_first: bool = False  # the metadata's voxel size counts more than the row's
    problem: str = ""  # why the row cannot be used; its name is then its place in the table

    def __str__(self) -> str:
        return redacted(self.url)

    @property
    def address(self) -> str:
        """The address in one spelling, without its secrets: what a record calls the source."""
        try:
            return str(Address.parse(self.url))
        except ValueError:  # who opens it says so
            return str(self)

    def chosen_level(self, level: int | None = None) -> int:
        """The level that is asked for, the row's, or 0."""
        return level if level is not None else self.level or 0

    def open(self, level: int | None = None) -> NgffVolume:
        """Open a level as a volume called ``{name}_s{level}``, inverted where the row says so.

        Raises
        ------
        ValueError, OSError
            If the row cannot be used, or the image cannot be read.
        """
        if self.problem:
            raise ValueError(self.problem)
        image = open_multiscale(self.url, Access(cache_bytes=64 << 20))
        index = image.index(self.chosen_level(level))
        known = any(self.given_size)
        size = level_voxel_size(image, index, self.given_size, metadata_first=self.metadata_first) if known else None
        volume = image.open_level(index, name=self.name, voxel_size=size, invert=self.invert)
        volume.padding = volume.shown(self.padding_value)
        return volume


def dataset_of_url(url: str, layer: str | None = None, image: str | None = None) -> Dataset:
    """A row for a bare address, or for the image layer of a Neuroglancer link.

    Raises
    ------
    ValueError, OSError
        If a link has no such layer, or several and none is chosen.
    """
    name = None
    if is_state_link(url):
        name, url = state_layer(url, layer)
        name = image_name(f"layer://{name}")
    address, level = split_level(url)
    return Dataset(address, name or address_name(f"{address}/{image}" if image else address), level)


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
