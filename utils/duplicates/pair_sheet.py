"""The contact sheet of pairs: each patch that is left out beside what shows the same, the least certain first."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from utils.contact_sheet import Section, Tile, save_sheet
from utils.duplicates.dictionary_index import Dictionary
from utils.duplicates.embedding import VIEWS, view_name, view_of
from utils.duplicates.excluded import Excluded
from utils.names import parse_name
from utils.records.duplicates import EXCLUDED_MARK, Duplicate

SHOWN = 96
COLUMNS = 8
GAP = 6


def draw_pairs(
    path: Path, rows: Sequence[Duplicate], dictionaries: Sequence[Dictionary], excluded: Sequence[Excluded]
) -> None:
    """Draw at most `SHOWN` pairs of each reason as a PNG; each patch is turned as its partner lies."""
    patches = {each.label: each for each in dictionaries}
    images = {EXCLUDED_MARK + each.name: each for each in excluded}
    sections = []
    for reason in ("duplicate", "excluded"):
        found = [row for row in rows if row.reason == reason]
        found.sort(key=lambda row: (row.similarity, row.dictionary, row.name))
        tiles = [_tile(row, patches, images) for row in found[:SHOWN]]
        sections.append(Section(f"{reason}: {len(found)}, the least certain first", tiles))
    save_sheet(path, sections, columns=COLUMNS)


def _tile(row: Duplicate, patches: dict[str, Dictionary], images: dict[str, Excluded]) -> Tile:
    patch = _patch(patches[row.dictionary], row.name)
    view = next(
        (v for v in range(len(VIEWS)) if row.orientation.split(",")[0] in (view_name(v), view_name(v, True))), 0
    )
    if row.reason == "duplicate":
        other = _patch(patches[row.its_dictionary], row.duplicate_of)
    else:
        other = _region(images[row.its_dictionary], row.duplicate_of)
    return Tile(_side_by_side(view_of(patch, view), other), f"{row.similarity:.3f} {row.dictionary}"[:18])


def _patch(dictionary: Dictionary, name: str) -> np.ndarray:
    return dictionary.patch(dictionary.names.index(name))


def _region(source: Excluded, place: str) -> np.ndarray:
    where = parse_name(place)
    axis = -1 if where.axis is None else where.axis
    planes = source.index["planes"]
    plane = int(np.flatnonzero((planes[:, 0] == axis) & (planes[:, 1] == where.first))[0])
    box = where.box
    return source.pixels(plane)[box.y0 : box.y1, box.x0 : box.x1]


def _side_by_side(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Two patches at one height, a white gap between them."""
    import cv2

    height = max(first.shape[0], second.shape[0])
    left, right = (
        cv2.resize(np.ascontiguousarray(p), (round(p.shape[1] * height / p.shape[0]), height)) for p in (first, second)
    )
    return np.hstack([left, np.full((height, GAP), 255, np.uint8), right])
