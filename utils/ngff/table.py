"""Tables of NGFF datasets: the CSV columns of older lists, read row by row."""

from collections.abc import Mapping
from math import nan
from pathlib import Path

from utils.files import LONGEST_NAME, safe_name
from utils.formats.voxel_size import stated_size
from utils.names import split_level
from utils.ngff.address import address_name
from utils.ngff.dataset import Dataset
from utils.table_text import NOTHING, number_in, read_rows

# Characters of a table's columns that a message shows.
_MOST_SHOWN = 200
_REGION_BYTES = 80  # what a level and a region add to a dataset's name
# What the columns mean is in the help of scraping/ngff_download.py.
_YES, _NO = ("true", "yes", "1", "1.0", "t", "y"), ("false", "no", "0", "0.0", "f", "n")
# Rows of these were written by hand while the metadata were not: older scripts took the metadata's voxel size.
_METADATA_FIRST = ("cloudvolume", "cloud-volume", "precomputed", "neuroglancer")


def read_table(path: Path) -> list[Dataset]:
    """Rows of a CSV; one that cannot be used says so when it is opened, and stops no other.

    Raises
    ------
    ValueError
        If the table has no column of addresses or no rows.
    """
    too_long: dict[str, str] = {}
    columns, rows = read_rows(path, too_long)
    if not {"download_url", "url"} & set(columns):
        shown = ", ".join(sorted(columns)).replace("\0", "")[:_MOST_SHOWN]
        raise ValueError(f"{path}: expected a column download_url (or url), found {shown or 'none'}")
    datasets = [_dataset(row.cells, path, row.line) for row in rows]
    for where, reason in too_long.items():
        datasets.append(Dataset(where, f"{path.stem}-line-{where.rpartition(':')[2]}", problem=reason))
    if not datasets:
        raise ValueError(f"{path}: has no rows below its header")
    return datasets


def _dataset(cells: Mapping[str, str], table: Path, line: int) -> Dataset:
    url = cells.get("download_url") or cells.get("url", "")
    name = cells.get("volume_name") or (address_name(url) if url else "")
    try:
        if not url:
            raise ValueError("no address: download_url is empty")
        address, marked = split_level(url)
        level = _whole(cells, "mip", 0)
        return Dataset(
            address,
            _checked_name(name),
            marked if level is None else level,
            stated_size(cells),
            _flag(cells, "crop", True),
            _whole(cells, "crop_size", 1),
            _flag(cells, "invert", False),
            nan if cells.get("padding_value", "").lower() == "nan" else number_in(cells, "padding_value") or 0.0,
            cells.get("api", "").lower() in _METADATA_FIRST,
        )
    except ValueError as error:
        where = f"{table}:{line} ({name or url or 'empty row'})"
        return Dataset(where, f"{table.stem}-line-{line}", problem=str(error))


def _checked_name(name: str) -> str:
    for mark in ("-ROI-", "-LOC-"):
        if mark in name:
            raise ValueError(f"volume_name {name!r} holds {mark}, which separates the parts of file names; rename it")
    if name.startswith("."):
        raise ValueError(f"volume_name {name!r} would be hidden; rename it")
    return safe_name(name, LONGEST_NAME - _REGION_BYTES)


def _whole(cells: Mapping[str, str], column: str, least: int) -> int | None:
    value = number_in(cells, column)
    if value is not None and (value < least or value % 1):
        raise ValueError(f"{column} is {value:g}; expected a whole number of at least {least}")
    return None if value is None else int(value)


def _flag(cells: Mapping[str, str], column: str, default: bool) -> bool:
    text = cells.get(column, "").lower()
    if text in _YES:
        return True
    if text in _NO:
        return False
    if text in NOTHING:
        return default
    raise ValueError(f"{column} is {text!r}; expected true or false")
