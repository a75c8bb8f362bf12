"""Contact sheets: rows of patches under headings, each with a caption."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")
# The stages that draw a picture of each dataset, beside its folder: of patches, and of stacks.
SHEETS, MONTAGES = "classify_patches sheets", "reconstruct3d montages"
TILE = 112
GAP = 4
LINE = 14
COLUMNS = 12
# Gray around patches that fill no square.
AROUND = 208


@dataclass(frozen=True)
class Tile:
    """One patch, shape (h, w) uint8, and what stands below it."""

    patch: np.ndarray
    caption: str


@dataclass(frozen=True)
class Section:
    """A heading and the tiles below it."""

    heading: str
    tiles: Sequence[Tile]


def save_sheet(path: Path, sections: Sequence[Section], *, columns: int = COLUMNS) -> None:
    """Draw sections below each other, each with so many tiles in a row, and write them as a PNG."""
    from PIL import Image, ImageDraw

    pitch, row = TILE + GAP, TILE + GAP + LINE
    rows = [-(-len(section.tiles) // columns) for section in sections]
    height = sum(2 * LINE + count * row for count in rows) + GAP
    sheet = Image.new("L", (columns * pitch + GAP, height), 255)
    pen, y = ImageDraw.Draw(sheet), GAP
    for section, count in zip(sections, rows, strict=True):
        pen.text((GAP, y), section.heading, fill=0)
        for i, tile in enumerate(section.tiles):
            x0, y0 = GAP + i % columns * pitch, y + int(1.5 * LINE) + i // columns * row
            sheet.paste(Image.fromarray(fit(tile.patch, TILE, AROUND)), (x0, y0))
            pen.text((x0, y0 + TILE), tile.caption, fill=0)
        y += 2 * LINE + count * row
    sheet.save(path, format="PNG")


def evenly(items: Sequence[Item], most: int) -> list[Item]:
    """At most so many of a row, two or more, at even steps from the first to the last.

    >>> evenly("abcdefg", 3), evenly("ab", 3)
    (['a', 'd', 'g'], ['a', 'b'])
    """
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def fit(patch: np.ndarray, side: int, around: int, *, centred: bool = True) -> np.ndarray:
    """A patch scaled into a square, or into its upper left corner, sides in proportion, gray around it.

    Parameters
    ----------
    patch : ndarray of uint8, shape (h, w)
    side : int
    around : int
        The gray.
    centred : bool

    Returns
    -------
    ndarray of uint8, shape (side, side)
    """
    from PIL import Image

    scale = side / max(patch.shape)
    height, width = (max(1, round(length * scale)) for length in patch.shape)
    rule = Image.Resampling.BOX if scale < 1 else Image.Resampling.NEAREST
    cell = np.full((side, side), around, np.uint8)
    y, x = ((side - height) // 2, (side - width) // 2) if centred else (0, 0)
    small = Image.fromarray(np.ascontiguousarray(patch)).resize((width, height), rule)
    cell[y : y + height, x : x + width] = np.asarray(small)
    return cell
