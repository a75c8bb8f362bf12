"""2D images: read any common format as one channel, the way it would be displayed."""

import math
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from utils.files import list_entries, suffix
from utils.memory import require, require_possible
from utils.picture_sizes import PNG, codec_of, picture_size
from utils.reading import DAMAGE, open_tiff_file, refuse_special

if TYPE_CHECKING:
    from PIL import Image
    from tifffile import TiffFrame, TiffPage, TiffPageSeries

TIFF_SUFFIXES = frozenset({".tif", ".tiff", ".ome.tif", ".ome.tiff", ".btf", ".ome.btf", ".lsm", ".stk", ".svs"})
IMAGE_SUFFIXES = (
    TIFF_SUFFIXES
    | {".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".j2k", ".jpx", ".j2c", ".jpf"}
    | {".jxl", ".jxr", ".wdp", ".hdp", ".webp", ".avif", ".bmp", ".dib", ".gif"}
    | {".pgm", ".ppm", ".pbm", ".pnm", ".pam", ".tga", ".pcx", ".qoi", ".sgi"}
)
# Rec. 709 weights, those of skimage.color.rgb2gray (https://poynton.ca/PDFs/ColorFAQ.pdf, question 9).
LUMINANCE = (0.2125, 0.7154, 0.0721)
_MIXED_AT_ONCE = 1 << 22

# TIFF's numbers for colour spaces: ink, and those whose first channel is lightness (YCbCr and three kinds of Lab);
# and for JPEG, which the codec turns into RGB.
_CMYK, _GRAY_FIRST, _JPEG = 5, frozenset({6, 8, 9, 10}), frozenset({6, 7, 33007, 34892})


# TIFF's numbers for how pixels are compressed.
_TIFF_ENCODINGS = {
    1: "raw", 5: "lzw", 8: "deflate", 32946: "deflate", 32773: "packbits", 50000: "zstd", 34926: "zstd", 34925: "lzma",
}  # fmt: skip
# Those of TIFF's compressions that are pictures of their own: JPEG, JPEG 2000, XR and XL, WebP, PNG.
_PICTURES_IN_TIFF = frozenset(
    {6, 7, 33003, 33004, 33005, 33007, 34712, 34892, 22610, 34934, 50001, 34927, 50002, 52546, 34933}
)
_PART_HEADER, _LEAST_PART = 1 << 16, 1 << 16
# What Pillow may take a file for by its content, as the suffixes above have it: for PostScript it starts a program.
_PILLOWS = ("PNG", "JPEG", "JPEG2000", "WEBP", "AVIF", "BMP", "DIB", "GIF", "PPM", "TGA", "PCX", "QOI", "SGI")
_COPIES = 3  # of an image's pixels in memory while it is decoded and becomes one channel


def list_images(folder: Path) -> tuple[list[Path], list[Path]]:
    """The image files of a folder in natural order, and the other files in it (hidden and system files are neither)."""
    entries = list_entries(folder)
    images = [f for f in entries.files if suffix(f) in IMAGE_SUFFIXES]
    return images, [*(f for f in entries.files if suffix(f) not in IMAGE_SUFFIXES), *entries.special]


def read_gray(path: Path) -> np.ndarray:
    """Read an image file as one channel, in its own dtype.

    Palettes and RGB(A) become luminance where channels differ, white-is-zero images are inverted (what a viewer shows;
    1-bit masks stay as stored), of several pages the first is taken and a warning says so. Rows and columns come as
    stored: tags of an orientation are not applied.

    Returns
    -------
    ndarray, shape (h, w)
        bool for 1-bit images, else integers or floats in native byte order.

    Raises
    ------
    OSError, ValueError
        If the file is no image or is damaged; the message says what is wrong.
    """
    refuse_special(path)
    if path.stat().st_size == 0:
        raise ValueError("the file is empty")
    with _decoding(*DAMAGE):
        pixels = _read_tiff(path) if is_tiff(path) else _read_picture(path)
    if pixels.ndim != 2 or 0 in pixels.shape:
        raise ValueError(f"expected a 2D image, found an array of shape {pixels.shape}")
    if pixels.dtype.kind not in "buif":
        raise ValueError(f"holds {pixels.dtype} pixels: only integers and real numbers are images")
    return np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("="))


@contextmanager
def _decoding(*damage: type[Exception]) -> Iterator[None]:
    """Within, what a decoder throws at damaged files becomes one sentence; what the system says stays."""
    try:
        yield
    except damage as error:
        if isinstance(error, OSError) and error.errno:
            raise
        said = "" if isinstance(error, UnicodeError) else f": {error or type(error).__name__}"  # words of no language
        raise ValueError(f"a damaged image, or none{said}") from error


def luminance(pixels: np.ndarray) -> np.ndarray:
    """One channel of an image whose last axis is gray, gray + alpha, RGB or RGBA.

    Parameters
    ----------
    pixels : ndarray, shape (..., channels)

    Returns
    -------
    ndarray, shape (..., without the last axis), same dtype
        The channel itself where all three are equal; else Rec. 709 luminance, rounded for integers.
    """
    if pixels.shape[-1] < 3:
        return pixels[..., 0]
    red, green, blue = (pixels[..., channel] for channel in range(3))
    if np.array_equal(red, green) and np.array_equal(red, blue):
        return red
    mixed = np.empty(red.shape, pixels.dtype)
    for first in range(0, len(red), rows := max(1, _MIXED_AT_ONCE // max(1, red[:1].size))):
        some = slice(first, first + rows)  # floats of all pixels would be many times the image
        sums = red[some] * LUMINANCE[0] + green[some] * LUMINANCE[1] + blue[some] * LUMINANCE[2]
        mixed[some] = np.rint(sums) if pixels.dtype.kind in "iu" else sums
    return mixed


def is_tiff(path: Path) -> bool:
    """Whether the content is TIFF (classic or Big), whatever the name says."""
    with path.open("rb") as f:
        return f.read(4) in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}


def _read_tiff(path: Path) -> np.ndarray:
    with open_tiff_file(path) as tif:
        if not len(tif.pages):
            raise ValueError("a TIFF without a single page: empty or cut short")
        pages = max(len(tif.pages), _planes(tif.series[0]))
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
    key = cast("TiffPage", page.keyframe)
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
    require(_COPIES * max(key.nbytes, math.prod(key.chunks) * key.bitspersample // 8), "the image")


def _planes(series: "TiffPageSeries") -> int:
    sizes = [n for n, axis in zip(series.shape, series.axes, strict=True) if axis not in "YXS"]
    return int(np.prod(sizes, dtype=np.int64))


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
        return _inverted(pixels, key.bitspersample)
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
            if codec_of(part):
                height, width, _ = picture_size(part)
            elif picture := _opened_by_pillow(part):
                width, height = picture.size
            else:
                continue
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
    gray: np.ndarray = (luminance(colours) // 257).astype(np.uint8)[indices]
    return gray


def _inverted(pixels: np.ndarray, bits: int) -> np.ndarray:
    if pixels.dtype.kind == "b":  # masks: tifffile marks all of them white-is-zero, and True is still the foreground
        return pixels
    if pixels.dtype.kind == "u":
        return np.asarray(pixels.dtype.type((1 << bits) - 1) - pixels)
    return -pixels if pixels.dtype.kind == "f" else np.invert(pixels)


@contextmanager
def open_picture(path: Path) -> "Iterator[Image.Image | None]":
    """A file as Pillow opens it; None where it is of no format that Pillow knows."""
    with _decoding(OSError, ValueError):
        image = _opened_by_pillow(path)
    with image or nullcontext():
        yield image


def _opened_by_pillow(file: Path | BytesIO) -> "Image.Image | None":
    from PIL import Image, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = None  # EM images are larger than what Pillow takes for an attack
    try:
        return Image.open(file, formats=_PILLOWS)
    except UnidentifiedImageError:
        return None


def _read_picture(path: Path) -> np.ndarray:
    with open_picture(path) as image:
        if image is not None:
            if (frames := getattr(image, "n_frames", 1)) > 1:
                warnings.warn(f"{path.name} holds {frames} frames: the first was taken", stacklevel=3)
            channels = len(image.getbands())
            require(_COPIES * channels * image.width * image.height * (4 if image.mode in "IF" else 1), "the image")
            if image.format == "PNG":
                bits = image.width * image.height * (1 if image.mode in "1P" else 8 * channels)
                require_possible(bits // 8, path.stat().st_size, "deflate", "pixels")
                _refuse_wrong_checksums(path)
            if _is_deep_colour(path):
                return _decoded(path, "png")
            with _decoding(OSError, ValueError):
                return luminance(_pillow_pixels(image))
    return _read_with_codecs(path)


def _refuse_wrong_checksums(path: Path) -> None:
    """Refuse a PNG of damaged pixels: Pillow stops where the last row is full, and compares nothing.

    Where the file ends within a chunk, the decoder tells whether pixels are missing.
    """
    with path.open("rb") as f:
        f.seek(len(PNG))
        while len(head := f.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            checksum, left = zlib.crc32(kind), length
            while left and (piece := f.read(min(left, 1 << 20))):
                checksum, left = zlib.crc32(piece, checksum), left - len(piece)
            stored = f.read(4)
            if left or len(stored) < 4:
                return
            if kind[:1].isupper() and int.from_bytes(stored, "big") != checksum:  # others hold no pixels
                raise ValueError(f"a damaged PNG: the checksum of its part {kind.decode('latin1')} is wrong")


def _pillow_pixels(image: "Image.Image") -> np.ndarray:
    if image.mode in {"P", "CMYK", "YCbCr", "LAB", "HSV", "PA", "RGBa", "La"}:
        image = image.convert("LA" if image.mode in {"PA", "La"} else "RGB")
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[..., np.newaxis]


def _is_deep_colour(path: Path) -> bool:
    """Whether this is a PNG of 16-bit colour, which Pillow would cut to 8 bits."""
    with path.open("rb") as f:
        head = f.read(26)
    return head[:8] == PNG and head[24] == 16 and head[25] in (2, 4, 6)


def _read_with_codecs(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        if not (codec := codec_of(file)):
            raise ValueError(f"no image format that can be read, whatever its name says ({path.suffix})")
        height, width, animated = picture_size(file)
    if codec == "png":  # of which Pillow takes no wrong checksum at all
        _refuse_wrong_checksums(path)
    require(_COPIES * height * width * 4, "the image")
    if animated:
        warnings.warn(f"{path.name} holds several frames: the first was taken", stacklevel=4)
    return _decoded(path, codec, **({"index": 0} if codec == "jpegxl" else {}))


def _decoded(path: Path, codec: str, **options: int) -> np.ndarray:
    """By one codec: trying all would have programs for every format at work on every file."""
    import imagecodecs

    with _decoding(ValueError):
        pixels: np.ndarray = getattr(imagecodecs, f"{codec}_decode")(path.read_bytes(), **options)
    return pixels if pixels.ndim == 2 else luminance(pixels)
