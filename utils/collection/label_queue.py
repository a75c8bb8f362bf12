"""What is shown for labelling: which patches, in what order, their pixels, and the slices around them."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from utils.cli import UsageError
from utils.collection.inventory import Part, dictionaries, list_parts
from utils.collection.pixels import read_patch
from utils.collection.places import key_of
from utils.components import by_key
from utils.contrast import to_uint8
from utils.dictionaries import load_meta
from utils.names import dataset_of, parse_name, parsed
from utils.outcomes import collecting
from utils.patch_file import PatchFile
from utils.records.kept_patch import possible_contrast, read_description

# Scores so near to each other are as uncertain as each other: within a band datasets take turns.
BAND = 0.1

OPEN_VOLUMES = 4


@dataclass(frozen=True)
class Item:
    """A patch to be labelled, with its score where one is known, and its TIFF or the dictionary that holds it."""

    name: str
    dataset: str
    where: Path
    score: float | None = None


def list_items(folder: Path, scores: Path | None) -> tuple[list[Item], dict[str, str]]:
    """The patches of a folder of dictionaries, or the kept ones of a folder of classified patches.

    Where tables are given by `scores`, no dictionary is read. What cannot be read comes second, with the reason.

    Raises
    ------
    UsageError
        If there are none.
    """
    items: list[Item] = []
    failures: dict[str, str] = {}
    for path, read in _sources(folder, scores):
        with collecting(failures, path):
            found = read()
            for item in found:
                f"{item.dataset} {item.name}".encode()  # as labels.csv is written
            items += found
    return items, failures


def _sources(folder: Path, scores: Path | None) -> list[tuple[Path, Callable[[], list[Item]]]]:
    """Files that name patches, each with what reads it."""
    by_name = dictionaries([folder])
    if not by_name:
        return [(part.table, partial(_kept, part)) for part in list_parts(folder)]
    if scores is None:
        return [(path, partial(_all, path)) for same in by_name.values() for path in same]
    parts = [part for part in list_parts(scores, [folder]) if part.dictionary is not None]
    return [(part.table, partial(_scored, part)) for part in parts]


def _kept(part: Part) -> list[Item]:
    rows = [row for row in part.decisions() if row.kept and part.path(row.name).is_file()]
    return [Item(row.name, part.dataset, part.path(row.name), row.score) for row in rows]


def _scored(part: Part) -> list[Item]:
    return [Item(row.name, part.dataset, part.dictionary or part.table, row.score) for row in part.decisions()]


def _all(path: Path) -> list[Item]:
    with PatchFile(path) as dictionary:
        return [Item(name, dataset_of(path.stem), path) for name in dictionary.names]


def ordered(items: Sequence[Item], order: str, *, threshold: float, seed: int) -> list[Item]:
    """Items in the order in which they are shown.

    ``uncertain``: nearest to the threshold first, datasets in turn where they are alike; ``borderline``: nearest first;
    ``random``: by seed.

    Raises
    ------
    UsageError
        If there are no scores to go by.
    """
    if order == "random":
        return sorted(items, key=lambda item: (key_of(seed, item.name), item.name))

    def distance(item: Item) -> float:
        if item.score is None:
            raise UsageError(f"--order {order} goes by scores; give the folder of classify_patches.py by --scores")
        return abs(item.score - threshold)

    near = sorted(items, key=lambda item: (distance(item), key_of(seed, item.name)))
    if order == "borderline":
        return near
    turn: Counter[tuple[int, str]] = Counter()
    keys = []
    for item in near:
        band = int(distance(item) / BAND)
        keys.append((band, turn[band, item.dataset]))
        turn[band, item.dataset] += 1
    return [near[i] for i in sorted(range(len(near)), key=keys.__getitem__)]


class Stock:
    """Gives the pixels of items: from TIFFs, or from dictionaries, each of which is read once.

    What is wanted of a dictionary is kept in a scratch folder, so that memory holds one patch at a time.
    """

    def __init__(self, items: Sequence[Item], scratch: Path) -> None:
        self._items, self._scratch = items, scratch
        self._lock = threading.Lock()
        self._places: dict[int, tuple[Path, int, tuple[int, int]]] = {}
        in_dictionaries = (i for i, item in enumerate(items) if item.where.suffix == ".pkl")
        self._wanted = by_key(in_dictionaries, lambda i: items[i].where)

    def pixels(self, i: int) -> np.ndarray:
        """Pixels of item `i`.

        Returns
        -------
        ndarray of uint8, shape (h, w)

        Raises
        ------
        ValueError, OSError
            If they cannot be read.
        """
        item = self._items[i]
        if item.where.suffix != ".pkl":
            return read_patch(item.where)
        with self._lock:
            if i not in self._places:
                self._unpack(item.where)
        if i not in self._places:
            raise ValueError(f"{item.where}: no patch {item.name!r} in it; classify it again")
        path, offset, shape = self._places[i]
        return np.fromfile(path, np.uint8, count=shape[0] * shape[1], offset=offset).reshape(shape)

    def _unpack(self, dictionary: Path) -> None:
        path, offset = self._scratch / f"{len(list(self._scratch.iterdir()))}.raw", 0
        with PatchFile(dictionary) as content, path.open("wb") as file:
            index = {name: at for at, name in enumerate(content.names)}
            for i in self._wanted[dictionary]:
                if (at := index.get(self._items[i].name)) is not None:
                    (patch,) = content.read([at])
                    self._places[i] = (path, offset, patch.shape)
                    offset += file.write(patch.tobytes())


class Neighbours:
    """Cuts the slices before and after a patch from its volume, which `utils.volume_index.VolumeIndex` finds."""

    def __init__(self, places: Sequence[str]) -> None:
        from utils.volume_index import VolumeIndex

        index = VolumeIndex(places)
        self._volume = lru_cache(OPEN_VOLUMES)(lambda name: found.open() if (found := index.find(name)) else None)
        self._lock = threading.Lock()

    def cut(self, item: Item, step: int) -> np.ndarray | None:
        """The same box `step` slices on; None where there is no such slice or volume.

        Returns
        -------
        ndarray of uint8, shape (h, w), or None
        """
        place = parsed(parse_name, item.name)
        if place is None or place.axis is None:
            return None
        with self._lock:
            volume = self._volume(place.source)
            index = place.first + step
            if volume is None or not 0 <= index < volume.shape[place.axis]:
                return None
            cut = volume[tuple(slice(*span) for span in place.region(index, index + 1))].squeeze(place.axis)
        # The window by which the patch itself was converted.
        meta = load_meta(item.where) if item.where.suffix == ".pkl" else read_description(item.where)
        return to_uint8(cut, possible_contrast(meta.get("contrast")) or "percentile")
