"""utils/contact_sheet.py: patches on a sheet."""

import numpy as np
from PIL import Image

from conftest import noise_patches
from utils.contact_sheet import TILE, Section, Tile, evenly, fit, save_sheet


def test_rows_of_patches_with_captions_below_headings(tmp_path):
    tiles = [Tile(np.full((224, 224), gray, np.uint8), "caption") for gray in (100, 120, 140)]
    sections = [Section("heading", tiles), Section("", []), Section("", tiles[:1])]
    save_sheet(tmp_path / "a.png", sections, columns=2)
    with Image.open(tmp_path / "a.png") as image:
        sheet = np.asarray(image)
    assert sheet.shape == (4 + 28 + 2 * 130 + 28 + 28 + 130, 2 * 116 + 4)
    expected = np.full(sheet.shape, 255, np.uint8)
    places = [(25, 4), (25, 120), (155, 4), (341, 4)]
    for (y, x), gray in zip(places, (100, 120, 140, 100), strict=True):
        expected[y : y + TILE, x : x + TILE] = gray
        assert (sheet[y + TILE : y + 130, x : x + TILE] < 50).any()  # the caption
        expected[y + TILE : y + 130, x : x + TILE] = sheet[y + TILE : y + 130, x : x + TILE]
    assert (sheet[4:18, 4:80] < 50).any() and not (sheet[:, :4] < 50).any()
    expected[4:25] = sheet[4:25]
    np.testing.assert_array_equal(sheet, expected)


def test_a_sheet_is_a_png(tmp_path):
    tiles = [Tile(patch, "") for patch in noise_patches(13)]
    save_sheet(tmp_path / "a.png", [Section("kept", tiles)])
    with Image.open(tmp_path / "a.png") as image:
        assert (image.mode, image.format) == ("L", "PNG") and image.size == (12 * 116 + 4, 28 + 2 * 130 + 4)


def test_a_picture_keeps_its_proportions(rng):
    cell = fit(np.full((40, 80), 200, np.uint8), 40, 56)
    assert (cell[10:30] == 200).all() and (cell[:10] == 56).all() and (cell[30:] == 56).all()
    np.testing.assert_array_equal(fit(np.full((80, 40), 200, np.uint8), 40, 56), cell.T)
    patch = rng.integers(0, 256, (32, 32)).astype(np.uint8)
    np.testing.assert_array_equal(fit(patch, 32, 56), patch)
    np.testing.assert_array_equal(fit(patch, 64, 56), np.kron(patch, np.ones((2, 2), np.uint8)))
    assert np.abs(fit(patch, 16, 56) - patch.reshape(16, 2, 16, 2).mean(axis=(1, 3))).max() <= 1
    assert (fit(np.full((1, 1000), 200, np.uint8), 16, 56) == 200).sum() == 16


def test_even_steps():
    rows = list(range(10))
    assert evenly(rows, 4) == [0, 3, 6, 9] and evenly(rows[:4], 4) == [0, 1, 2, 3] and evenly([], 4) == []
