"""Writing single-channel uint8 images, and telling those that need no writing."""

from pathlib import Path

import numpy as np

from utils.contrast import to_uint8
from utils.files import suffix
from utils.images import is_tiff


def is_clean(path: Path) -> bool:
    """Whether an image file is gray uint8 already: one channel, one page, black is zero."""
    if is_tiff(path):
        import tifffile

        with tifffile.TiffFile(path) as tif:
            page = tif.pages.first
            return (
                len(tif.pages) == 1
                and page.dtype == np.uint8
                and page.photometric == tifffile.PHOTOMETRIC.MINISBLACK
                and (page.bitspersample, page.samplesperpixel) == (8, 1)
                and tif.series[0].ndim == 2
            )
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return image.mode == "L" and getattr(image, "n_frames", 1) == 1
    except UnidentifiedImageError:
        return False


def write_gray(path: Path, pixels: np.ndarray, contrast: str, source: Path) -> None:
    """Write pixels as uint8, as PNG or TIFF by the suffix; a TIFF's description names its source."""
    gray = to_uint8(pixels, contrast)
    if suffix(path) == ".png":
        from PIL import Image

        Image.fromarray(gray).save(path, format="PNG", compress_level=3)
    else:
        import tifffile

        tifffile.imwrite(path, gray, description=_made_from(source), metadata=None, software="cleanup2d")


def was_made_from(target: Path, source: Path) -> bool:
    """Whether `write_gray` made a target from this source: what a run leaves that is killed before it could tidy up."""
    if not is_tiff(target):
        return False
    import tifffile

    with tifffile.TiffFile(target) as tif:
        return tif.pages.first.description == _made_from(source)


def _made_from(source: Path) -> str:
    return f"gray uint8 copy of {source.name}".encode("ascii", "backslashreplace").decode()
