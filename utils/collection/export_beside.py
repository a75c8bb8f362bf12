"""What stands beside the shards of an export: the card, tables, checksums, and the frame of an array."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from utils.collection.card import About, card, without_license
from utils.collection.croissant import croissant
from utils.collection.export_formats import write_zarr_frame, zarr_frame_files
from utils.collection.export_plan import ExportPlan
from utils.collection.export_tables import (
    read_splits,
    uniform_columns,
    write_folder_metadata,
    write_patches,
    write_splits,
)
from utils.collection.ledger import Ledger, digest
from utils.collection.shards import VERSION, Shard, as_made, patches_by_split
from utils.files import sha256_of

ABOUT = "about"
BESIDE = ("patches.csv", "splits.csv", "croissant.json", "SHA256SUMS", "README.md")


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
    facts = [[s.split, s.files, [list(row.items()) for row in s.rows]] for s in shards]
    frame = [plan.groups, plan.split_of, title, rules, about.notes, plan.rows, plan.kept, shard_size, plan.side]
    fingerprint = digest(VERSION, plan.kind, sums, facts, frame)
    if ledger.is_current(ABOUT, fingerprint):
        return False
    counts = patches_by_split(plan.shards if plan.kind == "zarr" else ())
    frames = [name for split, count in counts.items() for name in zarr_frame_files(split, count)]
    with ledger.making(ABOUT, [*makers, *frames, *BESIDE[2:]], fingerprint) as scratch:
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
    columns = list(shards[0].rows[0]) if shards else []
    text = json.dumps(croissant(about, columns, everything), indent=1, ensure_ascii=False)
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
