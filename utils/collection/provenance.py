"""Where datasets come from: the columns of datasets.csv beside their names."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from utils.collection.inventory import Part
from utils.collection.places import image_of

NAME_COLUMNS = ("name", "dataset")
# They are the patch stages' own, and stand in a dictionary as measured or overruled.
NOT_FREE = {"voxel_z", "voxel_y", "voxel_x"}


class Provenance:
    """Free columns (organism, license, doi, url ...) of datasets, by name.

    Parameters
    ----------
    tables : iterable of Path
        CSVs with a column ``name`` (or ``dataset``); the first that knows a dataset counts.

    Raises
    ------
    ValueError
        If a table has no such column, or is not in UTF-8.
    """

    def __init__(self, tables: Iterable[Path] = ()) -> None:
        self._rows: dict[str, dict[str, str]] = {}
        self._seen: set[str] = set()
        for table in tables:
            for name, row in _read(table):
                self._rows.setdefault(name, row)

    def of(self, dataset: str, parts: Sequence[Part] = ()) -> dict[str, str]:
        """The columns of a dataset: of its row, or of the row of its image, or as its dictionaries remember them."""
        for name in (dataset, image_of(dataset)):
            if name in self._rows:
                self._seen.add(name)
                return self._rows[name]
        for part in parts:
            said = part.meta.get("table")
            if isinstance(said, Mapping):
                return {str(k): _text(v) for k, v in said.items() if k not in NOT_FREE and k not in NAME_COLUMNS}
        return {}

    def unused(self) -> list[str]:
        """Names in the tables that no dataset asked for."""
        return sorted(self._rows.keys() - self._seen)


def _text(value: object) -> str:
    return "" if value is None else " ".join(str(value).split())


def _read(table: Path) -> list[tuple[str, dict[str, str]]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            fields = {(field or "").strip().lower(): field for field in reader.fieldnames or []}
            key = next((fields[name] for name in NAME_COLUMNS if name in fields), None)
            if key is None:
                raise ValueError(f"{table}: columns are {', '.join(fields) or 'none'}; expected one called name")
            free = {name: field for name, field in fields.items() if name not in NOT_FREE and field != key and name}
            return [
                (_text(row[key]), {name: _text(row[field]) for name, field in free.items()})
                for row in reader
                if _text(row[key])
            ]
    except UnicodeDecodeError as error:
        raise ValueError(f"{table}: not a table in UTF-8 ({error.reason}); save it as such") from error
    except csv.Error as error:
        raise ValueError(f"{table}: not a CSV ({error})") from error


def find_tables(asked: Sequence[Path], *folders: Path) -> list[Path]:
    """The tables that were asked for, or else the ``datasets.csv`` that lie in these folders."""
    return list(asked) or [path for folder in folders if (path := folder / "datasets.csv").is_file()]


def csv_text(value: object) -> object:
    """A cell of a CSV that a spreadsheet takes for text: what would be a formula there gets an apostrophe in front.

    >>> csv_text("=HYPERLINK(1)"), csv_text(-1.5), csv_text("fly")
    ("'=HYPERLINK(1)", -1.5, 'fly')
    """
    risky = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if risky else value
