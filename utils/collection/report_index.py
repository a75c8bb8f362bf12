"""The first page of the report: totals, imbalance, the table of datasets; and the manifest of all patches."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils.cli import as_usage_errors
from utils.collection.dataset_patches import Gathered, summarize
from utils.collection.dataset_report import VERSION, DatasetJob, save_script
from utils.collection.export_beside import read_splits
from utils.collection.inventory import Part, by_dataset, dictionaries, list_parts
from utils.collection.ledger import Ledger, digest
from utils.collection.manifest import join_parts
from utils.collection.page_files import asset_files, page_html
from utils.collection.provenance import Provenance, find_tables

INDEX = "index"


@dataclass(frozen=True)
class Collection:
    """What a report is about; dictionaries without a table, rows of tables without a dataset, and damaged rows."""

    datasets: list[DatasetJob]
    unclassified: list[str]
    unused: list[str]
    failures: dict[str, str]


def list_collection(args: argparse.Namespace) -> Collection:
    """The datasets of a collection, with what tables say of them.

    Raises
    ------
    UsageError
        If there are none, or a table cannot be read.
    """
    parts = list_parts(args.filtered, args.dedupe_dirs)
    with as_usage_errors():
        provenance = Provenance(find_tables(args.table, args.filtered, *args.dedupe_dirs))
        splits = read_splits(args.splits) if args.splits else {}
    jobs = [
        DatasetJob(
            *(name, tuple(own), _free(provenance, name, own), splits.get(name, ""), args.threshold, tuple(args.volumes))
        )
        for name, own in sorted(by_dataset(parts).items())
    ]
    known = {part.name for part in parts}
    unclassified = sorted(name for name in dictionaries(args.dedupe_dirs) if name not in known)
    return Collection(jobs, unclassified, provenance.unused() if args.table else [], provenance.failures)


def _free(provenance: Provenance, name: str, parts: Sequence[Part]) -> dict[str, str]:
    try:
        return provenance.of(name, parts)
    except (OSError, ValueError):
        return {}  # a dictionary that cannot be read; its page says so


def write_index(out: Path, jobs: Sequence[DatasetJob], unclassified: Sequence[str], title: str) -> bool:
    """Write index.html with its data, the assets and the manifest; whether anything had changed."""
    ledger = Ledger(out)
    records = {job.dataset: ledger.record(job.unit) for job in jobs}
    rows = [records[job.dataset].get("summary") or _failed(job) for job in jobs]
    made = [job for job in jobs if records[job.dataset].get("summary")]
    assets, page = asset_files(), page_html("report", "Collection")
    prints = [records[job.dataset]["fingerprint"] for job in made]
    fingerprint = digest(
        VERSION, title, rows, list(unclassified), prints, page, [digest(str(content)) for content in assets.values()]
    )
    if ledger.is_current(INDEX, fingerprint):
        return False
    files = [f"assets/{name}" for name in assets] + ["data.js", "manifest.parquet", "manifest.csv", "index.html"]
    with ledger.making(INDEX, files, fingerprint) as scratch:
        (scratch / "assets").mkdir()
        for name, content in assets.items():
            (scratch / "assets" / name).write_bytes(content)
        (scratch / "index.html").write_text(page, encoding="utf-8")
        free = list(dict.fromkeys(name for row in rows for name in row["free"]))
        parts = [out / "datasets" / job.slug / "manifest.parquet" for job in made]
        join_parts(parts, free, scratch / "manifest.parquet", scratch / "manifest.csv")
        save_script(scratch / "data.js", _index_data(rows, free, unclassified, title))
    return True


def _failed(job: DatasetJob) -> dict[str, Any]:
    """The row of a dataset whose page could not be made."""
    nothing = summarize(job.dataset, "", job.split, job.free, Gathered())
    said = "failed: could not be read; run the report again to see why"
    return {**nothing, "parts": len(job.parts), "flags": [said]}


def _index_data(
    rows: Sequence[dict[str, Any]], free: Sequence[str], unclassified: Sequence[str], title: str
) -> dict[str, Any]:
    """What the first page shows."""
    cuts = [row["cut"] for row in rows]
    return {
        "title": title,
        "columns": list(free),
        "datasets": list(rows),
        "unclassified": list(unclassified),
        "totals": {
            "cut": sum(cut for cut in cuts if cut is not None),
            "cut_known": all(cut is not None for cut in cuts),
            **{key: sum(row[key] for row in rows) for key in ("deduplicated", "across", "kept")},
        },
        "imbalance": imbalance([row["kept"] for row in rows]),
    }


def imbalance(kept: Sequence[int]) -> list[tuple[float, float]]:
    """Which share of the datasets, largest first, gives which share of the kept patches.

    >>> imbalance([1, 3])
    [(0.0, 0.0), (0.5, 0.75), (1.0, 1.0)]
    """
    total, so_far = sum(kept), 0
    points = [(0.0, 0.0)]
    for i, count in enumerate(sorted(kept, reverse=True), 1):
        so_far += count
        points.append((round(i / len(kept), 4), round(so_far / total, 4) if total else 0.0))
    return points
