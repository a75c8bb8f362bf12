"""The files of the report's pages, and sheets of small pictures."""

import re

import numpy as np
from PIL import Image

from utils.collection.page_files import THUMB, Thumbs, asset_files, page_html, save_sheets


def test_pages_name_files_that_there_are():
    for name, up in (("report", ""), ("dataset", "../../")):
        page = page_html(name, "A title", up)
        assert "$" not in page and "<title>A title</title>" in page
        found = re.findall(r'(?:src|href)="([^"]*assets/)([^"]+)"', page)
        assert [file for _, file in found] == [f"{name}.css", "page.js", f"{name}.js"]
        assert {folder for folder, _ in found} == {f"{up}assets/"}
        assert {file for _, file in found} <= asset_files().keys()


def test_every_identifier_that_a_script_asks_for_stands_in_its_page():
    for name in ("report", "dataset"):
        script, page = asset_files()[f"{name}.js"].decode(), page_html(name, "")
        asked = set(re.findall(r'\$\("([\w-]+)"\)', script)) - {"more"}  # a button that the script makes
        assert asked <= set(re.findall(r'id="([\w-]+)"', page))


def test_thumbs_are_kept_by_number_and_black_where_there_is_none(tmp_path, rng):
    cells = {i: rng.integers(0, 256, (THUMB, THUMB)).astype(np.uint8) for i in (3, 0, 4)}
    with Thumbs(tmp_path / "thumbs") as thumbs:
        for i, cell in cells.items():
            thumbs[i] = cell
        for i in range(7):
            np.testing.assert_array_equal(thumbs[i], cells.get(i, np.zeros((THUMB, THUMB), np.uint8)))


def test_sheets_hold_cells_row_by_row_and_the_last_is_as_short_as_it_may(tmp_path):
    cells = [np.full((16, 16), 20 * i, np.uint8) for i in range(7)]
    names = save_sheets(tmp_path, "s", iter(cells), 2)
    assert names == ["s-0000.jpg", "s-0001.jpg"]
    first, last = (np.asarray(Image.open(tmp_path / name)).astype(int) for name in names)
    assert first.shape == (32, 32) and last.shape == (32, 32)
    for i, (y, x) in enumerate([(8, 8), (8, 24), (24, 8), (24, 24)]):
        assert abs(first[y, x] - 20 * i) < 6
        assert abs(last[y, x] - (20 * (i + 4) if i < 3 else 0)) < 6
    assert np.asarray(Image.open(tmp_path / save_sheets(tmp_path, "t", cells[:1], 2)[0])).shape == (16, 32)
    assert save_sheets(tmp_path, "u", [], 2) == []
