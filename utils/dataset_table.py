"""What is known of volumes outside of their files: voxel sizes that headers lack, and where the data comes from.

``datasets.csv`` in the input folder (or ``--table FILE``) has the columns ``name``, ``voxel_z``, ``voxel_y``,
``voxel_x`` (nm; empty where it is not known) and any others, which travel along. A row is for the volume of its name,
with or without suffix, and for what is made of it: its regions, the stack of a video, binned copies.
"""

import argparse
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from utils.argument_types import existing_file, number_type
from utils.axes import GivenLengths, Lengths, triple
from utils.cli import as_usage_errors
from utils.files import NGFF_ENDING, suffix
from utils.formats.volume_base import Volume
from utils.formats.voxel_size import (
    LARGEST_NM,
    SMALLEST_NM,
    VOXEL_COLUMNS,
    VoxelSize,
    nm_text,
    significant,
    stated_size,
)
from utils.names import dataset_of, parse_binned, parse_level, parsed
from utils.redaction import published, say
from utils.table_text import Row, read_rows

TABLE_NAME = "datasets.csv"
NOT_GIVEN: GivenLengths = (None, None, None)
AnyVolume = TypeVar("AnyVolume", bound=Volume)
_side = number_type(
    float, lambda nm: SMALLEST_NM <= nm <= LARGEST_NM, f"the side of a voxel: {SMALLEST_NM:g} to {LARGEST_NM:g} nm"
)
# A header's number may be rounded by so much and still say the same.
SAME = 0.01


@dataclass(frozen=True)
class Stated:
    """What is stated about one volume outside of its file."""

    voxel_size: GivenLengths = NOT_GIVEN  # z, y, x in nm; None for an axis that is left to the header
    fields: tuple[tuple[str, str], ...] = ()  # the table's other columns that are not empty, and what they say
    where: str = ""  # who states it, as messages call it
    problem: str = ""  # why it cannot be used

    def options(self) -> dict[str, object]:
        """What decides a result made of the volume, as a recipe takes it: its voxel size."""
        return {"voxel-size": list(self.voxel_size)}

    def applied(self, volume: AnyVolume) -> AnyVolume:
        """The volume with the voxel size that is stated for it; a warning says where its header says another.

        Raises
        ------
        ValueError
            If the statement cannot be used; the volume is closed.
        """
        if self.problem:
            volume.close()
            raise ValueError(self.problem)
        if self.voxel_size == NOT_GIVEN:
            return volume
        header = volume.header_size.nm
        sides = [given or (header[i] if header else None) for i, given in enumerate(self.voxel_size)]
        if header and any(not math.isclose(a, b, rel_tol=SAME) for a, b in zip(header, sides, strict=True) if b):
            said = f"the header says {nm_text(header)}, {self.where} {nm_text(sides)} (z, y, x)"
            warnings.warn(f"voxel size: {said}: the latter is taken", stacklevel=2)
        volume.header_size = self._size(sides)
        return volume

    def _size(self, sides: list[float | None]) -> VoxelSize:
        z, y, x = sides
        if z is None or y is None or x is None:
            lacking = ", ".join(name for name, side in zip(VOXEL_COLUMNS, sides, strict=True) if side is None)
            return VoxelSize(None, f"the header has none, and {self.where} has no {lacking}")
        return VoxelSize((z, y, x))

    def whole_size(self) -> Lengths | None:
        """The voxel size where it is stated for all axes, for a file whose header has none.

        Raises
        ------
        ValueError
            If the statement cannot be used.
        """
        if self.problem:
            raise ValueError(self.problem)
        return self._size(list(self.voxel_size)).nm

    def scaled(self, factors: Lengths | None) -> "Stated":
        """The same of a copy whose voxels are larger by factors z, y, x; None where that is not known."""
        if factors is None:
            return replace(self, voxel_size=NOT_GIVEN)
        sides = zip(self.voxel_size, factors, strict=True)
        return replace(self, voxel_size=triple(side and significant(side * factor, 12) for side, factor in sides))


NOTHING_STATED = Stated()


@dataclass(frozen=True)
class DatasetTable:
    """Rows by the names that they are for; `everywhere` is stated for a whole run and comes first."""

    path: Path | None = None
    rows: Mapping[str, Stated] = field(default_factory=dict)
    everywhere: GivenLengths = NOT_GIVEN

    @cached_property
    def _aliases(self) -> dict[str, str]:
        return aliases_of(self.rows)

    def of(self, volume: str) -> Stated:
        """What is stated about a volume, by the most particular row: its own, its dataset's, its original's."""
        found = ((self._aliases[name], factors) for name, factors in table_names(volume) if name in self._aliases)
        row, factors = next(found, ("", None))
        stated = self.rows[row].scaled(factors) if row else NOTHING_STATED
        if self.everywhere == NOT_GIVEN:
            return stated
        return replace(stated, voxel_size=self.everywhere, where="--voxel-size")

    def say_unmatched(self, volumes: Iterable[str], quiet: bool = False) -> None:
        """Name, once and on stderr, what the table speaks of and is none of these volumes."""
        if quiet or not self.rows:
            return
        known = {name for volume in volumes for name, _ in table_names(volume)}
        if unmatched := [row for row in self.rows if not known & {row, without_suffix(row)}]:
            say(f"{self.path}: no volume here is called {', '.join(unmatched)}")


NO_TABLE = DatasetTable()


def aliases_of(rows: Iterable[str]) -> dict[str, str]:
    """What each row's name, and that without suffix, stands for: the row; a name of its own comes first."""
    names = list(rows)
    return {without_suffix(name): name for name in names} | {name: name for name in names}


def without_suffix(name: str) -> str:
    """A name of a table's row as volumes are called: without the suffix of a file or a multiscale image."""
    ending = NGFF_ENDING.search(name)
    return name[: ending.start()] if ending else name[: len(name) - len(suffix(name))]


def table_names(volume: str) -> Iterator[tuple[str, Lengths | None]]:
    """The names under which a table may speak of a volume, and how much larger its voxels are than those."""
    yield volume, (1, 1, 1)
    name, factors = dataset_of(volume), (1.0, 1.0, 1.0)
    known = True
    while True:
        yield name, factors if known else None
        if name.endswith("_video"):
            name = name.removesuffix("_video")
        elif binned := parsed(parse_binned, name):
            name, factor, xy = binned
            factors = (factors[0] * (1 if xy else factor), factors[1] * factor, factors[2] * factor)
        elif level := parsed(parse_level, name):
            name, known = level[0], known and level[1] == 0
        else:
            return


def read_dataset_table(path: Path) -> DatasetTable:
    """Read a table; a row that makes no sense is a problem of the volumes that it is for.

    Raises
    ------
    ValueError
        If it is no table, or has no column ``name``.
    """
    columns, rows = read_rows(path)
    if "name" not in columns:
        raise ValueError(f"{path}: expected a column name, found {', '.join(columns) or 'none'}")
    stated: dict[str, Stated] = {}
    for row in rows:
        name = row.cells["name"]
        entry = _stated(row, f"{path.name}:{row.line}") if name else None
        if entry is None:
            continue
        if name in stated and stated[name] != replace(entry, where=stated[name].where):
            entry = replace(entry, problem=f"{stated[name].where} and {entry.where} say different things of {name}")
        stated[name] = entry
    return DatasetTable(path, stated)


def _stated(row: Row, where: str) -> Stated:
    own = ("", "name", *VOXEL_COLUMNS)
    fields = tuple((column, published(text)) for column, text in row.cells.items() if text and column not in own)
    try:
        return Stated(stated_size(row.cells), fields, where)
    except ValueError as error:
        return Stated(fields=fields, where=where, problem=f"{where}: {error}")


@dataclass(frozen=True)
class TableOptions:
    """What the command line says about where voxel sizes come from."""

    table: Path | None = None  # the table to go by; without it ``datasets.csv`` in an input folder, if there is one
    voxel_size: Lengths | None = None  # z, y, x in nm of all volumes of the run
    quiet: bool = False  # do not say what the table speaks of and is not there

    @classmethod
    def of(cls, args: argparse.Namespace) -> "TableOptions":
        """The command line's say; see `add_table_options`."""
        return cls(args.table, None if args.voxel_size is None else tuple(args.voxel_size), args.quiet)

    def in_folder(self, folder: Path | None) -> DatasetTable:
        """The table for the inputs in a folder; an empty one where there is none.

        Raises
        ------
        UsageError
            If it is no table.
        """
        path = self.table or (folder / TABLE_NAME if folder else None)
        is_there = path and (self.table or path.is_file() or path.is_symlink())
        with as_usage_errors():
            found = read_dataset_table(path) if path and is_there else NO_TABLE
        return replace(found, everywhere=self.voxel_size or NOT_GIVEN)

    def say_unmatched(self, volumes: Iterable[str]) -> None:
        """Name what the table that was asked for speaks of and is none of all volumes of a run."""
        if self.table:
            self.in_folder(None).say_unmatched(volumes, self.quiet)


HEADERS_ONLY = TableOptions()


def add_table_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that state what the headers of volumes lack."""
    table = (
        "table of voxel sizes and provenance: name, voxel_z, voxel_y, voxel_x in nm, and any other columns "
        f"(default: {TABLE_NAME} beside the inputs, if there is one)"
    )
    parser.add_argument("--table", type=existing_file, metavar="FILE", help=table)
    voxel_size = "voxel size of all volumes in nm, whatever their headers and the table say"
    parser.add_argument("--voxel-size", type=_side, nargs=3, metavar=("Z", "Y", "X"), help=voxel_size)
