"""Gray images written, told from those that need no writing, and told by whom they were written."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from utils.image_writing import is_clean, is_stretched, was_made_from, write_gray

GRAY = np.arange(64, dtype=np.uint8).reshape(8, 8)


@pytest.mark.parametrize(
    ("pixels", "options", "clean"),
    [
        (GRAY, {"photometric": "minisblack"}, True),
        (GRAY, {"photometric": "miniswhite"}, False),
        (GRAY.astype(np.uint16), {"photometric": "minisblack"}, False),
        (GRAY.astype(np.int8), {"photometric": "minisblack"}, False),
        (np.stack([GRAY] * 2), {"photometric": "minisblack"}, False),
        (np.stack([GRAY] * 3, -1), {"photometric": "rgb"}, False),
        (GRAY > 9, {"photometric": "minisblack"}, False),
    ],
)
def test_clean_tiffs(tmp_path, pixels, options, clean):
    tifffile.imwrite(tmp_path / "a.tif", pixels, metadata=None, **options)
    assert is_clean(tmp_path / "a.tif") is clean


@pytest.mark.parametrize(
    ("mode", "name", "clean"),
    [("L", "a.png", True), ("RGB", "a.png", False), ("1", "a.png", False), ("P", "a.png", False), ("L", "a.jpg", True)],
)
def test_clean_images_of_other_formats(tmp_path, mode, name, clean):
    Image.fromarray(GRAY).convert(mode).save(tmp_path / name)
    assert is_clean(tmp_path / name) is clean


def test_animations_and_other_files_are_not(tmp_path):
    frames = [Image.fromarray(GRAY), Image.fromarray(GRAY + 9)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    (tmp_path / "b.png").write_bytes(b"nothing")
    assert not is_clean(tmp_path / "a.gif") and not is_clean(tmp_path / "b.png")


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.PNG"])
@pytest.mark.parametrize("stretch", [False, True])
def test_what_is_written_says_what_it_was_made_from(tmp_path, name, stretch):
    source = Path("in/bl ä.tif")
    write_gray(tmp_path / name, GRAY, "minmax", source, stretch=stretch)
    with Image.open(tmp_path / name) as image:
        written = np.asarray(image)
        assert image.format == ("TIFF" if name == "a.tif" else "PNG")
    expected = np.rint(GRAY * (255 / 63)) if stretch else GRAY
    np.testing.assert_array_equal(written, expected)
    if name == "a.tif":
        with tifffile.TiffFile(tmp_path / name) as tif:
            assert tif.pages.first.software == ("cleanup2d --stretch" if stretch else "cleanup2d")
    assert is_clean(tmp_path / name) and is_stretched(tmp_path / name) is stretch
    assert was_made_from(tmp_path / name, Path("elsewhere/bl ä.tif")) and not was_made_from(
        tmp_path / name, Path("b.tif")
    )


def test_wider_types_are_scaled(tmp_path):
    write_gray(tmp_path / "a.png", GRAY.astype(np.uint16) * 100, "minmax", Path("a.tif"))
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(np.asarray(image), np.rint(GRAY * (255 / 63)))


def test_images_of_others_say_nothing(tmp_path):
    Image.fromarray(GRAY).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "a.tif", GRAY, metadata=None)
    Image.fromarray(GRAY).save(tmp_path / "a.jpg")
    (tmp_path / "b.png").write_bytes(b"nothing")
    for name in ("a.png", "a.tif", "a.jpg", "b.png"):
        assert not was_made_from(tmp_path / name, Path(name)) and not is_stretched(tmp_path / name)
