#!/usr/bin/env python3
"""Find near-duplicates across the datasets of a collection, and patches that show what a public benchmark shows.

Reads every patch dictionary (.pkl) in the DEDUPE_DIRs, and writes a table of the patches to leave out:
duplicates.csv, for `classify_patches.py --without`, and duplicates.png, the pairs, the least certain first. A copy is
found in eight orientations, inverted, at another size of its picture, with other contrast, JPEG and noise, and shifted
by up to 12 pixels. --exclude takes folders of images and volumes: a patch that shows the same tissue as one of them, at
any offset, is left out too. Every pair is verified on its pixels. An index per dictionary is stored beside it, in
.duplicates: what was indexed before is not read again. With --shard only the indexes are made. The table is always that
of the present collection; --prune also removes the indexes of what is gone.

Example:
    python collection/dedupe_collection.py patches/2d patches/3d -o duplicates.csv
    python collection/dedupe_collection.py patches/3d -o duplicates.csv --exclude benchmarks/lucchi benchmarks/cremi
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import utils.interrupts  # noqa: F401 - first: a signal during the other imports ends in one line

# isort: split

from utils.argument_types import existing_dir, fraction, input_dir
from utils.cli import UsageError, add_run_options, make_parser, run_script
from utils.redaction import say

if TYPE_CHECKING:
    from utils.duplicates.dictionary_index import Dictionary
    from utils.duplicates.excluded import Excluded


def main(argv: Sequence[str] | None = None) -> int:
    """Index, compare, write the table; see the module's docstring."""
    parser = make_parser(__doc__)
    parser.add_argument("dedupe_dirs", metavar="DEDUPE_DIR", nargs="+", type=input_dir, help="of patch dictionaries")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="CSV", help="table of patches to leave out")
    excluded = "folders of images and volumes whose tissue must not be in the collection"
    parser.add_argument("--exclude", metavar="DIR", nargs="+", type=existing_dir, default=[], help=excluded)
    deep = "also compare with excluded images by SIFT: free rotation, other scales (slower)"
    parser.add_argument("--deep", action="store_true", help=deep)
    tiles = "least mean correlation of tiles (default 0.5)"
    parser.add_argument("--similarity", metavar="S", type=fraction, default=0.5, help=tiles)
    prefer = "which of two is kept: of the first name (default), of finer voxels, of the earlier row of a table"
    parser.add_argument("--prefer", metavar="name|finer|CSV", default="name", help=prefer)
    parser.add_argument("--within", action="store_true", help="also compare the patches of one dictionary")
    add_run_options(parser)
    return run_script(dedupe, parser, argv)


def dedupe(args: argparse.Namespace) -> int:
    """Index what has no index, judge, write.

    Raises
    ------
    UsageError
        If the options contradict each other.
    """
    from utils.duplicates.dictionary_index import PREFERENCES, list_dictionaries, rank_of
    from utils.duplicates.excluded import list_excluded

    if args.output.suffix.lower() != ".csv":
        raise UsageError(f"-o {args.output}: the table is a .csv")
    if args.deep and not args.exclude:
        raise UsageError("--deep compares with excluded images: name their folders by --exclude")
    paths = list_dictionaries(args.dedupe_dirs, may_be_empty=args.prune, quiet=args.quiet)
    sources, rank = list_excluded(args.exclude), rank_of(args.prefer)
    dictionaries, code = index_collection(args, paths, rank)
    if args.prefer not in PREFERENCES and dictionaries and all(rank(each) == float("inf") for each in dictionaries):
        say(f"warning: --prefer {args.prefer} names no dataset of this collection: names decide")
    excluded, its_code = index_sources(args, sources)
    if args.prune:
        prune(args, paths, sources)
    if args.shard is not None or not dictionaries:
        # The other shares are indexed elsewhere, a run without --shard judges; where nothing could be read, nothing is
        # known to be no duplicate.
        return max(code, its_code)
    written = write_table(args, dictionaries, excluded)
    if not args.quiet and args.output.exists():
        say_left_out(args.output, sum(map(len, dictionaries)))
    return max(code, its_code, written)


def index_collection(
    args: argparse.Namespace, paths: Sequence[Path], rank: Callable[["Dictionary"], float]
) -> tuple[list["Dictionary"], int]:
    """The dictionaries that could be indexed, the preferred ones first, and an exit code."""
    from utils.duplicates.dictionary_index import Dictionary, index_dictionary, index_path, labels_of
    from utils.duplicates.index_file import Index, current_index
    from utils.jobs import Job, Run, run_jobs

    jobs = [Job(path, index_path(path)) for path in paths]
    indexes: dict[Path, Index | None] = {}

    def is_done(job: Job) -> bool:
        indexes[job.source] = current_index(job.target, job.source)
        return indexes[job.source] is not None

    code = run_jobs(index_dictionary, jobs, Run.of(args), noun="dictionaries", is_done=is_done)
    found = [
        Dictionary(job.source, label, index)
        for job, label in zip(jobs, labels_of(paths), strict=True)
        if (index := indexes.get(job.source) or current_index(job.target, job.source)) is not None
    ]
    return sorted(found, key=lambda each: (rank(each), each.label)), code


def index_sources(args: argparse.Namespace, sources: Sequence[tuple[str, Path]]) -> tuple[list["Excluded"], int]:
    """The excluded images and volumes that could be indexed, and an exit code; their indexes lie beside the table."""
    from utils.duplicates.excluded import Excluded, excluded_path, index_excluded
    from utils.duplicates.index_file import current_index
    from utils.jobs import Job, Run, run_jobs

    if not sources:
        return [], 0
    cache = excluded_cache(args.output)
    work = partial(index_excluded, deep=args.deep)
    jobs = [Job(path, excluded_path(cache, path, deep=args.deep)) for _, path in sources]
    code = run_jobs(work, jobs, Run.of(args), noun="excluded images and volumes")
    found = [
        Excluded(name, index)
        for (name, _), job in zip(sources, jobs, strict=True)
        # Of a volume that no window fits into the index is empty.
        if (index := current_index(job.target, job.source)) is not None and index.rows("planes")
    ]
    return found, code


def excluded_cache(table: Path) -> Path:
    """Where the indexes of excluded images lie: beside the table."""
    return table.parent / f".{table.stem}.excluded"


def write_table(args: argparse.Namespace, dictionaries: Sequence["Dictionary"], excluded: Sequence["Excluded"]) -> int:
    """Make the table and its sheet, unless they stand as they would be made; returns an exit code."""
    from utils.duplicates.dictionary_index import PREFERENCES
    from utils.duplicates.index_file import VERSION
    from utils.duplicates.judge import ComparisonOptions, judge
    from utils.duplicates.pair_sheet import draw_pairs
    from utils.jobs import Job, Run, run_jobs
    from utils.records.duplicates import EXCLUDED_MARK, read_duplicates, save_duplicates
    from utils.records.fingerprints import Fingerprint
    from utils.records.recipes import Recipe
    from utils.summaries import progress

    inputs: dict[str, Any] = {each.label: Fingerprint(*each.index.meta["source"]) for each in dictionaries}
    inputs |= {EXCLUDED_MARK + each.name: Fingerprint(*each.index.meta["source"]) for each in excluded}
    if args.prefer not in PREFERENCES:
        inputs["--prefer"] = (Path(args.prefer),)
    options = {name: getattr(args, name) for name in ("similarity", "deep", "within", "prefer")} | {"rules": VERSION}
    sheet = args.output.with_suffix(".png")

    def table(job: Job, scratch: Path) -> None:
        asked = ComparisonOptions(args.similarity, args.deep, args.within)
        with progress(len(dictionaries), "dictionaries", args.quiet) as step:
            rows = judge(dictionaries, excluded, asked, threads=args.processes, step=lambda: step([]))
        save_duplicates(scratch, rows)

    def picture(job: Job, scratch: Path) -> None:
        draw_pairs(scratch, read_duplicates(args.output), dictionaries, excluded)

    # The table is always that of the collection as it is, as the classifier's contact sheets are.
    run = replace(Run.of(args), update=True, shard=None, dask=None, processes=1)
    code = run_jobs(
        table, [Job(args.output, args.output, Recipe("dedupe_collection", inputs, options))], run, noun="tables"
    )
    if code:
        return code
    drawn = Recipe("dedupe_collection sheet", {**inputs, args.output.name: (args.output,)}, {})
    return run_jobs(picture, [Job(sheet, sheet, drawn)], run, noun="contact sheets")


def prune(args: argparse.Namespace, paths: Sequence[Path], sources: Sequence[tuple[str, Path]]) -> None:
    """Remove indexes of dictionaries and excluded images that are gone, and the table of a collection that is."""
    from utils.duplicates.dictionary_index import FOLDER, index_path
    from utils.duplicates.excluded import excluded_path
    from utils.duplicates.judge import discard_indexes
    from utils.records.recipes import discard

    kept = {index_path(path) for path in paths}
    gone = [name for folder in args.dedupe_dirs for name in discard_indexes(folder.resolve() / FOLDER, kept)]
    cache = excluded_cache(args.output)
    gone += discard_indexes(cache, {excluded_path(cache, path, deep=args.deep) for _, path in sources})
    if not paths and args.output.exists():
        gone.append(args.output.name)
        discard(args.output.with_suffix(".png"))
        discard(args.output)
    if gone:
        say(f"without their input ({len(gone)}; removed): {', '.join(gone)}")


def say_left_out(table: Path, patches: int) -> None:
    """How many patches are to be left out, and why."""
    from utils.records.duplicates import read_duplicates

    reasons = [row.reason for row in read_duplicates(table)]
    counts = f"{reasons.count('duplicate')} duplicates, {reasons.count('excluded')} excluded"
    print(f"patches: {patches}, {counts} -> {table}")


if __name__ == "__main__":
    raise SystemExit(main())
