"""The files of the report's pages."""

import re

from utils.collection.page_files import asset_files, page_html


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
