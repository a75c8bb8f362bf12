"""utils/picture_sizes.py: what the headers of pictures claim, before a decoder believes it."""

import struct
from io import BytesIO

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from utils.picture_sizes import claimed_size, codec_of, picture_size


@pytest.mark.parametrize("shape", [(8, 8), (63, 64), (256, 128), (257, 300), (800, 960), (9, 16), (3000, 20), (30, 40),
                                   (40, 60), (40, 50), (40, 80)])  # fmt: skip
@pytest.mark.parametrize("boxes", [False, True])
def test_size_of_a_jpeg_xl(rng, shape, boxes):
    pixels = rng.integers(0, 255, shape, np.uint8)
    file = BytesIO(imagecodecs.jpegxl_encode(pixels, lossless=True, usecontainer=boxes))
    assert (codec_of(file), picture_size(file)) == ("jpegxl", (*shape, False))


def test_a_jpeg_xl_of_many_frames():
    file = BytesIO(imagecodecs.jpegxl_encode(np.zeros((3, 20, 30), np.uint8), lossless=True))
    assert picture_size(file) == (20, 30, True)


SQUARE = [(1, 1), (3, 5), (1, 3)]  # small, of four times eight pixels, as wide as high


@pytest.mark.parametrize("screen", [[(0, 1)], [(1, 1), *SQUARE]])
@pytest.mark.parametrize("animated", [False, True])
def test_what_a_jpeg_xl_says_besides(screen, animated):
    """Values and their bits: its size, metadata of its own and more, a turn, perhaps a screen, no preview, floats."""
    header, begin = 0, 0
    for value, bits in [*SQUARE, (0, 1), (1, 1), (5, 3), *screen, (0, 1), (animated, 1), (1, 1)]:
        header, begin = header | value << begin, begin + bits
    assert picture_size(BytesIO(b"\xff\x0a" + header.to_bytes(4, "little"))) == (32, 32, animated)


def test_size_of_a_jpeg_xr(rng):
    file = BytesIO(imagecodecs.jpegxr_encode(rng.integers(0, 255, (63, 80), np.uint8)))
    assert (codec_of(file), picture_size(file)) == ("jpegxr", (63, 80, False))


@pytest.mark.parametrize(
    "damaged",
    [
        b"II\xbc\x01",
        b"II\xbc\x01" + struct.pack("<IH", 8, 0),
        b"II\xbc\x01" + struct.pack("<IH", 8, 65535) + bytes(24),
        b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x03free",
        b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x09free",
    ],
)
def test_headers_without_a_size(damaged):
    with pytest.raises(ValueError, match="its header"):
        picture_size(BytesIO(damaged))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_whoever_decodes_it(kind):
    file = BytesIO()
    Image.new("L", (30, 20)).save(file, kind)
    assert claimed_size(file) == (20, 30)
    assert claimed_size(BytesIO(b"no picture")) == (0, 0)
