"""2D images: read any common format as one channel, the way it would be displayed."""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from utils.files import list_entries, suffix
from utils.luminance import luminance
from utils.memory import require, require_possible
from utils.picture_sizes import PNG, codec_of, opened_by_pillow, picture_size
from utils.reading import DAMAGE, first_bytes, refuse_special
from utils.tiff_pages import COPIES, TIFF_SUFFIXES, is_tiff, read_first_page

if TYPE_CHECKING:
    from PIL import Image

IMAGE_SUFFIXES = (
    TIFF_SUFFIXES
    | {".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".j2k", ".jpx", ".j2c", ".jpf"}
    | {".jxl", ".jxr", ".wdp", ".hdp", ".webp", ".avif", ".bmp", ".dib", ".gif"}
    | {".pgm", ".ppm", ".pbm", ".pnm", ".pam", ".tga", ".pcx", ".qoi", ".sgi"}
)

_HEAD_BYTES = 1 << 16
_CODESTREAM = b"\xff\x4f\xff\x51"  # how JPEG 2000's begins: with its sizes


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
        pixels = read_first_page(path) if is_tiff(path) else _read_picture(path)
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


@contextmanager
def open_picture(path: Path) -> "Iterator[Image.Image | None]":
    """A file as Pillow opens it; None where it is of no format that Pillow knows."""
    with _decoding(OSError, ValueError):
        image = opened_by_pillow(path)
    with image or nullcontext():
        yield image


def _read_picture(path: Path) -> np.ndarray:
    with open_picture(path) as image:
        if image is not None:
            if (frames := getattr(image, "n_frames", 1)) > 1:
                warnings.warn(f"{path.name} holds {frames} frames: the first was taken", stacklevel=3)
            channels = len(image.getbands())
            deep = _deep_codec(path, image)
            nbytes = 4 if image.mode in ("I", "F") else 2 if deep or image.mode.startswith("I;16") else 1
            require(COPIES * channels * image.width * image.height * nbytes, "the image")
            if image.format == "PNG":
                bits = image.width * image.height * (1 if image.mode in "1P" else 8 * channels)
                require_possible(bits // 8, path.stat().st_size, "deflate", "pixels")
                _refuse_wrong_checksums(path)
            if deep:
                return _decoded(path, deep)
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
        image = image.convert({"PA": "LA", "La": "LA", "P": "RGBA"}.get(image.mode, "RGB"))
    pixels = np.asarray(image, np.uint16 if (image.format, image.mode) == ("PPM", "I") else None)  # a PGM's
    return pixels if pixels.ndim == 3 else pixels[..., np.newaxis]


def _deep_codec(path: Path, image: "Image.Image") -> str:
    """The codec for a picture of 16-bit channels that Pillow would cut to 8 bits; empty where it does not.

    Raises
    ------
    ValueError
        If there is none.
    """
    if image.format == "PNG":
        *_, bits, kind = first_bytes(path, 26)
        return "png" if bits == 16 and kind in (2, 4, 6) else ""
    if image.format == "JPEG2000":
        head = first_bytes(path, _HEAD_BYTES)
        depth = head[head.find(_CODESTREAM) :][42:43] or b"\0"  # of the first channel, less 1; signed ones have a bit
        return "jpeg2k" if len(image.getbands()) > 1 and depth[0] & 127 > 7 else ""
    for decoder, _, _, options in getattr(image, "tile", ()):
        if decoder == "SGI16" or (decoder.startswith("ppm") and image.mode == "RGB" and options[1] > 255):
            raise ValueError("its channels have 16 bits, of which 8 would be left: save it as TIFF or PNG")
    return ""


def _read_with_codecs(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        if not (codec := codec_of(file)):
            raise ValueError(f"no image format that can be read, whatever its name says ({path.suffix})")
        height, width, animated = picture_size(file)
    if codec == "png":  # of which Pillow takes no wrong checksum at all
        _refuse_wrong_checksums(path)
    require(COPIES * height * width * 4, "the image")
    if animated:
        warnings.warn(f"{path.name} holds several frames: the first was taken", stacklevel=4)
    return _decoded(path, codec, **({"index": 0} if codec == "jpegxl" else {}))


def _decoded(path: Path, codec: str, **options: int) -> np.ndarray:
    """By one codec: trying all would have programs for every format at work on every file."""
    import imagecodecs

    with _decoding(ValueError):
        pixels: np.ndarray = getattr(imagecodecs, f"{codec}_decode")(path.read_bytes(), **options)
    return pixels if pixels.ndim == 2 else luminance(pixels)
