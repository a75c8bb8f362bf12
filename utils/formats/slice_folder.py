"""Folders of slices: one image file per z, in natural order."""

from pathlib import Path

import numpy as np

from utils.files import stem, suffix
from utils.formats.paged_volume import PagedVolume
from utils.formats.volume_base import Volume
from utils.formats.voxel_size import VoxelSize
from utils.images import TIFF_SUFFIXES, list_images, read_gray

# Two detectors in one file are common; more pages are a stack of its own.
_MOST_PAGES = 2


class SliceFolder(PagedVolume):
    """Image files of one size and type; colours are read as luminance."""

    def __init__(self, name: str, slices: list[Path]) -> None:
        first = read_gray(slices[0])
        super().__init__(
            name, (len(slices), *first.shape), first.dtype, VoxelSize(None, "a folder of slices has no header")
        )
        self._slices = slices
        self._cache[0] = first

    def _decode_page(self, z: int) -> np.ndarray:
        path = self._slices[z]
        try:
            page = read_gray(path)
        except (OSError, ValueError) as error:
            raise ValueError(f"slice {path.name}: {error}") from error
        if page.shape != self.shape[1:] or page.dtype != self.dtype:
            raise ValueError(_unlike(path, page.shape, str(page.dtype), self))
        return page


def open_slices(folder: Path) -> Volume:
    """Open a folder of slices.

    Raises
    ------
    ValueError
        If it holds fewer than two images, or images of different sizes, or whole stacks.
    """
    slices, _ = list_images(folder)
    if len(slices) < 2:
        raise ValueError(f"holds {len(slices)} image files, expected a folder of at least 2 slices")
    volume = SliceFolder(stem(folder), slices)
    for path in slices:
        shape = _shape(path)
        if shape is not None and shape != volume.shape[1:]:
            raise ValueError(_unlike(path, shape, "", volume))
    return volume


def _unlike(path: Path, shape: tuple[int, ...], dtype: str, volume: Volume) -> str:
    this = f"slice {path.name} is {shape[0]} x {shape[1]} {dtype}".rstrip()
    first = f"the first one {volume.shape[1]} x {volume.shape[2]} {volume.dtype}"
    return f"{this}, {first}: the slices of one volume must be alike"


def _shape(path: Path) -> tuple[int, int] | None:
    """(y, x) from the header alone, None when only decoding can tell."""
    if suffix(path) in TIFF_SUFFIXES:
        return _tiff_shape(path)
    from PIL import Image, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = None  # EM images are larger than what Pillow takes for an attack
    try:
        with Image.open(path) as image:
            return (image.height, image.width)
    except (UnidentifiedImageError, SyntaxError):
        return None


def _tiff_shape(path: Path) -> tuple[int, int]:
    import tifffile

    try:
        with tifffile.TiffFile(path) as tif:
            if len(tif.pages) > _MOST_PAGES:
                raise ValueError(f"holds {len(tif.pages)} pages: a folder of stacks is no folder of slices")
            page = tif.pages.first
            return (page.imagelength, page.imagewidth)
    except (ValueError, OSError, IndexError, KeyError) as error:
        raise ValueError(f"slice {path.name}: {error}") from error
