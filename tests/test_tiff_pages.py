"""Pages of TIFF files: all there or refused, and shown as a viewer shows them."""

from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from PIL import Image

from utils import memory
from utils.images import read_gray
from utils.luminance import LUMINANCE, luminance
from utils.tiff_pages import _shown, is_tiff, read_first_page


@pytest.fixture
def gray(rng):
    return rng.integers(0, 256, (40, 50), dtype=np.uint8)


def test_told_by_content(tmp_path, gray):
    for name, options in (("a.png", {}), ("b.dat", {"bigtiff": True, "byteorder": ">"})):
        tifffile.imwrite(tmp_path / name, gray, **options)
        assert is_tiff(tmp_path / name) and np.array_equal(read_first_page(tmp_path / name), gray)
    Image.fromarray(gray).save(tmp_path / "c.tif", format="PNG")
    assert not is_tiff(tmp_path / "c.tif")


def test_tiffs_of_other_colour_spaces(tmp_path, gray):
    """Ink is no light: CMYK taken as RGB would come out inverted."""
    colour = Image.fromarray(np.stack([gray] * 3, axis=-1))
    for mode in ("CMYK", "YCbCr"):
        colour.convert(mode).save(tmp_path / f"{mode}.tif")
        assert np.abs(read_gray(tmp_path / f"{mode}.tif").astype(int) - gray).max() <= 1
    colour.convert("LAB").save(tmp_path / "LAB.tif")
    assert np.corrcoef(read_gray(tmp_path / "LAB.tif").ravel(), gray.ravel())[0, 1] > 0.99
    smooth = np.broadcast_to(np.arange(64, dtype=np.uint8) * 4, (64, 64))
    tinted = np.stack([smooth, smooth // 2, smooth], -1)
    options = {"compression": "jpeg", "compressionargs": {"outcolorspace": "YCBCR"}}  # what its codec turns into RGB
    tifffile.imwrite(tmp_path / "jpeg.tif", tinted, photometric="rgb", **options)
    assert np.abs(read_gray(tmp_path / "jpeg.tif") - luminance(tinted).astype(int)).max() <= 2


def test_where_the_first_channel_is_lightness_but_for_what_jpeg_s_codec_turns_into_rgb():
    samples = np.zeros((2, 3, 3), np.uint8)
    for space in (0, 1, 2, 6, 8, 9, 10):
        key = SimpleNamespace(photometric=space, compression=1)
        assert _shown(samples, key).shape[-1] == (3 if space == 2 else 1)
    for jpeg in (6, 7, 33007, 34892):
        assert _shown(samples, SimpleNamespace(photometric=6, compression=jpeg)) is samples


def test_of_several_planes_the_first_is_taken_aloud(tmp_path, rng):
    voxels = rng.integers(0, 256, (16, 32, 48), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "pages.tif", voxels, photometric="minisblack")
    within = {"volumetric": True, "tile": (16, 16, 16), "photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "one.tif", voxels, **within)
    for name in ("pages", "one"):
        with pytest.warns(UserWarning, match=rf"{name}\.tif holds 16 pages: the first was taken"):
            np.testing.assert_array_equal(read_first_page(tmp_path / f"{name}.tif"), voxels[0])
    with tifffile.TiffFile(tmp_path / "one.tif", mode="r+b") as tif:
        tif.pages.first.tags["ImageDepth"].overwrite(4000)
    with pytest.warns(UserWarning, match="4000"), pytest.raises(ValueError, match="the header promises 6144000 bytes"):
        read_first_page(tmp_path / "one.tif")


def test_a_palette_of_bytes_in_a_tiff(tmp_path):
    """TIFF's palettes reach to 65,535; some writers fill them with bytes."""
    colours = np.random.default_rng(0).integers(0, 256, (3, 256)).astype(np.uint16)
    indices = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for factor in (1, 257):
        tifffile.imwrite(tmp_path / "a.tif", indices, photometric="palette", colormap=colours * factor, metadata=None)
        expected = np.rint(LUMINANCE @ colours.astype(float)).reshape(16, 16)
        assert np.abs(read_gray(tmp_path / "a.tif") - expected).max() <= 1


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_few_bits_a_pixel(tmp_path, rng, bits):
    """Of 16 grays the brightest is white, for all viewers; 1-bit indices are no mask for numpy to index by."""
    colours = np.linspace(65535, 0, 3 << bits).astype(int).reshape(3, -1)
    values = rng.integers(0, 1 << bits, (16, 16), dtype=np.uint8)
    path, stored = tmp_path / "a.tif", values.astype(bool) if bits == 1 else values
    colourmap = [(320, 3, colours.size, colours.ravel().tolist(), True)]
    for photometric, mode in ((0, "L"), (1, "L"), (3, "RGB")):
        tifffile.imwrite(path, stored, bitspersample=bits, photometric=1, metadata=None, extratags=colourmap)
        with tifffile.TiffFile(path, mode="r+b") as tif:
            tif.pages.first.tags["PhotometricInterpretation"].overwrite(photometric)
        if bits > 1 or photometric == 3:  # what of 1 bit is white is told by test_images.py
            shown = np.asarray(Image.open(path).convert(mode))
            assert np.abs(read_gray(path) - (luminance(shown) if mode == "RGB" else shown).astype(int)).max() <= 1


def test_gray_channels_side_by_side_are_no_colours(tmp_path, rng):
    detectors = rng.integers(0, 256, (16, 16, 5), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", detectors, photometric="minisblack", planarconfig="contig")
    np.testing.assert_array_equal(read_gray(tmp_path / "a.tif"), detectors[..., 0])


def test_a_tiff_cut_short(tmp_path, gray):
    tifffile.imwrite(tmp_path / "a.tif", gray)
    data = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(data[:-500])
    with pytest.raises((ValueError, OSError)):
        read_gray(tmp_path / "a.tif")


@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000", "webp", "jpegxl", "png"])
def test_parts_of_a_tiff_are_no_larger_than_its_page(tmp_path, compression):
    """A strip that is a picture of its own says how large it is, and its decoder believes it."""
    path = tmp_path / "a.tif"
    image = np.zeros((640, 640, 3), np.uint8)
    tifffile.imwrite(path, image, compression=compression, photometric="rgb", tile=(640, 640))
    assert not read_gray(path).any()
    with tifffile.TiffFile(path, mode="r+b") as tif:
        for tag in ("ImageWidth", "ImageLength", "TileWidth", "TileLength"):
            tif.pages.first.tags[tag].overwrite(64)
    with pytest.raises(ValueError, match="a part of the image claims 640 x 640 pixels, more than it can have"):
        read_gray(path)


def test_a_tile_must_fit_into_memory_too(tmp_path, gray):
    tifffile.imwrite(tmp_path / "a.tif", gray[:16, :16], tile=(1024, 1024), compression="zlib")
    with memory.limited_to(0.001), pytest.raises(ValueError, match="--max-gb"):
        read_gray(tmp_path / "a.tif")
