"""What stands beside the shards of an export: the card, tables, checksums, and the frame of an array."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

from utils.collection.card import About, card, croissant, without_license
from utils.collection.export_formats import write_zarr_frame, zarr_frame_files
from utils.collection.export_plan import ExportPlan
from utils.collection.ledger import Ledger, digest
from utils.collection.provenance import csv_text
from utils.collection.shards import VERSION, Shard, as_made, patches_by_split
from utils.files import sha256_of
from utils.table_text import read_rows, write_rows

ABOUT = "about"


def write_beside(plan: ExportPlan, out: Path, title: str, rules: list[str], shard_size: int) -> bool:
    """Write the card, the tables and the checksums, unless they stand so already; whether anything was written."""
    ledger = Ledger(out)
    shards = [made for shard in plan.shards if (made := as_made(shard, ledger)).samples]
    sums = {
        name: entry["sha256"] for shard in plan.shards for name, entry in ledger.record(shard.name)["files"].items()
    }
    missing = without_license(plan.rows)
    said = [f"No license is known for {len(missing)} of {len(plan.rows)} datasets."] if missing else []
    about = About(title, plan.kind, plan.kept, rules, [*plan.notes, *said], plan.rows)
    makers: dict[str, Callable[[Path], object]] = {
        "patches.csv": lambda path: write_patches(path, shards),
        "splits.csv": lambda path: write_splits(path, plan.split_of, plan.groups),
    }
    if plan.kind == "imagefolder":
        by_split = {split: [shard for shard in shards if shard.split == split] for split in plan.splits}
        columns = uniform_columns(by_split)
        for split, own in by_split.items():
            makers[f"{split}/metadata.csv"] = partial(write_folder_metadata, shards=own, columns=columns)
    facts = [digest(s.split, s.files, [list(row.items()) for row in s.rows]) for s in shards]
    frame = [plan.groups, plan.split_of, title, rules, about.notes, plan.rows, plan.kept, shard_size, plan.side]
    fingerprint = digest(VERSION, plan.kind, sums, facts, frame)
    if ledger.is_current(ABOUT, fingerprint):
        return False
    counts = patches_by_split(plan.shards if plan.kind == "zarr" else ())
    frames = [name for split, count in counts.items() for name in zarr_frame_files(split, count)]
    files = [*makers, *frames, "croissant.json", "SHA256SUMS", "README.md"]
    with ledger.making(ABOUT, files, fingerprint) as scratch:
        for name, make in makers.items():
            (scratch / name).parent.mkdir(exist_ok=True)
            make(scratch / name)
        for split in counts:
            names = [sample.name for shard in shards if shard.split == split for sample in shard.samples]
            write_zarr_frame(split, names, shard_size, plan.side, scratch)
        _write_card(scratch, about, shards, sums)
    return True


def _write_card(scratch: Path, about: About, shards: Sequence[Shard], sums: Mapping[str, str]) -> None:
    made = {path.relative_to(scratch).as_posix(): sha256_of(path) for path in scratch.rglob("*") if path.is_file()}
    everything = dict(sorted({**sums, **made}.items()))
    row = shards[0].rows[0] if shards else {}
    text = json.dumps(croissant(about, row, everything), indent=1, ensure_ascii=False)
    (scratch / "croissant.json").write_text(text + "\n", encoding="utf-8")
    lines = "".join(f"{sha}  {name}\n" for name, sha in everything.items())
    (scratch / "SHA256SUMS").write_text(lines, encoding="utf-8", errors="surrogateescape")
    (scratch / "README.md").write_text(card(about, shards), encoding="utf-8", errors="surrogateescape")


def moved_datasets(out: Path, plan: ExportPlan) -> list[str]:
    """Datasets that an earlier export into the same folder put into another split."""
    if not Ledger(out).record(ABOUT):
        return []
    try:
        before = read_splits(out / "splits.csv")
    except (OSError, ValueError):
        return []  # somebody's own hand was at it; it is written anew
    return [
        f"{dataset}: now in {split}, was in {before[dataset]}"
        for dataset, split in sorted(plan.split_of.items())
        if before.get(dataset, split) != split
    ]


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
