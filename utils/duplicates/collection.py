"""The dictionaries of a collection: which there are, what tables call them, and which are preferred."""

import csv
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from utils.cli import UsageError
from utils.duplicates.dictionary_index import Dictionary
from utils.files import list_files, stem
from utils.names import dataset_of

PREFERENCES = ("name", "finer")


def list_dictionaries(folders: Sequence[Path], *, may_be_empty: bool = False) -> list[Path]:
    """The dictionaries of folders, each file once, in an order that does not depend on that of the folders.

    Raises
    ------
    UsageError
        If a folder has none, unless it may be empty.
    """
    found: dict[Path, Path] = {}
    for folder in sorted({Path(folder).resolve() for folder in folders}):
        files = list_files(folder, {".pkl"})
        if not files and not may_be_empty:
            raise UsageError(f"{folder}: no {'patch dictionaries (.pkl) in it' if folder.is_dir() else 'such folder'}")
        for path in files:
            found.setdefault(path.resolve(), path)
    return sorted(found.values(), key=lambda path: (path.name, path.as_posix()))


def labels_of(paths: Sequence[Path]) -> list[str]:
    """Names that tell dictionaries apart: without suffix, with as many folders as are needed.

    >>> labels_of([Path("/c/2d/fly.pkl"), Path("/c/3d/fly.pkl"), Path("/c/3d/bee.pkl")])
    ['2d/fly', '3d/fly', 'bee']
    """
    labels = [stem(path) for path in paths]
    depth = 0
    while len(set(labels)) < len(labels):
        depth += 1
        many = Counter(labels)
        labels = [
            "/".join([*path.parent.parts[-depth:], stem(path)]) if many[label] > 1 else label
            for path, label in zip(paths, labels, strict=True)
        ]
    return labels


def rank_of(prefer: str) -> Callable[[Dictionary], float]:
    """How dictionaries are ranked: the patches of the lowest are kept; among equals the first name counts.

    Parameters
    ----------
    prefer : str
        ``name``: all alike; ``finer``: smaller voxels first, those without size last; or a CSV whose column ``name``
        (else its first) lists datasets or dictionaries, the best first, what it does not name last.

    Raises
    ------
    UsageError
        If it is none of these.
    """
    if prefer == "name":
        return lambda each: 0.0
    if prefer == "finer":
        return _pixel_area
    order = _read_order(Path(prefer))

    def place(each: Dictionary) -> float:
        name = stem(each.path)
        known = [order[key] for key in (each.label, name, dataset_of(name)) if key in order]
        return float(known[0]) if known else float("inf")

    return place


def _pixel_area(each: Dictionary) -> float:
    size = each.index.meta["voxel_size"]
    return float(size[1] * size[2]) if size else float("inf")


def _read_order(path: Path) -> dict[str, int]:
    """Names of a CSV's column ``name``, else its first, with their places."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(
            f"--prefer {path}: neither {' nor '.join(PREFERENCES)}, nor a readable CSV ({error})"
        ) from error
    if not rows:
        raise UsageError(f"--prefer {path}: the table is empty")
    heading = [cell.strip().lower() for cell in rows[0]]
    column = heading.index("name") if "name" in heading else 0
    names = [row[column].strip() for row in rows[1 if "name" in heading else 0 :] if len(row) > column]
    return {name: place for place, name in reversed(list(enumerate(names)))}
