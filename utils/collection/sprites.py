"""Many small pictures in few files: sheets that a page loads when they are seen."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

THUMB = 96
SHEET = 12
QUALITY = 72


class Thumbs(AbstractContextManager["Thumbs"]):
    """Small pictures of patches by their running number, on the disk: (THUMB, THUMB) uint8 each; black where none is.

    Parameters
    ----------
    path : Path
        A scratch file.
    """

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


def fit(patch: np.ndarray, side: int) -> np.ndarray:
    """A patch scaled into a square, sides in proportion, gray around it.

    Parameters
    ----------
    patch : ndarray of uint8, shape (h, w)
    side : int

    Returns
    -------
    ndarray of uint8, shape (side, side)
    """
    from PIL import Image

    scale = side / max(patch.shape)
    size = (max(1, round(patch.shape[1] * scale)), max(1, round(patch.shape[0] * scale)))
    rule = Image.Resampling.BOX if scale < 1 else Image.Resampling.NEAREST
    small = np.asarray(Image.fromarray(np.ascontiguousarray(patch)).resize(size, rule))
    cell = np.full((side, side), 56, np.uint8)
    y, x = (side - size[1]) // 2, (side - size[0]) // 2
    cell[y : y + size[1], x : x + size[0]] = small
    return cell


def save_sheets(folder: Path, stem: str, cells: Iterable[np.ndarray], count: int, per_row: int) -> list[str]:
    """Write square cells as JPEG sheets of `per_row` x `per_row`; returns the files' names.

    Parameters
    ----------
    folder : Path
    stem : str
        Of the files' names.
    cells : iterable of ndarray, shape (side, side) uint8
    count : int
        How many there are.
    per_row : int
    """
    from PIL import Image

    names: list[str] = []
    sheet, side, filled = None, 0, 0
    for i, cell in enumerate(cells):
        if sheet is None:
            side = cell.shape[0]
            rows = min(per_row, -(-(count - i) // per_row))
            sheet = np.zeros((rows * side, per_row * side), np.uint8)
            filled = 0
        y, x = divmod(filled, per_row)
        sheet[y * side : (y + 1) * side, x * side : (x + 1) * side] = cell
        filled += 1
        if filled == per_row**2 or i == count - 1:
            names.append(f"{stem}-{len(names):04d}.jpg")
            Image.fromarray(sheet).save(folder / names[-1], quality=QUALITY)
            sheet = None
    return names
