"""duplicates.csv: which patches show what another one, or an excluded image, shows already."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import xxhash

from utils.files import atomic_path, resolved
from utils.records import scores
from utils.table_text import decimal, read_written, write_rows

COLUMNS = ("name", "dictionary", "duplicate_of", "its_dictionary", "similarity", "correlation", "orientation")
# Marks in `its_dictionary` that the other one is an excluded image and no patch of the collection.
EXCLUDED_MARK = "excluded:"


@dataclass(frozen=True)
class Duplicate:
    """A row: a patch to leave out, and what shows the same tissue."""

    # The patch.
    name: str
    dictionary: str
    # The patch that is kept instead; or the place in an excluded image, and ``excluded:`` with its file.
    duplicate_of: str
    its_dictionary: str
    # Mean correlation of tiles, and of all pixels (negative where one is inverted).
    similarity: float
    correlation: float
    orientation: str  # the view of this patch that looks like the other: of one turned by rot90 it is rot270

    @property
    def reason(self) -> str:
        """Why the patch is left out: ``duplicate`` or ``excluded``."""
        return scores.EXCLUDED if self.its_dictionary.startswith(EXCLUDED_MARK) else scores.DUPLICATE


def save_duplicates(path: Path, rows: Sequence[Duplicate]) -> None:
    """Write the table, sorted by dictionary and name."""
    table: list[tuple[str, ...]] = [COLUMNS]
    for row in sorted(rows, key=lambda row: (row.dictionary, row.name)):
        *words, similarity, correlation, orientation = astuple(row)
        table.append((*words, f"{similarity:.4f}", f"{correlation:.4f}", orientation))
    with atomic_path(path) as scratch:
        write_rows(scratch, table)


def read_duplicates(path: Path) -> list[Duplicate]:
    """Read back what ``collection/dedupe_collection.py`` wrote.

    Raises
    ------
    ValueError
        If it lacks columns or holds no numbers where some belong.
    """
    return list(read_written(path, COLUMNS, _parsed, "duplicates"))


def _parsed(row: dict[str, str]) -> Duplicate:
    name, dictionary, other, its_dictionary, similarity, correlation, orientation = (row[column] for column in COLUMNS)
    return Duplicate(name, dictionary, other, its_dictionary, decimal(similarity), decimal(correlation), orientation)


class LeftOut:
    """The patches that a table leaves out, by dictionary."""

    def __init__(self, rows: Sequence[Duplicate]) -> None:
        self._reasons: dict[str, dict[str, str]] = {}
        for row in rows:
            self._reasons.setdefault(row.dictionary, {})[row.name] = row.reason

    def is_of_others(self, dictionaries: Iterable[Path]) -> bool:
        """Whether it leaves patches out, but none of these dictionaries."""
        return bool(self._reasons) and not any(map(self.reasons, dictionaries))

    def reasons(self, dictionary: Path) -> dict[str, str]:
        """Patch name -> ``duplicate`` or ``excluded``, for a dictionary's file.

        The table calls it by its name without suffix, and by as many folders before it as were needed.
        """
        parts = resolved(dictionary).with_name(dictionary.name.removesuffix(".pkl")).parts
        for depth in range(len(parts), 0, -1):
            found = self._reasons.get("/".join(parts[-depth:]))
            if found is not None:
                return dict(found)
        return {}

    def digest(self, dictionary: Path) -> str:
        """What tells whether the patches that are left out of a dictionary, and the reasons, are the same."""
        reasons = sorted(self.reasons(dictionary).items())
        return f"{len(reasons)} patches ({xxhash.xxh3_64_hexdigest(json.dumps(reasons).encode())})"
