"""Which patches are shown for labelling, and in what order."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from utils.cli import UsageError
from utils.collection.failures import reason_of
from utils.collection.inventory import Part, dictionaries, list_parts
from utils.collection.spread import key_of
from utils.dictionaries import PatchFile
from utils.names import dataset_of

# Scores so near to each other are as uncertain as each other: within a band datasets take turns.
BAND = 0.1


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
        try:
            items += read()
        except (OSError, ValueError) as error:
            failures[str(path)] = reason_of(error, path)
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
