"""Kept patches as image files: which lie in a folder, and what one holds."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.files import is_litter, natural_key, stem, suffix
from utils.formats.volume_base import reading_as
from utils.images import IMAGE_SUFFIXES, read_gray
from utils.names import PatchName, parse_name, parsed
from utils.reading import open_tiff_file
from utils.records.kept_patch import KeptRecord
from utils.records.recipes import stage_of
from utils.records.scores import is_scores_table
from utils.tiff_pages import is_tiff, tiff_page


@dataclass(frozen=True)
class KeptPatch:
    """The file of a patch, and where its name says that it was cut."""

    path: Path
    where: PatchName

    @property
    def name(self) -> str:
        """The patch's name: its file's without the suffix."""
        return stem(self.path)


@dataclass(frozen=True)
class Listing:
    """What a folder of kept patches holds: patches of volumes, of 2D images, and files that are neither."""

    patches: list[KeptPatch]
    flat: list[Path]
    passed_over: list[Path]


def list_kept(folder: Path, *, without: Path | None = None) -> Listing:
    """Kept patches in a folder and those below, in natural order, `without` an output folder that lies inside."""
    found = Listing([], [], [])
    for path in _files(folder, without.resolve() if without else None):
        where = parsed(parse_name, stem(path))
        if where is None or where.stop is not None or suffix(path) not in IMAGE_SUFFIXES:
            if not _is_record(path, folder):
                found.passed_over.append(path)
        elif where.axis is None:
            found.flat.append(path)
        else:
            found.patches.append(KeptPatch(path, where))
    return found


def _files(folder: Path, without: Path | None) -> list[Path]:
    files = []
    for top, folders, names in os.walk(folder):
        inside = Path(top)
        folders[:] = [d for d in folders if not is_litter(inside / d) and (inside / d).resolve() != without]
        folders.sort(key=natural_key)
        files += [inside / name for name in sorted(names, key=natural_key) if not is_litter(inside / name)]
    return files


def _is_record(path: Path, folder: Path) -> bool:
    """Whether classify_patches wrote a file beside the patches: a table of scores, or a dataset's contact sheet."""
    if path.parent != folder:
        return False
    if path.suffix == ".png":  # of a dataset of which nothing was kept there is no folder
        return path.with_suffix("").is_dir() or stage_of(path).startswith("classify_patches")
    return path.suffix == ".csv" and is_scores_table(path)


@dataclass(frozen=True)
class KeptPixels:
    """A patch's pixels, and what its file remembers of the volume."""

    pixels: np.ndarray
    record: KeptRecord


def read_kept(path: Path) -> KeptPixels:
    """Read a kept patch.

    Raises
    ------
    OSError, ValueError
        If the file cannot be read as an image.
    """
    if not is_tiff(path):
        return KeptPixels(read_gray(path), KeptRecord())
    with reading_as("TIFF"), open_tiff_file(path) as tif:
        page = tif.pages.first
        return KeptPixels(tiff_page(page), KeptRecord.from_json(page.description))
