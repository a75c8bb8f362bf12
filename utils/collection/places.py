"""Where a patch lies: its box in the voxels of its dataset, and in nm."""

from dataclasses import dataclass

from utils.names import parse_level, parse_name, parse_roi, parsed

Interval = tuple[int, int]


@dataclass(frozen=True)
class Location:
    """The box of a patch.

    Attributes
    ----------
    volume : str
        The volume or image, without the region that was cropped from it.
    axis : int, optional
        0 = xy, 1 = xz, 2 = yz; None in a 2D image.
    index : int
        Of the slice, in the region's own count.
    box : three intervals
        z, y, x in the dataset's voxels, the offset of a region counted in; of an image z is 0..1.
    """

    volume: str
    axis: int | None
    index: int
    box: tuple[Interval, Interval, Interval]

    def nm(self, voxel_size: tuple[float, float, float] | None) -> tuple[tuple[float, float], ...] | None:
        """The box in nm, where the voxel size is known."""
        if voxel_size is None:
            return None
        return tuple((a * side, b * side) for (a, b), side in zip(self.box, voxel_size, strict=True))


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


def image_of(dataset: str) -> str:
    """A dataset's name without the level of a multiscale image: levels show the same tissue.

    >>> image_of("fly_s2"), image_of("fly")
    ('fly', 'fly')
    """
    return (parsed(parse_level, dataset) or (dataset, 0))[0]
