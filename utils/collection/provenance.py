"""Where datasets come from: the columns of datasets.csv beside their names."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from utils.collection.inventory import Part
from utils.dataset_table import TABLE_NAME, aliases_of, table_names
from utils.formats.voxel_size import VOXEL_COLUMNS
from utils.redaction import published
from utils.table_text import read_rows

NAME_COLUMNS = ("name", "dataset")
# They are the patch stages' own, and stand in a dictionary as measured or overruled.
NOT_FREE = frozenset(VOXEL_COLUMNS)


class Provenance:
    """Free columns (organism, license, doi, url ...) of datasets, by name.

    Of CSVs with a column ``name`` (or ``dataset``) the first that knows a dataset counts. Damaged rows are in
    `failures`: ``path:line`` and the reason.

    Raises
    ------
    ValueError, OSError
        If a table has no such column, or is no text.
    """

    def __init__(self, tables: Iterable[Path] = ()) -> None:
        self._rows: dict[str, dict[str, str]] = {}
        self._seen: set[str] = set()
        self.failures: dict[str, str] = {}
        for table in tables:
            for name, row in _read(table, self.failures):
                self._rows.setdefault(name, row)
        self._aliases = aliases_of(self._rows)

    def of(self, dataset: str, parts: Sequence[Part] = ()) -> dict[str, str]:
        """The columns of a dataset: of its row, or of what it was made of, or as its dictionaries remember them."""
        for name, _ in table_names(dataset):
            if row := self._aliases.get(name):
                self._seen.add(row)
                return self._rows[row]
        for part in parts:
            said = part.meta.get("dataset")
            if isinstance(said, Mapping):
                return {str(k): _text(v) for k, v in said.items() if k not in NOT_FREE and k not in NAME_COLUMNS}
        return {}

    def unused(self) -> list[str]:
        """Names in the tables that no dataset asked for."""
        return sorted(self._rows.keys() - self._seen)


def _text(value: object) -> str:
    return "" if value is None else " ".join(published(str(value)).split())


def _read(table: Path, failures: dict[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
    columns, rows = read_rows(table, failures)
    key = next((name for name in NAME_COLUMNS if name in columns), None)
    if key is None:
        raise ValueError(f"{table}: columns are {', '.join(columns) or 'none'}; expected one called name")
    for row in rows:
        if name := _text(row.cells[key]):
            yield name, {k: _text(row.cells[k]) for k in columns if k and k != key and k not in NOT_FREE}


def find_tables(asked: Sequence[Path], *folders: Path) -> list[Path]:
    """The tables that were asked for, or else the ``datasets.csv`` that lie in these folders."""
    return list(asked) or [path for folder in folders if (path := folder / TABLE_NAME).is_file()]


def csv_text(value: object) -> object:
    """A cell of a CSV that a spreadsheet takes for text: what would be a formula there gets an apostrophe in front.

    >>> csv_text("=HYPERLINK(1)"), csv_text(-1.5), csv_text("fly")
    ("'=HYPERLINK(1)", -1.5, 'fly')
    """
    risky = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if risky else value
