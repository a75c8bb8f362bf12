"""Folders of slices: one image file per z, in natural order."""

import re
import warnings
from collections.abc import Sequence
from itertools import chain, islice, pairwise
from pathlib import Path

import numpy as np

from utils.files import stem, stem_of_file, suffix
from utils.formats.volume_base import PagedVolume, Volume
from utils.formats.voxel_size import VoxelSize
from utils.images import list_images, open_picture, read_gray
from utils.outcomes import describe
from utils.reading import open_tiff_file
from utils.tiff_pages import TIFF_SUFFIXES

# Two detectors in one file are common; more pages are a stack of its own.
_MOST_PAGES = 2
# Missing slices that are named.
_MOST_NAMES = 5


class SliceFolder(PagedVolume):
    """Image files of one size (as far as their headers tell, at once) and type; colours are read as luminance."""

    def __init__(self, name: str, slices: list[Path]) -> None:
        first = read_gray(slices[0])
        super().__init__(
            name, (len(slices), *first.shape), first.dtype, VoxelSize(None, "a folder of slices has no header")
        )
        self._slices, self._first = slices, first
        for path in slices:
            if shape := _shape(path):
                self._refuse_unlike(path.name, shape)

    def _decode_page(self, z: int) -> np.ndarray:
        try:
            return read_gray(self._slices[z]) if z else self._first
        except (OSError, ValueError) as error:
            raise ValueError(f"slice {self._slice_name(z)}: {describe(error)}") from error

    def _slice_name(self, z: int) -> str:
        return self._slices[z].name


def open_slices(folder: Path) -> Volume:
    """Open a folder of slices; a number that is missing in their sequence is said aloud.

    Raises
    ------
    ValueError
        If it holds fewer than two images, or images of different sizes, or whole stacks.
    """
    slices, _ = list_images(folder)
    if len(slices) < 2:
        raise ValueError(f"holds {len(slices)} image files, expected a folder of at least 2 slices")
    volume = SliceFolder(stem(folder), slices)
    stems = [stem_of_file(path) for path in slices]
    if twice := [b.name for a, b in pairwise(slices) if stem_of_file(a) == stem_of_file(b)]:
        warnings.warn(
            f"slices of one name in several formats ({len(twice)}, such as {twice[0]}) each count", stacklevel=2
        )
    count, names = missing_slices(stems)
    if count:
        more = f" and {count - len(names)} more" if count > len(names) else ""
        warnings.warn(
            f"slices are missing in the sequence ({count}): {', '.join(names)}{more}; sections across them are torn",
            stacklevel=2,
        )
    return volume


def missing_slices(stems: Sequence[str]) -> tuple[int, list[str]]:
    """How many names are missing in a sequence, and the first few.

    Names are a sequence where they are alike but for one number, and at least half of its steps are the smallest one,
    of which the others are multiples.

    >>> missing_slices(["z_00", "z_01", "z_03", "z_04"]), missing_slices(["z0", "z10", "z20"])
    ((1, ['z_02']), (0, []))
    """
    pieces = [re.split(r"(\d+)", name) for name in stems]
    if len({len(parts) for parts in pieces}) != 1:
        return 0, []
    varying = [place for place, same in enumerate(zip(*pieces, strict=True)) if len(set(same)) > 1]
    if len(varying) != 1 or varying[0] % 2 == 0:
        return 0, []
    place = varying[0]
    numbers = [int(parts[place]) for parts in pieces]
    steps = [b - a for a, b in pairwise(numbers)]
    step = min(steps, default=0)
    if step < 1 or any(n % step for n in steps) or 2 * steps.count(step) < len(steps):
        return 0, []
    missing = chain.from_iterable(range(a + step, b, step) for a, b in pairwise(numbers))
    before, width, after = "".join(pieces[0][:place]), len(pieces[0][place]), "".join(pieces[0][place + 1 :])
    named = [f"{before}{number:0{width}}{after}" for number in islice(missing, _MOST_NAMES)]
    return sum(n // step - 1 for n in steps), named


def _shape(path: Path) -> tuple[int, int] | None:
    """(y, x) from the header alone, None when only decoding can tell."""
    if suffix(path) in TIFF_SUFFIXES:
        return _tiff_shape(path)
    try:
        with open_picture(path) as image:
            return None if image is None else (image.height, image.width)
    except SyntaxError:
        return None


def _tiff_shape(path: Path) -> tuple[int, int]:
    try:
        with open_tiff_file(path) as tif:
            if len(tif.pages) > _MOST_PAGES:
                raise ValueError(f"holds {len(tif.pages)} pages: a folder of stacks is no folder of slices")
            page = tif.pages.first
            return (page.imagelength, page.imagewidth)
    except (ValueError, OSError, IndexError, KeyError) as error:
        raise ValueError(f"slice {path.name}: {describe(error)}") from error
