"""Tables beside exported patches: a row per patch, and the split of each dataset."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path

from utils.collection.provenance import csv_text
from utils.collection.shards import Shard
from utils.table_text import read_rows, write_rows


def write_patches(path: Path, shards: Sequence[Shard]) -> None:
    """``patches.csv``: a row per patch, with its split and the file that holds it, in the order of the files."""
    rows = ([shard.file_of(i), *row.values()] for shard in shards for i, row in enumerate(shard.rows))
    header = [["file", *shard.rows[0]] for shard in shards[:1]]
    write_rows(path, chain(header, (map(csv_text, row) for row in rows)))


def write_folder_metadata(path: Path, shards: Iterable[Shard], columns: Mapping[str, str]) -> None:
    """``metadata.csv`` of a split of an imagefolder, with `uniform_columns` after the ``file_name``, as readers ask."""
    rows = (
        [file.partition("/")[2], *(_cell(row[name], kind) for name, kind in columns.items())]
        for shard in shards
        for file, row in zip(shard.files, shard.rows, strict=True)
    )
    write_rows(path, chain([["file_name", *columns]], rows))


def _cell(value: object, kind: str) -> object:
    return float(value) if kind == "number" and value not in (None, "") else csv_text(value)  # type: ignore[arg-type]


def uniform_columns(splits: Mapping[str, Sequence[Shard]]) -> dict[str, str]:
    """The columns that a reader who guesses types takes for the same in every split, and the kind of each.

    `datasets` refuses an imagefolder where a column is text in one split and empty, or all numbers, in another: such
    ones are left to patches.csv. Whole numbers that are missing somewhere are written as floats everywhere.
    """
    kinds: dict[str, set[str]] = {}
    for shards in splits.values():
        own: dict[str, set[str]] = {}
        for row in (row for shard in shards for row in shard.rows):
            for name, value in row.items():
                own.setdefault(name, set()).add(_kind(value))
        for name, found in own.items():
            kinds.setdefault(name, set()).add(_guess(found))
    return {name: _guess(found) for name, found in kinds.items() if found == {"text"} or "text" not in found}


def _guess(found: set[str]) -> str:
    """The kind of a column that holds these kinds of cells."""
    return "text" if "text" in found else "whole" if found == {"whole"} else "number"


def _kind(value: object) -> str:
    if isinstance(value, int):
        return "whole"
    if value in (None, "") or isinstance(value, float):
        return "number"
    try:
        float(str(value))
    except ValueError:
        return "text"
    return "number"


def write_splits(path: Path, split_of: Mapping[str, str], groups: Iterable[list[str]]) -> None:
    """``splits.csv``: the split of each dataset, and what it is tied to."""
    rows = (
        (dataset, split_of[dataset], " ".join(other for other in group if other != dataset))
        for group in sorted(groups)
        for dataset in group
    )
    write_rows(path, chain([("dataset", "split", "tied_with")], (map(csv_text, row) for row in rows)))


def read_splits(path: Path) -> dict[str, str]:
    """``splits.csv`` back: the split of each dataset.

    Raises
    ------
    ValueError
        If it is no such table.
    """
    columns, rows = read_rows(path)
    if not {"dataset", "split"} <= set(columns):
        raise ValueError(f"{path}: columns are {', '.join(columns) or 'none'}; expected dataset,split")
    return {_named(row.cells["dataset"]): row.cells["split"] for row in rows}


def _named(cell: str) -> str:
    """A name without the apostrophe that `csv_text` put before it."""
    return cell[1:] if cell.startswith("'") and csv_text(cell[1:]) == cell else cell
