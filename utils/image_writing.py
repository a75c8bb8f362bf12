"""Writing single-channel uint8 images, and telling those that need no writing."""

from pathlib import Path

import numpy as np

from utils.contrast import measure_contrast, to_uint8
from utils.files import suffix
from utils.images import open_picture
from utils.reading import open_tiff_file
from utils.tiff_pages import is_tiff


def is_clean(path: Path) -> bool:
    """Whether an image file is gray uint8 already: one channel, one page, black is zero."""
    if is_tiff(path):
        with open_tiff_file(path) as tif:
            page = tif.pages.first
            return (
                len(tif.pages) == 1
                and page.dtype == np.uint8
                and page.photometric == 1  # MINISBLACK
                and (page.bitspersample, page.samplesperpixel) == (8, 1)
                and tif.series[0].ndim == 2
            )
    with open_picture(path) as image:
        return image is not None and image.mode == "L" and getattr(image, "n_frames", 1) == 1


def write_gray(path: Path, pixels: np.ndarray, contrast: str, source: Path, *, stretch: bool = False) -> None:
    """Write pixels as uint8, as PNG or TIFF by the suffix; the description in it names its source.

    Parameters
    ----------
    path : Path
    pixels : ndarray, shape (h, w)
    contrast : str
        As `stretch`, that of `utils.contrast.measure_contrast`.
    source : Path
    stretch : bool
    """
    gray = to_uint8(pixels, measure_contrast(pixels, contrast, stretch=stretch))
    if suffix(path) == ".png":
        from PIL import Image
        from PIL.PngImagePlugin import PngInfo

        note = PngInfo()
        note.add_text("Description", _made_from(source))
        note.add_text("Software", _software(stretch))
        Image.fromarray(gray).save(path, format="PNG", compress_level=3, pnginfo=note)
    else:
        import tifffile

        tifffile.imwrite(path, gray, description=_made_from(source), metadata=None, software=_software(stretch))


def was_made_from(target: Path, source: Path) -> bool:
    """Whether `write_gray` made a target from this source: what a run leaves that is killed before it could tidy up."""
    return _notes(target)[0] == _made_from(source)


def is_stretched(path: Path) -> bool:
    """Whether `write_gray` wrote an image with `stretch`."""
    return _notes(path)[1] == _software(True)


def _software(stretch: bool) -> str:
    return "cleanup2d --stretch" if stretch else "cleanup2d"


def _notes(path: Path) -> tuple[str, str]:
    """Description and software of a TIFF or a PNG; empty where there are none."""
    if is_tiff(path):
        with open_tiff_file(path) as tif:
            return tif.pages.first.description, tif.pages.first.software
    if suffix(path) != ".png":
        return "", ""
    with open_picture(path) as image:
        notes = image.info if image else {}
        return str(notes.get("Description", "")), str(notes.get("Software", ""))


def _made_from(source: Path) -> str:
    return f"gray uint8 copy of {source.name}".encode("ascii", "backslashreplace").decode()
