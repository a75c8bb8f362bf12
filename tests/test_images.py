"""utils/images.py: every kind of 2D image becomes one displayed channel."""

import logging
import os
import re
import struct

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin

from utils import memory
from utils.contrast import to_uint8
from utils.images import list_images, read_gray


@pytest.fixture
def gray(rng):
    return rng.integers(0, 256, (40, 50), dtype=np.uint8)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp", "a.pgm", "a.gif", "a.webp"])
def test_gray_formats(tmp_path, gray, name):
    options = {"lossless": True} if name.endswith("webp") else {}
    Image.fromarray(gray).save(tmp_path / name, **options)
    pixels = read_gray(tmp_path / name)
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, gray)


@pytest.mark.parametrize("dtype", ["<u2", ">u2", "<i2", "<u4", ">i4", "<f4", ">f8"])
def test_depths_and_byte_orders(tmp_path, gray, dtype):
    order = ">" if dtype.startswith(">") else "<"
    tifffile.imwrite(tmp_path / "a.tif", gray.astype(dtype), byteorder=order)
    pixels = read_gray(tmp_path / "a.tif")
    assert pixels.dtype == np.dtype(dtype).newbyteorder("=")
    assert np.array_equal(pixels, gray)


@pytest.mark.parametrize("compression", ["lzw", "zlib", "zstd", "packbits", "jpeg2000", "lerc"])
def test_tiff_codecs(tmp_path, gray, compression):
    tifffile.imwrite(tmp_path / "a.tif", gray, compression=compression)
    assert np.array_equal(read_gray(tmp_path / "a.tif"), gray)


def test_one_bit(tmp_path, gray):
    bits = gray > 128
    Image.fromarray(bits).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "b.tif", bits)
    tifffile.imwrite(tmp_path / "black.tif", bits, photometric="minisblack")
    for name in ("a.png", "b.tif", "black.tif"):
        assert np.array_equal(to_uint8(read_gray(tmp_path / name)), bits * np.uint8(255))


def test_white_is_zero_is_displayed_inverted(tmp_path, gray):
    for values, shown in (
        (gray, 255 - gray),
        (gray * np.float32(2), gray * -2.0),
        (gray.astype(np.int8), ~gray.astype(np.int8)),
    ):
        tifffile.imwrite(tmp_path / "a.tif", values, photometric="miniswhite")
        assert np.array_equal(read_gray(tmp_path / "a.tif"), shown)


def test_equal_channels_are_the_channel_others_luminance(tmp_path, gray):
    colour = np.stack([gray, gray // 2, 255 - gray], axis=-1)
    Image.fromarray(np.stack([gray] * 3, axis=-1)).save(tmp_path / "equal.png")
    Image.fromarray(np.dstack([gray] * 3 + [np.full_like(gray, 9)])).save(tmp_path / "alpha.png")
    Image.fromarray(colour).save(tmp_path / "colour.png")
    tifffile.imwrite(tmp_path / "planar.tif", np.moveaxis(colour, -1, 0), photometric="rgb", planarconfig="separate")
    assert np.array_equal(read_gray(tmp_path / "equal.png"), gray)
    assert np.array_equal(read_gray(tmp_path / "alpha.png"), gray)
    expected = np.rint(colour @ np.array([0.2125, 0.7154, 0.0721])).astype(np.uint8)
    assert np.array_equal(read_gray(tmp_path / "colour.png"), expected)
    assert np.array_equal(read_gray(tmp_path / "planar.tif"), expected)


def test_sixteen_bit_colours_keep_their_depth_or_are_refused(tmp_path, gray):
    deep = np.stack([gray.astype(np.uint16) * 200] * 3, axis=-1)
    alpha = np.full_like(deep[..., :1], 9)
    for pixels in (deep, np.dstack([deep, alpha]), np.dstack([deep[..., :1], alpha])):
        (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(pixels))
        assert np.array_equal(read_gray(tmp_path / "a.png"), deep[..., 0])
    for ending in ("jp2", "j2k"):
        packed = imagecodecs.jpeg2k_encode(deep, level=0, reversible=True, codecformat=ending)
        (tmp_path / f"a.{ending}").write_bytes(packed)
        assert np.array_equal(read_gray(tmp_path / f"a.{ending}"), deep[..., 0])
    height, width = gray.shape
    (tmp_path / "a.ppm").write_bytes(b"P6 %d %d 65535\n" % (width, height) + deep.astype(">u2").tobytes())
    head = struct.pack(">HBBHHHHII", 474, 0, 2, 2, width, height, 1, 0, 65535).ljust(512, b"\0")
    (tmp_path / "a.sgi").write_bytes(head + deep[..., 0].astype(">u2").tobytes())
    for maxval in (255, 100):
        (tmp_path / "b.ppm").write_bytes(
            b"P6 %d %d %d\n" % (width, height, maxval) + (deep // 512).astype("u1").tobytes()
        )
        assert np.ptp(read_gray(tmp_path / "b.ppm")) > 50
    (tmp_path / "plain.ppm").write_text("P3 2 1 255\n9 9 9 255 255 255\n")
    assert read_gray(tmp_path / "plain.ppm").tolist() == [[9, 255]]
    for name in ("a.ppm", "a.sgi"):
        with pytest.raises(ValueError, match="16 bits, of which 8 would be left"):
            read_gray(tmp_path / name)


def test_palettes_are_displayed_gray(tmp_path):
    indices = np.arange(256, dtype=np.uint8).reshape(16, 16)
    ramp = np.arange(256, dtype=np.uint16)[::-1] * 257
    colours = np.stack([ramp, ramp, ramp])
    colours[:, 9] = (65535, 0, 0)  # an overlay colour among the grays
    tifffile.imwrite(tmp_path / "a.tif", indices, photometric="palette", colormap=colours)
    pixels = read_gray(tmp_path / "a.tif").ravel()
    expected = np.arange(256)[::-1].copy()
    expected[9] = round(0.2125 * 255)
    assert np.abs(pixels.astype(int) - expected).max() <= 1
    assert np.array_equal(np.delete(pixels, 9), np.delete(expected, 9))
    image = Image.fromarray(indices)
    image.putpalette(np.repeat(expected, 3).astype(np.uint8).tobytes())
    image.save(tmp_path / "a.png", transparency=bytes(range(256)))
    assert np.array_equal(read_gray(tmp_path / "a.png").ravel(), expected)


def test_several_pages_the_first_aloud(tmp_path, gray):
    tifffile.imwrite(tmp_path / "two.tif", np.stack([gray, 255 - gray]))
    with pytest.warns(UserWarning, match=r"two\.tif holds 2 pages"):
        assert np.array_equal(read_gray(tmp_path / "two.tif"), gray)


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.jpg", "a.webp"])
@pytest.mark.parametrize("orientation", [3, 6])
def test_pixels_come_as_stored_whatever_orientation_a_tag_asks_for(tmp_path, gray, name, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(gray).save(tmp_path / name, exif=exif, quality=100, lossless=True)
    with Image.open(tmp_path / name) as image:
        assert image.getexif()[0x0112] == orientation
    assert np.abs(read_gray(tmp_path / name).astype(int) - gray).max() <= 2


def test_a_tiff_under_another_name(tmp_path, gray):
    tifffile.imwrite(tmp_path / "a.tif", gray)
    (tmp_path / "a.tif").rename(tmp_path / "a.png")
    Image.fromarray(gray).save(tmp_path / "b.png")
    (tmp_path / "b.png").rename(tmp_path / "b.tif")
    assert np.array_equal(read_gray(tmp_path / "a.png"), gray)
    assert np.array_equal(read_gray(tmp_path / "b.tif"), gray)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png is a pipe, expected a file"):
        read_gray(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg", "a.jp2"])
def test_damage_is_a_sentence(tmp_path, gray, name):
    Image.fromarray(gray).save(tmp_path / "whole.png")
    for content, said in {
        b"": "the file is empty$",
        b"no image": "no image format that can be read|a TIFF",
        b"II*\0\0\0\0\0": "a TIFF without a single page",
        (tmp_path / "whole.png").read_bytes()[:200]: "a damaged image, or none: .",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises((ValueError, OSError)) as caught:
            read_gray(tmp_path / name)
        assert re.match(said, str(caught.value))


def test_listing_tells_images_from_others(tmp_path):
    for name in ("b.TIF", "a10.png", "a9.png", "notes.txt", ".DS_Store", "Thumbs.db", "._a9.png"):
        (tmp_path / name).touch()
    images, others = list_images(tmp_path)
    assert [i.name for i in images] == ["a9.png", "a10.png", "b.TIF"]
    assert [o.name for o in others] == ["notes.txt"]


def test_real_zeiss_palette(real_data):
    pixels = read_gray(real_data / "2d/vendor_sem/zeiss_sem_512.tif")
    assert pixels.shape == (384, 512)
    assert pixels.std() > 30


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.gif", "a.tif", "a.jp2", "a.pgm", "a.webp", "lzw.tif"])
def test_an_image_cut_short_has_all_pixels_or_is_refused(tmp_path, gray, name):
    path = tmp_path / name
    Image.fromarray(gray).save(path, **({"compression": "tiff_lzw"} if name == "lzw.tif" else {}))
    content, whole = path.read_bytes(), read_gray(path)
    for cut in [*range(1, 40), 60, 100, 300, len(content) // 2]:
        path.write_bytes(content[:-cut])
        try:
            found = read_gray(path)
        except (ValueError, OSError) as error:
            assert str(error)
        else:
            assert np.array_equal(found, whole), cut


def test_an_image_must_fit_into_memory(tmp_path, gray, monkeypatch):
    monkeypatch.setenv("EM_MAX_GB", "0.000001")
    for name in ("a.png", "a.tif"):
        Image.fromarray(gray).save(tmp_path / name)
        with pytest.raises(ValueError, match="--max-gb"):
            read_gray(tmp_path / name)
    (tmp_path / "deep.pgm").write_bytes(b"P5 50 40 65535\n" + gray.astype(">u2").tobytes())
    monkeypatch.setenv("EM_MAX_GB", "0.000024")  # three copies of 40 x 50 pixels of four bytes
    deep = read_gray(tmp_path / "deep.pgm")
    assert deep.dtype == np.uint16 and np.array_equal(deep, gray), "of 32 bits --contrast dtype would show one gray"
    monkeypatch.setenv("EM_MAX_GB", "0.000023")
    with pytest.raises(ValueError, match="--max-gb"):
        read_gray(tmp_path / "deep.pgm")


@pytest.mark.parametrize(("channels", "promised"), [(1, 3_600_000_000), (3, 10_800_000_000)])
def test_a_picture_that_its_bytes_cannot_hold(tmp_path, gray, monkeypatch, channels, promised):
    import zlib

    monkeypatch.setenv("EM_MAX_GB", "100")
    Image.fromarray(np.stack([gray] * channels, axis=-1).squeeze()).save(tmp_path / "a.png")
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ValueError, match=f"promises {promised} bytes of pixels"):
        read_gray(tmp_path / "a.png")


def test_ink_of_a_picture_is_luminance(tmp_path):
    """Cyan: all of green and blue. Pillow's own gray of it would be 179."""
    Image.new("CMYK", (32, 32), (255, 0, 0, 0)).save(tmp_path / "a.jpg", quality=100)
    assert abs(int(read_gray(tmp_path / "a.jpg")[16, 16]) - 201) <= 3


def test_what_tifffile_complains_of_is_told_by_exceptions(tmp_path, gray):
    logging.getLogger("tifffile").setLevel(logging.NOTSET)
    tifffile.imwrite(tmp_path / "a.tif", gray)
    read_gray(tmp_path / "a.tif")
    assert not logging.getLogger("tifffile").isEnabledFor(logging.ERROR)


@pytest.mark.parametrize(("part", "refused"), [(b"IHDR", True), (b"IDAT", True), (b"tEXt", False)])
def test_checksums_of_a_png_are_compared_where_pixels_depend_on_them(tmp_path, gray, part, refused):
    """Parts whose first letter is small hold none."""
    about = PngImagePlugin.PngInfo()
    about.add_text("a", "b" * 9)
    Image.fromarray(gray).save(tmp_path / "a.png", pnginfo=about)
    content = bytearray((tmp_path / "a.png").read_bytes())
    np.testing.assert_array_equal(read_gray(tmp_path / "a.png"), gray)
    place = content.index(part)
    length = int.from_bytes(content[place - 4 : place], "big")
    content[place + 4 + length] ^= 1
    (tmp_path / "a.png").write_bytes(content)
    if refused:
        with pytest.raises(ValueError, match=f"checksum of its part {part.decode()} is wrong"):
            read_gray(tmp_path / "a.png")
    else:
        np.testing.assert_array_equal(read_gray(tmp_path / "a.png"), gray)


def test_a_png_that_lacks_nothing_but_a_checksum_is_read(tmp_path, gray):
    Image.fromarray(gray).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:-2])
    np.testing.assert_array_equal(read_gray(tmp_path / "a.png"), gray)


def test_of_a_moving_picture_the_first_frame_aloud(tmp_path, gray):
    first, second = Image.fromarray(gray), Image.fromarray(255 - gray)
    first.save(tmp_path / "a.png", save_all=True, append_images=[second])
    with pytest.warns(UserWarning, match=r"a\.png holds 2 frames: the first was taken"):
        np.testing.assert_array_equal(read_gray(tmp_path / "a.png"), gray)


def test_a_picture_that_a_codec_alone_knows_is_held_to_its_claims(tmp_path):
    """40 kB of a JPEG XL can be a gigabyte."""
    (tmp_path / "a.jxl").write_bytes(imagecodecs.jpegxl_encode(np.zeros((500, 400), np.uint8), lossless=True))
    with memory.limited_to(0.002), pytest.raises(ValueError, match="--max-gb"):
        read_gray(tmp_path / "a.jxl")
    frames = np.stack([np.full((20, 30), value, np.uint8) for value in (7, 8)])
    (tmp_path / "b.jxl").write_bytes(imagecodecs.jpegxl_encode(frames, lossless=True))
    with pytest.warns(UserWarning, match=r"b\.jxl holds several frames: the first was taken"):
        assert np.array_equal(read_gray(tmp_path / "b.jxl"), frames[0])


@pytest.mark.parametrize("begin", [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", b"8BPS\0\1"])
def test_no_program_is_started_for_what_lies_about_its_format(tmp_path, begin):
    """Pillow hands PostScript to Ghostscript, whatever a file is called."""
    (tmp_path / "a.png").write_bytes(begin + bytes(200))
    with pytest.raises(ValueError, match="no image format that can be read"):
        read_gray(tmp_path / "a.png")


@pytest.mark.filterwarnings("error")
def test_complex_numbers_are_no_image(tmp_path, gray):
    tifffile.imwrite(tmp_path / "a.tif", gray.astype(np.complex64))
    with pytest.raises(ValueError, match="holds complex64 pixels: only integers and real numbers are images"):
        read_gray(tmp_path / "a.tif")


OME = (
    '<OME><Image><Pixels DimensionOrder="XYZCT" SizeX="50" SizeY="40" SizeZ="1" SizeC="1" SizeT="1">{}'
    "</Pixels></Image></OME>"
)
SCAN = '<StructuredAnnotations><XMLAnnotation ID="a" Namespace="modulo"><Value><Modulo><AlongT Start="0" End="{}"/>'


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        (OME.replace('SizeC="1"', 'SizeC="999999999"'), "count planes up to 999999999"),
        (OME.format('<TiffData IFD="9" PlaneCount="999999999999"/>'), "count planes up to 999999999999"),
        (OME.format('<TiffData PlaneCount="1"><UUID FileName="pipe">urn:uuid:x</UUID></TiffData>'), "pipe is a pipe"),
        (f"<OME>{SCAN.format('1e12')}</Modulo></Value></XMLAnnotation></StructuredAnnotations></OME>", "count steps"),
    ],
)
def test_ome_metadata_that_would_fill_the_memory_or_wait(tmp_path, gray, metadata, said):
    os.mkfifo(tmp_path / "pipe")
    tifffile.imwrite(tmp_path / "a.tif", gray, description=metadata, metadata=None)
    with pytest.raises(ValueError, match=said):
        read_gray(tmp_path / "a.tif")


@pytest.mark.parametrize(("mode", "nbytes"), [("L", 1), ("RGB", 3), ("I;16", 2), ("F", 4), ("deep", 6)])
def test_memory_is_asked_for_by_the_bytes_of_a_pixel(tmp_path, mode, nbytes):
    path = tmp_path / ("a.tiff" if mode == "F" else "a.png")
    if mode == "deep":
        path.write_bytes(imagecodecs.png_encode(np.zeros((100, 100, 3), np.uint16)))
    else:
        Image.new(mode, (100, 100)).save(path)
    enough = 3 * nbytes * 100 * 100 / 1e9
    with memory.limited_to(enough):
        assert read_gray(path).shape == (100, 100)
    with memory.limited_to(enough * 0.9), pytest.raises(ValueError, match="--max-gb"):
        read_gray(path)
