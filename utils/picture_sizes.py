"""Height and width that pictures claim by their headers, told before a decoder believes them."""

import struct
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from PIL import Image

# How a file begins: a JPEG XL picture alone, in boxes, a JPEG XR, a PNG.
_JXL, _JXL_BOXES, _JXR, PNG = b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n", b"II\xbc\x01", b"\x89PNG\r\n\x1a\n"
_CODECS = {_JXL: "jpegxl", _JXL_BOXES: "jpegxl", _JXR: "jpegxr", PNG: "png"}
# JPEG XL: how many bits a side takes by the two bits before it; widths as shares of the height (the first: none).
_SIDE_BITS = (9, 13, 18, 30)
_RATIOS = ((0, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_JXR_SIDES = (0xBC81, 0xBC80)
_MOST_TAGS = 100
# What Pillow may take a file for by its content, as the suffixes of images have it: for PostScript it starts a program.
_PILLOWS = ("PNG", "JPEG", "JPEG2000", "WEBP", "AVIF", "BMP", "DIB", "GIF", "PPM", "TGA", "PCX", "QOI", "SGI")


def claimed_size(file: BytesIO) -> tuple[int, int]:
    """Height and width of a picture of any format that is decoded here; (0, 0) of what is none.

    Raises
    ------
    ValueError, OSError
        If its header is damaged.
    """
    if codec_of(file):
        return picture_size(file)[:2]
    picture = opened_by_pillow(file)
    return (picture.height, picture.width) if picture else (0, 0)


def opened_by_pillow(file: Path | BytesIO) -> "Image.Image | None":
    """A file as Pillow opens it, its header read; None where it is of no format that Pillow knows."""
    from PIL import Image, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = None  # EM images are larger than what Pillow takes for an attack
    try:
        return Image.open(file, formats=_PILLOWS)
    except UnidentifiedImageError:
        return None


def codec_of(file: BinaryIO) -> str:
    """The codec of `imagecodecs` that decodes a file; empty where it is none of these pictures.

    >>> from io import BytesIO
    >>> codec_of(BytesIO(bytes([0xFF, 0x0A, 0]))), codec_of(BytesIO(b"GIF89a"))
    ('jpegxl', '')
    """
    file.seek(0)
    begin = file.read(len(_JXL_BOXES))
    file.seek(0)
    return next((codec for mark, codec in _CODECS.items() if begin.startswith(mark)), "")


def picture_size(file: BinaryIO) -> tuple[int, int, bool]:
    """Height and width of a picture that has a codec (see `codec_of`), and whether it is animated, by its header.

    Raises
    ------
    ValueError
        If the header is cut short, or says nothing of a size.
    """
    readers = {"jpegxl": _jpegxl_size, "jpegxr": _jpegxr_size, "png": _png_size}
    try:
        return readers[codec_of(file)](file)
    except (struct.error, IndexError) as error:
        raise ValueError("its header is cut short") from error


def _jpegxl_size(file: BinaryIO) -> tuple[int, int, bool]:
    """ISO/IEC 18181-1, SizeHeader and the begin of ImageMetadata; the boxes of 18181-2 around them."""
    mark = file.read(len(_JXL))
    if mark != _JXL:
        _enter_codestream(file)
        mark = file.read(len(_JXL))
    bits = int.from_bytes(file.read(24), "little")

    def take(count: int) -> int:
        nonlocal bits
        value, bits = bits & ((1 << count) - 1), bits >> count
        return value

    def side(small: int) -> int:
        return 8 * (1 + take(5)) if small else 1 + take(_SIDE_BITS[take(2)])

    def size() -> tuple[int, int]:
        small = take(1)
        height, ratio = side(small), take(3)
        times, parts = _RATIOS[ratio]
        return height, height * times // parts if ratio else side(small)

    height, width = size()
    animated = False
    if not take(1) and take(1):  # metadata of its own, with more than the usual
        take(3)  # orientation
        if take(1):
            size()  # of the screen that it was made for
        animated = not take(1) and bool(take(1))  # behind a preview it is not looked for
    return height, width, animated


def _enter_codestream(file: BinaryIO) -> None:
    """Go to the first byte of the picture among boxes."""
    file.seek(0)
    while True:
        length, kind = struct.unpack(">I4s", file.read(8))
        length = length - 8 if length != 1 else struct.unpack(">Q", file.read(8))[0] - 16
        if kind in (b"jxlc", b"jxlp"):
            file.seek(4 if kind == b"jxlp" else 0, 1)
            return
        if length < 0:
            raise ValueError("its header has a box without length")
        file.seek(length, 1)


def _jpegxr_size(file: BinaryIO) -> tuple[int, int, bool]:
    """ITU-T T.832, annex A: a directory like a TIFF's."""
    file.seek(4)
    file.seek(struct.unpack("<I", file.read(4))[0])
    (count,) = struct.unpack("<H", file.read(2))
    tags = {}
    for _ in range(min(count, _MOST_TAGS)):
        tag, kind, _, value = struct.unpack("<HHII", file.read(12))
        tags[tag] = value & 0xFFFF if kind == 3 else value
    if not all(tags.get(tag) for tag in _JXR_SIDES):
        raise ValueError("its header has no size")
    return tags[_JXR_SIDES[0]], tags[_JXR_SIDES[1]], False


def _png_size(file: BinaryIO) -> tuple[int, int, bool]:
    file.seek(len(PNG) + 8)
    width, height = struct.unpack(">II", file.read(8))
    return height, width, False
