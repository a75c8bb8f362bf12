"""The index of a patch dictionary: a code a patch, and where in the file its pixels lie."""

import json
import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from utils.dictionaries import load_patches
from utils.duplicates.embedding import SIZE, embed
from utils.duplicates.index_file import Index, IndexWriter, current_index, write_index
from utils.files import stem
from utils.jobs import SKIPPED, Job
from utils.records.fingerprints import fingerprint

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
    path = Path(job.source)
    if current_index(job.target, path) is not None:
        return SKIPPED
    seen = fingerprint([path])
    content = load_patches(path)
    names, patches = content["names"], content["patches"]

    def fill(writer: IndexWriter) -> dict[str, Any]:
        codes = np.array([embed(patch) for patch in patches], np.int8).reshape(-1, SIZE)
        shapes = np.array([patch.shape for patch in patches], np.int64).reshape(-1, 2)
        writer.append(codes=codes, shapes=shapes, offsets=offsets_of(path, patches))
        writer.append(names=np.frombuffer(json.dumps(names).encode(), np.uint8))
        return {"source": seen, "voxel_size": _voxel_size(content.get("meta"))}

    write_index(job.target, fill)
    if fingerprint([path]) != seen:
        raise ValueError("it changed while it was read; repeat the command")
    return f"{len(names)} patches"


def offsets_of(path: Path, patches: Sequence[np.ndarray]) -> np.ndarray:
    """Where each patch's bytes lie in the file.

    Parameters
    ----------
    path : Path
    patches : sequence of ndarray of uint8, shape (h, w)

    Returns
    -------
    ndarray of int64, shape (n,)
        -1 where they do not lie there as they are.
    """
    found = np.full(len(patches), -1, np.int64)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        position = 0
        for row, patch in enumerate(patches):
            place = content.find(patch.tobytes(), position)
            if place >= 0:
                found[row] = place
                position = place + patch.size
    return found


def _voxel_size(meta: Any) -> list[float] | None:
    size = meta.get("voxel_size") if isinstance(meta, dict) else None
    try:
        sides = [float(side) for side in size] if size is not None else []
    except (TypeError, ValueError):
        return None
    return sides if len(sides) == 3 and all(side > 0 for side in sides) else None


@dataclass(frozen=True)
class Dictionary:
    """A dictionary of the collection, with its index.

    Attributes
    ----------
    path : Path
    label : str
        How tables call it: its name without suffix, with as many folders before it as tell it from others.
    index : Index
    """

    path: Path
    label: str
    index: Index

    def __len__(self) -> int:
        return len(self.index["codes"])

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
        pixels = np.fromfile(self.path, np.uint8, height * width, offset=offset)
        if pixels.size != height * width:
            raise ValueError(f"{self.path} was cut short while it was compared; repeat the command")
        return pixels.reshape(height, width)

    @cached_property
    def _all(self) -> list[np.ndarray]:
        patches: list[np.ndarray] = load_patches(self.path)["patches"]
        return patches
