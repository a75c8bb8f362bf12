"""Kept patches as image files: which lie in a folder, and what one holds.

Its description remembers, as JSON, enough to repeat its volume's conversion exactly.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from utils.axes import Lengths, triple
from utils.contrast import Contrast
from utils.files import is_litter, natural_key, stem, suffix
from utils.foreign_text import json_object
from utils.images import IMAGE_SUFFIXES, read_gray
from utils.names import PatchName, parse_name, parsed
from utils.reading import DAMAGE, open_tiff_file, reading_as, refuse_special
from utils.records.recipes import stage_of
from utils.records.scores import is_scores_table
from utils.tiff_pages import is_tiff, tiff_page

VERSION = 1


@dataclass(frozen=True)
class KeptRecord:
    """One kept patch; None for what is not known."""

    dictionary: str | None = None  # name of the dictionary that it comes from
    score: float | None = None
    source: str | None = None  # file or address of the volume, or name of the group
    contrast: Contrast | None = None  # the window by which the volume was converted to uint8
    voxel_size: Lengths | None = None  # z, y, x in nm, of the volume

    @classmethod
    def of_meta(cls, meta: Mapping[str, Any], dictionary: str, score: float) -> "KeptRecord":
        """The record of a patch of a dictionary with this ``meta``."""
        source = meta.get("source")
        source = None if source is None else str(source)
        return replace(cls._of(meta), dictionary=dictionary, score=score, source=source)

    def to_json(self) -> str:
        """As `from_json` reads it; the same for the same record."""
        return json.dumps(
            {
                "version": VERSION,
                "contrast": self.contrast.as_dict() if self.contrast else None,
                "voxel_size": list(self.voxel_size) if self.voxel_size else None,
                "source": self.source,
                "score": self.score,
                "dictionary": self.dictionary,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> "KeptRecord":
        """Read a description; empty where it is another program's, None for what it does not hold or garbles."""
        return cls._of(json_object(text))

    @classmethod
    def _of(cls, said: Mapping[str, Any]) -> "KeptRecord":
        score, source, dictionary = said.get("score"), said.get("source"), said.get("dictionary")
        return cls(
            dictionary if isinstance(dictionary, str) else None,
            float(score) if isinstance(score, int | float) else None,
            source if isinstance(source, str) else None,
            possible_contrast(said.get("contrast")),
            possible_size(said.get("voxel_size")),
        )


@contextmanager
def open_kept(path: Path) -> Iterator[Any]:
    """The TIFF of a kept patch; pipes are refused before they are opened.

    Raises
    ------
    ValueError, OSError
        If it is none, or damaged; also for what is done with it.
    """
    refuse_special(path)
    try:
        with open_tiff_file(path) as tif:
            yield tif
    except (*DAMAGE, ValueError) as error:
        raise ValueError(f"{path}: a damaged TIFF, or none ({error or type(error).__name__})") from error


def read_description(path: Path) -> dict[str, Any]:
    """What a kept TIFF remembers, as it stands there; empty where it is another program's."""
    with open_kept(path) as tif:
        return json_object(tif.pages.first.description)


def read_kept_record(path: Path) -> KeptRecord:
    """The record of a TIFF; raises as `open_kept` does."""
    return KeptRecord._of(read_description(path))


def possible_contrast(values: object) -> Contrast | None:
    """A contrast window as a dictionary or a TIFF remembers it; None where it cannot be one."""
    try:
        return Contrast.from_dict(values) if isinstance(values, dict) else None
    except (KeyError, TypeError, ValueError):
        return None


def possible_size(values: object) -> Lengths | None:
    """A voxel size z, y, x in nm as a dictionary or a TIFF remembers it; None where it cannot be one."""
    if not isinstance(values, list | tuple | np.ndarray) or len(values) != 3:
        return None
    try:
        size = triple(float(value) for value in values)
    except (TypeError, ValueError):
        return None
    return size if all(0 < side < float("inf") for side in size) else None


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


def read_kept(path: Path) -> tuple[np.ndarray, KeptRecord]:
    """Read a kept patch.

    Returns
    -------
    pixels, record : ndarray, shape (h, w), and KeptRecord
        The patch, and what its file remembers of the volume.

    Raises
    ------
    OSError, ValueError
        If the file cannot be read as an image.
    """
    if not is_tiff(path):
        return read_gray(path), KeptRecord()
    with reading_as("TIFF"), open_tiff_file(path) as tif:
        page = tif.pages.first
        return tiff_page(page), KeptRecord.from_json(page.description)
