"""utils/contact_sheet.py: patches on a sheet."""

from PIL import Image

from conftest import noise_patches
from utils.contact_sheet import TILE, Section, Tile, draw_sheet, save_sheet


def test_contact_sheet(tmp_path):
    tiles = [Tile(noise_patches(1, side)[0], f"{side}") for side in (224, 64, 1)] * 5
    sheet = draw_sheet([Section("kept", tiles), Section("none", [])])
    assert sheet.mode == "L" and sheet.height > 2 * TILE
    save_sheet(tmp_path / "a.png", [Section("kept", tiles)])
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "L" and image.height < sheet.height
