"""The table beside kept patches: the score of every patch of a dictionary, what became of it; and its distance."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from utils.files import OWN_FOLDER, write_whole
from utils.table_text import decimal, named_rows, open_text, read_written, write_rows

if TYPE_CHECKING:
    import numpy as np

DECIMALS = 4
COLUMNS = ("name", "score", "kept")
# The column that says why, where there is more than the score to it.
REASON = "reason"
# Of the column kept, in small letters: Excel makes TRUE of True.
WORDS = {"true": True, "false": False}
KEPT, LOW_SCORE, DUPLICATE, EXCLUDED = "kept", "low score", "duplicate", "excluded"


@dataclass(frozen=True)
class Score:
    """One patch."""

    name: str
    score: float  # 0 to 1
    kept: bool
    reason: str  # ``kept``, ``low score``, ``duplicate`` or ``excluded``


def save_scores(path: Path, scores: Iterable[Score], *, reasons: bool = False) -> None:
    """Write the CSV; with `reasons` their column, too."""
    columns = (*COLUMNS, REASON) if reasons else COLUMNS
    rows = ((row.name, f"{row.score:.{DECIMALS}f}", row.kept, row.reason)[: len(columns)] for row in scores)
    write_rows(path, chain([columns], rows))


def read_scores(path: Path) -> Iterator[Score]:
    """The rows of the CSV, one after another; as spreadsheets save it, too.

    Raises
    ------
    ValueError
        If it is none, or a row is damaged.
    """
    return read_written(path, COLUMNS, _score, "scores")


def is_scores_table(path: Path) -> bool:
    """Whether a file is such a CSV, or may be one that cannot be read now: whoever reads it says why."""
    try:
        with open_text(path) as file:
            return tuple(named_rows(file, path)[0])[: len(COLUMNS)] == COLUMNS
    except (OSError, ValueError):
        return True


def _score(row: dict[str, str]) -> Score:
    kept = WORDS.get(row["kept"].lower())
    if kept is None:
        raise ValueError(f"kept is {row['kept']!r}; expected True or False")
    return Score(row["name"], decimal(row["score"]), kept, row.get(REASON) or (KEPT if kept else LOW_SCORE))


def load_distances(table: Path) -> "np.ndarray":
    """How far each patch of a table lies from what the classifier was trained on.

    Returns
    -------
    ndarray, shape (n,)
        Empty if not known.

    Raises
    ------
    ValueError
        If the file is damaged.
    """
    import numpy as np

    path = distances_path(table)
    try:
        values = path.read_text("utf-8").split() if path.is_file() else []
        return np.array([float(value) for value in values])
    except ValueError as error:
        raise ValueError(f"{path}: damaged; remove it") from error


def save_distances(table: Path, distances: "np.ndarray") -> None:
    """Keep distances beside the table's record, or remove those of other weights.

    Parameters
    ----------
    table : Path
    distances : ndarray, shape (n,)
    """
    import numpy as np

    path = distances_path(table)
    if not np.isfinite(distances).all():
        path.unlink(missing_ok=True)
        return
    write_whole(path, "".join(f"{value:.{DECIMALS}f}\n" for value in distances))


def distances_path(table: Path) -> Path:
    """Where a table's distances lie."""
    return table.parent / OWN_FOLDER / f"{table.name}.distances"
