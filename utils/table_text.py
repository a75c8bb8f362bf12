"""Tables as people and spreadsheets write them: UTF-8 or UTF-16; commas, semicolons or tabs; comments, empty rows."""

import codecs
import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TextIO, TypeVar

from utils.memory import require
from utils.reading import open_regular

Parsed = TypeVar("Parsed")
DELIMITERS = ",;\t"
# What people write into a cell that says nothing.
NOTHING = frozenset({"", "x", "-", "?", "none", "nan", "na", "n/a", "unknown"})
# How rows begin that are none: comments, and the one by which a spreadsheet tells another its delimiter.
_NO_ROW = ("#", "sep=")
_LONGEST_CELL = 1 << 24
_END = "\0end"  # a last row of ours: a quote that is not closed swallows it
_COPIES = 8  # of a table's bytes in memory while it is read
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclass(frozen=True)
class Row:
    """A row of a table: where it stands, and its cells by their column's name in lower case, stripped."""

    line: int
    cells: Mapping[str, str]


def read_rows(path: Path, problems: dict[str, str] | None = None) -> tuple[list[str], list[Row]]:
    """The columns of a table, in lower case, and its rows but empty ones, comments (``#``) and ``sep=``.

    `problems` take the rows with too many cells (``path:line``: reason), which are then left out.

    Raises
    ------
    ValueError
        If it is no text, two columns have one name, or a row has more cells than there are columns.
    """
    columns: list[str] = []
    rows: list[Row] = []
    for line, cells in read_cells(path):
        if not columns:
            columns = _columns(cells, path)
        elif any(cells[len(columns) :]):
            where, reason = f"{path}:{line}", f"{len(cells)} cells, but {len(columns)} columns"
            if problems is None:
                raise ValueError(f"{where}: {reason}")
            problems[where] = reason
        else:
            rows.append(Row(line, dict(zip(columns, cells + [""] * len(columns), strict=False))))
    return columns, rows


def read_cells(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line and cells, stripped, of all rows of a table but empty ones, comments (``#``) and ``sep=``.

    Raises
    ------
    ValueError
        If it is no text, or ends within a quote.
    """
    with open_regular(path) as file:
        require(_COPIES * path.stat().st_size, "the table")
        text = decode(file.read(), path)
    # Not `splitlines`: what copies of spreadsheets have inside of cells (form feeds, U+2028) ends no row.
    lines = list(io.StringIO(text, newline=""))
    header = next((line for line in lines if line.strip() and not line.lstrip().startswith(_NO_ROW)), "")
    reader = csv.reader(chain(lines, ("\n", _END)), delimiter=_delimiter(header), skipinitialspace=True)
    begin = 1
    for row in rows_of(reader, path):
        if row == [_END]:
            return
        if row and row[-1].endswith(_END):
            raise ValueError(f"{path}:{begin}: a quote is opened and not closed, which takes all rows that follow")
        cells = [cell.strip() for cell in row]
        if any(cells) and not cells[0].startswith(_NO_ROW):
            yield reader.line_num, cells
        begin = reader.line_num + 1


def number_in(cells: Mapping[str, str], column: str) -> float | None:
    """The number in a cell of a row, with a point or a comma; None where it says nothing.

    Raises
    ------
    ValueError
        If it is none.
    """
    text = cells.get(column, "")
    if text.lower() in NOTHING:
        return None
    try:
        return decimal(text)
    except ValueError as error:
        raise ValueError(f"{column} is {text!r}; expected a number") from error


def decimal(text: str) -> float:
    """A number with a point or, as spreadsheets of some countries write it, a comma."""
    return float(text.replace(",", "."))


def named_rows(file: TextIO, path: Path) -> tuple[list[str], "csv.DictReader[str]"]:
    """The columns of a table of ours, by whichever delimiter a spreadsheet has saved it, and its rows, for `rows_of`.

    Raises
    ------
    ValueError
        If it begins with no header.
    """
    try:
        header = next((line for line in file if not line.startswith("sep=")), "")
        reader = csv.DictReader(chain([header], file), delimiter=_delimiter(header))
        return list(reader.fieldnames or []), reader
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: is no table: {error}") from error


def read_written(
    path: Path, columns: Sequence[str], parse: Callable[[dict[str, str]], Parsed], what: str
) -> Iterator[Parsed]:
    """What `parse` makes of the rows of a table of ours, of `what`, one after another.

    Raises
    ------
    ValueError
        If it is none, or a row is damaged.
    """
    with open_text(path) as file:
        known, reader = named_rows(file, path)
        if not set(columns) <= set(known):
            raise ValueError(f"{path}: no table of {what}, expected the columns {', '.join(columns)}")
        for row in rows_of(reader, path):
            try:
                if None in map(row.get, columns):
                    raise ValueError("cells are missing")
                yield parse(row)
            except ValueError as error:
                raise ValueError(f"{path}:{reader.line_num}: a damaged row ({error})") from error


def _delimiter(header: str) -> str:
    """What stands between cells: spreadsheets write what their country's decimal comma leaves free."""
    return max(DELIMITERS, key=header.count)


def rows_of(reader: Any, path: Path) -> Iterator[Any]:
    """What a reader of the csv module gives, long cells too.

    Raises
    ------
    ValueError
        If it is no table.
    """
    csv.field_size_limit(_LONGEST_CELL)
    try:
        yield from reader
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path}:{reader.line_num}: is no table: {error}") from error


def _columns(cells: list[str], path: Path) -> list[str]:
    columns = [cell.lower() for cell in cells]
    if twice := [name for name, times in Counter(columns).items() if name and times > 1]:
        raise ValueError(f"{path}: two columns are called {', '.join(sorted(twice))}")
    return columns


def write_rows(path: Path, rows: Iterable[Iterable[object]]) -> None:
    """Write a table as all stages read it: commas, UTF-8; names that are none keep their bytes."""
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        row_writer(file).writerows(rows)


def row_writer(file: TextIO) -> Any:
    """A writer of the csv module whose lines end in a newline; cells are quoted that hold any end of a line."""
    return csv.writer(_Newlines(file), lineterminator="\r\n")


class _Newlines:
    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, row: str) -> int:
        return self._file.write(row.removesuffix("\r\n") + "\n")


def open_text(path: Path) -> TextIO:
    """Open a table for the csv module, by its byte order mark; bytes of UTF-8 that are none stay what they are."""
    with open_regular(path) as file:
        encoding = _encoding(file.read(4))
    return path.open(newline="", encoding=encoding, errors="surrogateescape" if encoding == "utf-8" else "strict")


def _encoding(begin: bytes) -> str:
    return next((name for mark, name in _MARKS.items() if begin.startswith(mark)), "utf-8")


def decode(content: bytes, path: Path) -> str:
    """Text in UTF-8, or in UTF-16 or UTF-32 with a byte order mark.

    Raises
    ------
    ValueError
        If it is neither.
    """
    try:
        return content.decode(_encoding(content))
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: is not a text file in UTF-8 or UTF-16: {error.reason} at byte {error.start}"
        ) from error
