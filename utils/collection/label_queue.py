"""Which patches are shown for labelling, and in what order."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from utils.cli import UsageError
from utils.collection.inventory import dictionaries, list_parts
from utils.collection.spread import key_of
from utils.dictionaries import load_patches
from utils.names import dataset_of

ORDERS = ("uncertain", "random", "borderline")
# Scores so near to each other are as uncertain as each other: within a band datasets take turns.
BAND = 0.1


@dataclass(frozen=True)
class Item:
    """A patch to be labelled.

    Attributes
    ----------
    name, dataset : str
    where : Path
        Its TIFF, or the dictionary that holds it.
    score : float, optional
    """

    name: str
    dataset: str
    where: Path
    score: float | None = None


def list_items(folder: Path, scores: Path | None) -> list[Item]:
    """The patches of a folder of dictionaries, or the kept ones of a folder of classified patches.

    Parameters
    ----------
    scores : Path, optional
        Where the dictionaries' tables are; then no dictionary is read.

    Raises
    ------
    UsageError
        If there are none.
    """
    by_name = dictionaries([folder])
    if not by_name:
        return [
            Item(decision.name, part.dataset, part.path(decision.name), decision.score)
            for part in list_parts(folder)
            for decision in part.decisions()
            if decision.kept and part.path(decision.name).is_file()
        ]
    if scores is not None:
        parts = [part for part in list_parts(scores, [folder]) if part.dictionary is not None]
        return [
            Item(decision.name, part.dataset, part.dictionary, decision.score)
            for part in parts
            if part.dictionary is not None
            for decision in part.decisions()
        ]
    paths = [path for same in by_name.values() for path in same]
    return [Item(name, dataset_of(path.stem), path) for path in paths for name in load_patches(path)["names"]]


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
    if any(item.score is None for item in items):
        raise UsageError(f"--order {order} goes by scores; give the folder of classify_patches.py by --scores")
    near = sorted(items, key=lambda item: (abs((item.score or 0) - threshold), key_of(seed, item.name)))
    if order == "borderline":
        return near
    turn: Counter[tuple[int, str]] = Counter()
    keys = []
    for item in near:
        band = int(abs((item.score or 0) - threshold) / BAND)
        keys.append((band, turn[band, item.dataset]))
        turn[band, item.dataset] += 1
    return [near[i] for i in sorted(range(len(near)), key=keys.__getitem__)]


def relative_picture(table: Path, item: Item) -> str:
    """Where a labelled patch's picture is stored, from the folder of the table."""
    return f"{table.stem}_patches/{item.dataset}/{item.name}.png"
