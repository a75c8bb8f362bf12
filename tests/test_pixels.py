"""Pixels of kept patches: TIFFs of bytes, pictures whatever the zlib."""

import io
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from utils.collection.pixels import BLOCK, patch_size, png_bytes, read_patch


def test_the_picture_is_what_pillow_reads(rng):
    for shape in ((1, 1), (224, 224), (300, 7), (400, 500)):
        patch = rng.integers(0, 256, shape).astype(np.uint8)
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png_bytes(patch)))), patch)


def write(path, pixels, **options):
    tifffile.imwrite(path, pixels, **{"photometric": "minisblack", "metadata": None, **options})
    return path


def test_stored_pictures_have_the_same_bytes_everywhere():
    patch = np.arange(6, dtype=np.uint8).reshape(2, 3)
    raw = b"\0\0\1\2\0\3\4\5"  # a filter of 0 before each row
    data = b"\x78\x01\x01\x08\x00\xf7\xff" + raw + zlib.adler32(raw).to_bytes(4, "big")
    head = b"IHDR\0\0\0\3\0\0\0\2\x08\0\0\0\0"
    pieces = [head, b"IDAT" + data, b"IEND"]
    whole = [(len(p) - 4).to_bytes(4, "big") + p + zlib.crc32(p).to_bytes(4, "big") for p in pieces]
    assert png_bytes(patch) == b"\x89PNG\r\n\x1a\n" + b"".join(whole)


@pytest.mark.parametrize("length", [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK])
def test_long_pictures_are_several_blocks(length):
    patch = np.arange(length - 1, dtype=np.uint32).astype(np.uint8)[None]
    picture = png_bytes(patch)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(picture))), patch)
    assert zlib.decompress(picture[41:-16]) == b"\0" + patch.tobytes()  # the last block is marked


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_kept_patches_are_read(tmp_path, rng, compression):
    pixels = rng.integers(0, 256, (30, 40)).astype(np.uint8)
    path = write(tmp_path / "a.tiff", pixels, compression=compression)
    np.testing.assert_array_equal(read_patch(path), pixels)
    assert patch_size(path) == (30, 40)
    path.write_bytes(path.read_bytes()[:-30])
    for read in (read_patch, patch_size):
        with pytest.raises((ValueError, OSError)):
            read(path)


def test_packed_pixels_that_cannot_be_unpacked_have_no_size(tmp_path, rng):
    path = write(tmp_path / "a.tiff", rng.integers(0, 256, (30, 40)).astype(np.uint8), compression="zlib")
    content = path.read_bytes()
    path.write_bytes(content[:-600] + bytes(600))
    with pytest.raises((ValueError, OSError)):
        patch_size(path)


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (np.zeros((2, 9, 9), np.uint8), "2 x uint8"),
        (np.zeros((9, 9), np.uint16), "1 x uint16"),
        (np.zeros((9, 9, 3), np.uint8), "1 x uint8"),
    ],
)
def test_what_is_no_patch(tmp_path, pixels, said):
    path = write(tmp_path / "a.tiff", pixels, photometric="rgb" if pixels.shape[-1] == 3 else "minisblack")
    for read in (read_patch, patch_size):
        with pytest.raises(ValueError, match=rf"{said} .*, expected one 2D patch of uint8"):
            read(path)


def test_strips_that_are_too_short_are_no_pixels(tmp_path, rng):
    path = write(tmp_path / "a.tiff", rng.integers(0, 256, (30, 40)).astype(np.uint8))
    with tifffile.TiffFile(path, mode="r+") as tif:
        tif.pages.first.tags["StripByteCounts"].overwrite(1199)
    for read in (read_patch, patch_size):
        with pytest.raises(ValueError, match="too few for 30 x 40 pixels"):
            read(path)
