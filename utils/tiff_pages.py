"""Pages of TIFF files: whether they are all there, and their pixels as the one channel that would be displayed."""

import math
import warnings
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from utils.luminance import luminance
from utils.memory import require, require_possible
from utils.picture_sizes import claimed_size
from utils.reading import DAMAGE, first_bytes, open_tiff_file

if TYPE_CHECKING:
    from tifffile import TiffFrame, TiffPage, TiffPageSeries

TIFF_SUFFIXES = frozenset({".tif", ".tiff", ".ome.tif", ".ome.tiff", ".btf", ".ome.btf", ".lsm", ".stk", ".svs"})
COPIES = 3  # of an image's pixels in memory while it is decoded and becomes one channel
# TIFF's numbers for colour spaces: ink, and those whose first channel is lightness (gray beside which others are no
# colours, YCbCr and three kinds of Lab); and for JPEG, which the codec turns into RGB.
_CMYK, _GRAY_FIRST, _JPEG = 5, frozenset({0, 1, 6, 8, 9, 10}), frozenset({6, 7, 33007, 34892})
# TIFF's numbers for how pixels are compressed.
_TIFF_ENCODINGS = {
    1: "raw", 5: "lzw", 8: "deflate", 32946: "deflate", 32773: "packbits", 50000: "zstd", 34926: "zstd", 34925: "lzma",
}  # fmt: skip
# Those of TIFF's compressions that are pictures of their own: JPEG, JPEG 2000, XR and XL, WebP, PNG.
_PICTURES_IN_TIFF = frozenset(
    {6, 7, 33003, 33004, 33005, 33007, 34712, 34892, 22610, 34934, 50001, 34927, 50002, 52546, 34933}
)
_PART_HEADER, _LEAST_PART = 1 << 16, 1 << 16


def is_tiff(path: Path) -> bool:
    """Whether the content is TIFF (classic or Big), whatever the name says."""
    return first_bytes(path, 4) in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}


def read_first_page(path: Path) -> np.ndarray:
    """The displayed gray of a TIFF's first page; a warning says that there are more.

    Returns
    -------
    ndarray, shape (h, w)

    Raises
    ------
    ValueError
        If there is no page, or it is cut short.
    """
    with open_tiff_file(path) as tif:
        if not len(tif.pages):
            raise ValueError("a TIFF without a single page: empty or cut short")
        pages = max(len(tif.pages), plane_count(tif.series[0]))
        if pages > 1:
            warnings.warn(f"{path.name} holds {pages} pages: the first was taken", stacklevel=3)
        check_page(tif.pages.first)
        return tiff_page(tif.pages.first)


def check_page(page: "TiffPage | TiffFrame") -> None:
    """Refuse a page of a `tifffile.TiffFile` whose pixels are not all there, or do not fit into memory.

    Strips past the end of a file decode as zeros in some readers.

    Raises
    ------
    ValueError
        If the file is cut short.
    """
    key = page.keyframe or page.parent.pages.first  # pages that OME's metadata do not count have none
    if not all(isinstance(side, int) and side > 0 for side in (key.imagelength, key.imagewidth)):
        raise ValueError(f"a page of it has {key.imagewidth} x {key.imagelength} pixels: damaged")
    size = page.parent.filehandle.size
    if min((*page.dataoffsets, *page.databytecounts), default=0) < 0:
        raise ValueError("its pixels lie before the file begins: damaged")
    end = max((o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=False)), default=0)
    if end > size:
        raise ValueError(f"the file is cut short: {size} bytes, its pages reach to byte {end}")
    stored = sum(page.databytecounts)
    raw_bits = key.imagelength * key.imagewidth * key.imagedepth * key.samplesperpixel * max(1, key.bitspersample)
    require_possible(raw_bits // 8, stored, _TIFF_ENCODINGS.get(key.compression, ""), "pixels")
    require(COPIES * max(key.nbytes, math.prod(key.chunks) * key.bitspersample // 8), "the image")


def plane_count(series: "TiffPageSeries") -> int:
    """How many planes of rows, columns and colours a series holds: its slices, times and channels."""
    return math.prod(n for n, axis in zip(series.shape, series.axes, strict=True) if axis not in "YXS")


def tiff_page(page: "TiffPage | TiffFrame") -> np.ndarray:
    """The displayed gray of one page of a `tifffile.TiffFile`.

    Returns
    -------
    ndarray, shape (h, w)
    """
    key = cast("TiffPage", page.keyframe)  # later pages of a stack know only what differs from it
    if key.compression in _PICTURES_IN_TIFF:
        _refuse_large_parts(page, key)
    pixels = page.asarray()
    axes = page.axes
    if "S" in axes:
        pixels = luminance(_shown(np.moveaxis(pixels, axes.index("S"), -1), key))
        axes = axes.replace("S", "")
    pixels = pixels[tuple(slice(None) if a in "YX" else 0 for a in axes)]
    if key.photometric == 3 and key.colormap is not None:
        return _palette(pixels, key.colormap)
    if key.photometric == 0:  # MINISWHITE
        pixels = _inverted(pixels, key.bitspersample)
    if pixels.dtype == np.uint8 and key.bitspersample < 8:  # the brightest of 16 grays is white, as for a viewer
        return np.rint(pixels * (255 / ((1 << key.bitspersample) - 1))).astype(np.uint8)
    return pixels


def _refuse_large_parts(page: "TiffPage | TiffFrame", key: "TiffPage") -> None:
    """Refuse strips and tiles that are pictures larger than the page has them: their decoders believe them."""
    file = page.parent.filehandle
    most = 2 * max(math.prod(key.chunks), _LEAST_PART)  # blocks are filled up
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        with file.lock:
            file.seek(offset)
            part = BytesIO(file.read(min(count, _PART_HEADER)))
        try:
            height, width = claimed_size(part)
        except (*DAMAGE, OSError, ValueError):
            continue  # its decoder says what is wrong with it
        if height * width > most:
            raise ValueError(f"a part of the image claims {width} x {height} pixels, more than it can have")


def _shown(samples: np.ndarray, key: "TiffPage") -> np.ndarray:
    """Samples of any colour space, shape (..., channels), as RGB, or as the one channel that is gray already."""
    if key.photometric == _CMYK and samples.shape[-1] >= 4 and samples.dtype.kind == "u":
        white = np.iinfo(samples.dtype).max
        paper = (white - samples).astype(np.float64)  # what the ink leaves of it
        return np.rint(paper[..., :3] * paper[..., 3:4] / white).astype(samples.dtype)
    if key.photometric in _GRAY_FIRST and key.compression not in _JPEG:
        return samples[..., :1]
    return samples


def _palette(indices: np.ndarray, colormap: np.ndarray) -> np.ndarray:
    """The displayed gray of palette indices; colormap: (3, entries) uint16 with 65535 = full."""
    colours = colormap.T
    if colours.max(initial=0) < 256:  # some writers fill a TIFF colour map with 8-bit values
        colours = colours * 257
    return np.asarray((luminance(colours) // 257).astype(np.uint8)[indices.astype(np.intp)])  # of 1 bit they are bool


def _inverted(pixels: np.ndarray, bits: int) -> np.ndarray:
    if pixels.dtype.kind == "b":  # masks: tifffile marks all of them white-is-zero, and True is still the foreground
        return pixels
    if pixels.dtype.kind == "u":
        return np.asarray(pixels.dtype.type((1 << bits) - 1) - pixels)
    return -pixels if pixels.dtype.kind == "f" else np.invert(pixels)
