"""The files of the report's pages: frames and bodies, styles and scripts, and sheets of many small pictures."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path
from string import Template

import numpy as np

PAGES = Path(__file__).with_name("pages")
ASSETS = ("page.js", "report.js", "report.css", "dataset.js", "dataset.css")
THUMB = 96
SHEET = 12
QUALITY = 72
# Gray around pictures that fill no square.
AROUND = 56


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


class Thumbs(AbstractContextManager["Thumbs"]):
    """Small pictures by their running number in a scratch file: (THUMB, THUMB) uint8 each; black where none is."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b")

    def __setitem__(self, i: int, cell: np.ndarray) -> None:
        self._file.seek(i * THUMB**2)
        self._file.write(np.ascontiguousarray(cell).tobytes())

    def __getitem__(self, i: int) -> np.ndarray:
        self._file.seek(i * THUMB**2)
        content = self._file.read(THUMB**2).ljust(THUMB**2, b"\0")
        return np.frombuffer(content, np.uint8).reshape(THUMB, THUMB)

    def __exit__(self, *_: object) -> None:
        self._file.close()


def save_sheets(folder: Path, stem: str, cells: Iterable[np.ndarray], per_row: int) -> list[str]:
    """Write square cells as JPEG sheets of `per_row` x `per_row`; returns the files' names.

    Parameters
    ----------
    folder : Path
    stem : str
        Of the files' names.
    cells : iterable of ndarray, shape (side, side) uint8
    per_row : int
    """
    from PIL import Image

    names: list[str] = []
    left = iter(cells)
    while some := list(islice(left, per_row**2)):
        names.append(f"{stem}-{len(names):04d}.jpg")
        Image.fromarray(_sheet(some, per_row)).save(folder / names[-1], quality=QUALITY)
    return names


def _sheet(cells: Sequence[np.ndarray], per_row: int) -> np.ndarray:
    """Cells row by row, black where there is none."""
    side = len(cells[0])
    sheet = np.zeros((-(-len(cells) // per_row) * side, per_row * side), np.uint8)
    for i, cell in enumerate(cells):
        y, x = divmod(i, per_row)
        sheet[y * side : (y + 1) * side, x * side : (x + 1) * side] = cell
    return sheet
