"""Cross-validation by group: what networks say of patches that they had not seen, in one table per fold."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.classification.decision import Decision
from utils.table_text import read_written, write_rows
from utils.training.labels import Labelled

COLUMNS = ("path", "good", "left_out", "logit", "distance")
# A left-out network that is so sure of the opposite contradicts a label, whatever the networks say that learnt it.
SURE = 0.9


@dataclass(frozen=True)
class OutOfFold:
    """What the networks say of all patches, indexed like the labels.

    Attributes
    ----------
    logits, distances : ndarrays, shape (n,)
        Of the network that had not seen the patch: its output, and how far from the familiar it found the patch.
    fold_of : ndarray of int, shape (n,)
    all_logits : ndarray, shape (folds, n)
        Of every network.
    """

    logits: np.ndarray
    distances: np.ndarray
    fold_of: np.ndarray
    all_logits: np.ndarray


@dataclass(frozen=True)
class Doubt:
    """A label that networks contradict: its patch, the left-out score, and how many of the folds are against it."""

    index: int
    score: float
    against: int
    folds: int


def write_fold(path: Path, rows: Iterable[tuple[Path, bool, bool, float, float]]) -> None:
    """Write the table of one fold: what its network says of each patch, as `COLUMNS` call it."""
    cells = ((p.as_posix(), int(g), int(out), f"{logit:.5f}", f"{far:.5f}") for p, g, out, logit, far in rows)
    write_rows(path, [COLUMNS, *cells])


def read_folds(tables: Sequence[Path], data: Labelled) -> OutOfFold:
    """Put the tables of all folds together.

    Raises
    ------
    ValueError
        If they do not cover the labels, each patch left out once: they come from other labels.
    """
    names = [path.as_posix() for path in data.paths]
    logits, distances = (np.full(len(data), np.nan) for _ in range(2))
    fold_of = np.full(len(data), -1)
    every = np.full((len(tables), len(data)), np.nan)
    for k, table in enumerate(tables):
        try:
            rows = list(read_written(table, COLUMNS, dict, "a fold"))
            if (found := [row["path"] for row in rows]) != names:
                raise ValueError(next((name for name in found if name not in names), "some are missing"))
            own = np.array([row["left_out"] == "1" for row in rows])
            values = np.array([(float(row["logit"]), float(row["distance"])) for row in rows])
        except ValueError as error:
            raise ValueError(f"{table} was made from other labels ({error}); remove it") from error
        every[k] = values[:, 0]
        logits[own], distances[own], fold_of[own] = values[own, 0], values[own, 1], k
    if (fold_of < 0).any():
        missing = data.paths[int(np.argmin(fold_of))]
        raise ValueError(f"{tables[0].parent} holds folds of other labels: {missing} was never left out; remove it")
    return OutOfFold(logits, distances, fold_of, every)


def doubts_of(seen: OutOfFold, good: np.ndarray, decision: Decision) -> list[Doubt]:
    """Labels that every network contradicts, or the one that had not seen the patch surely; worst first.

    Parameters
    ----------
    seen : OutOfFold
    good : ndarray of bool, shape (n,)
    decision : Decision
        Its calibration counts, not its threshold.
    """
    against = ((decision.scale * seen.all_logits + decision.bias > 0) != good).sum(axis=0)
    scores = decision.scores(seen.logits)
    wrong = np.where(good, 1 - scores, scores)
    folds = len(seen.all_logits)
    found = np.flatnonzero((wrong > 0.5) & ((against == folds) | (wrong > SURE)))
    order = found[np.lexsort((found, -wrong[found], -against[found]))]
    return [Doubt(int(i), float(scores[i]), int(against[i]), folds) for i in order]
