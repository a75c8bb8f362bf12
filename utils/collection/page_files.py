"""The files of the report's pages: one frame, the body of each page, styles and scripts."""

from pathlib import Path
from string import Template

PAGES = Path(__file__).with_name("pages")
ASSETS = ("page.js", "report.js", "report.css", "dataset.js", "dataset.css")


def page_html(name: str, title: str, up: str = "") -> str:
    """A page as HTML; what it shows stands in the ``data.js`` beside it.

    Its body, style and script have the name; `title` stands until the script has run; `up` leads to ``assets/``.
    """
    frame, body = (PAGES / file for file in ("frame.html", f"{name}.html"))
    return Template(frame.read_text(encoding="utf-8")).substitute(
        name=name, title=title, up=up, body=body.read_text(encoding="utf-8")
    )


def asset_files() -> dict[str, bytes]:
    """The files of ``assets/`` with their content."""
    return {name: (PAGES / name).read_bytes() for name in ASSETS}
