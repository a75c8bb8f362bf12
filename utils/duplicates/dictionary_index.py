"""The index of a patch dictionary: a code a patch, and where in the file its pixels lie."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from utils.dictionaries import PatchFile, load_patches
from utils.duplicates.embedding import SIZE, embed_all
from utils.duplicates.index_file import Index, IndexWriter, make_index
from utils.files import stem
from utils.jobs import SKIPPED, Job
from utils.records.kept_patch import possible_size

FOLDER = ".duplicates"


def index_path(dictionary: Path) -> Path:
    """Where the index of a dictionary is stored: beside it."""
    return dictionary.parent / FOLDER / stem(dictionary)


def index_dictionary(job: Job) -> str:
    """Make the index (the job's target) of a dictionary (its source), unless it is there.

    Raises
    ------
    ValueError
        If it changed while it was read.
    """
    count = 0

    def fill(writer: IndexWriter) -> dict[str, Any]:
        nonlocal count
        with PatchFile(Path(job.source)) as file:
            count = len(file)
            return _fill(writer, file)

    return f"{count} patches" if make_index(job.target, Path(job.source), fill) else SKIPPED


def _fill(writer: IndexWriter, file: PatchFile) -> dict[str, Any]:
    """Append what the index holds, a batch of patches in memory at a time; returns what is noted."""
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
        names: list[str] = json.loads(self.index["names"].tobytes())
        return names

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
        patches: list[np.ndarray] = load_patches(self.path)["patches"]
        return patches
