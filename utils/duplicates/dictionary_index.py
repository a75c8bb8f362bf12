"""The dictionaries of a collection, and the index of each: a code a patch, and where in the file its pixels lie."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from utils.classification.shared_names import refuse_shared_files
from utils.cli import UsageError, list_inputs
from utils.dictionaries import load_patches
from utils.duplicates.embedding import SIZE, embed_all
from utils.duplicates.index_file import Index, IndexWriter, make_index
from utils.files import resolved, safe_name, stem
from utils.jobs import SKIPPED, Job
from utils.names import dataset_of
from utils.outcomes import describe
from utils.patch_file import PatchFile
from utils.records.kept_patch import possible_size
from utils.table_text import read_cells

FOLDER = ".duplicates"
PREFERENCES = ("name", "finer")


def index_path(dictionary: Path) -> Path:
    """Where the index of a dictionary is stored: beside it."""
    return dictionary.parent / FOLDER / stem(dictionary)


def index_dictionary(job: Job) -> str:
    """Make the index (the job's target) of a dictionary (its source), unless it is there."""
    safe_name(Path(job.source).stem)  # the table calls it so
    index = make_index(job.target, Path(job.source), _fill)
    return f"{index.rows('codes')} patches" if index else SKIPPED


def _fill(writer: IndexWriter, dictionary: Path) -> dict[str, Any]:
    """Append what the index holds, a batch of patches in memory at a time; returns what is noted."""
    with PatchFile(dictionary) as file:
        refuse_shared_files(file.names)
        rows = range(len(file))
        places = [file.offset(row) for row in rows]
        writer.append(
            codes=np.zeros((0, SIZE), np.int8),
            shapes=np.array([file.shape(row) for row in rows], np.int64).reshape(-1, 2),
            offsets=np.array([-1 if place is None else place for place in places], np.int64),
            names=np.frombuffer(json.dumps(file.names).encode(), np.uint8),
        )
        for batch in file.batches():
            writer.append(codes=embed_all(batch.patches))
        return {"voxel_size": possible_size(file.meta.get("voxel_size"))}


@dataclass(frozen=True)
class Dictionary:
    """A dictionary of the collection, with its index, and the label by which tables call it (see `labels_of`)."""

    path: Path
    label: str
    index: Index

    def __len__(self) -> int:
        return self.index.rows("codes")

    @cached_property
    def names(self) -> list[str]:
        """The patches' names."""
        return list(json.loads(self.index["names"].tobytes()))

    @property
    def digest(self) -> str:
        """Of the file's content."""
        return str(self.index.meta["source"][2])

    def shape(self, row: int) -> tuple[int, int]:
        """Rows and columns of a patch."""
        height, width = self.index["shapes"][row].tolist()
        return height, width

    def patch(self, row: int) -> np.ndarray:
        """The pixels of a patch; only they are read, where the file holds them as they are.

        Returns
        -------
        ndarray of uint8, shape (h, w)

        Raises
        ------
        ValueError
            If the file has become shorter.
        """
        offset, (height, width) = int(self.index["offsets"][row]), self.shape(row)
        if offset < 0:
            return self._all[row]
        with self.path.open("rb", buffering=0) as file:
            file.seek(offset)
            pixels = np.frombuffer(file.read(height * width), np.uint8)
        if pixels.size != height * width:
            raise ValueError(f"{self.path} was cut short while it was compared; repeat the command")
        return pixels.reshape(height, width)

    @cached_property
    def _all(self) -> list[np.ndarray]:
        return list(load_patches(self.path)["patches"])


def list_dictionaries(folders: Sequence[Path], *, may_be_empty: bool = False, quiet: bool = False) -> list[Path]:
    """The dictionaries of folders, each file once, in an order that does not depend on that of the folders.

    Raises
    ------
    UsageError
        If a folder has none, unless it may be empty.
    """
    found: dict[Path, Path] = {}
    for folder in sorted({Path(folder).resolve() for folder in folders}):
        files = list_inputs(folder, {".pkl"}, "patch dictionaries", quiet)
        if not files and not may_be_empty:
            raise UsageError(f"{folder}: no {'patch dictionaries (.pkl) in it' if folder.is_dir() else 'such folder'}")
        for path in files:
            found.setdefault(resolved(path), path)
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

    By ``name``: all alike; ``finer``: smaller voxels first, those without size last; or a CSV whose column ``name``,
    else its first, lists datasets or dictionaries, the best first, what it does not name last.

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
        rows = [cells for _, cells in read_cells(path)]
    except (OSError, ValueError) as error:
        raise UsageError(
            f"--prefer {path}: neither {' nor '.join(PREFERENCES)}, nor a readable CSV ({describe(error)})"
        ) from error
    if not rows:
        raise UsageError(f"--prefer {path}: the table is empty")
    heading = [cell.lower() for cell in rows[0]]
    column = heading.index("name") if "name" in heading else 0
    names = [row[column] for row in rows[1 if "name" in heading else 0 :] if len(row) > column]
    return {name: place for place, name in reversed(list(enumerate(names)))}
