#!/usr/bin/env python3
"""Find near-duplicates across the datasets of a collection, and patches that show what a public benchmark shows.

Reads every patch dictionary (.pkl) in the DEDUPE_DIRs, and writes a table of the patches to leave out:
duplicates.csv, for `classify_patches.py --without`, and duplicates.png, the pairs, the least certain first. A copy is
found in eight orientations, inverted, at another size of its picture, with other contrast, JPEG and noise, and shifted
by up to 12 pixels. --exclude takes folders of images and volumes: a patch that shows the same tissue as one of them, at
any offset, is left out too. Every pair is verified on its pixels. An index per dictionary is stored beside it, in
.duplicates: what was indexed before is not read again. With --shard only the indexes are made.

Example:
    python collection/dedupe_collection.py patches/2d patches/3d -o duplicates.csv
    python collection/dedupe_collection.py patches/3d -o duplicates.csv --exclude benchmarks/lucchi benchmarks/cremi
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils.cli import UsageError, add_run_options, existing_dir, fraction, make_parser, run_script
from utils.files import locked

if TYPE_CHECKING:
    from utils.duplicates.dictionary_index import Dictionary
    from utils.duplicates.excluded import Excluded
    from utils.records.duplicates import Duplicate


def main(argv: Sequence[str] | None = None) -> int:
    """Index, compare, write the table; see the module's docstring."""
    parser = make_parser(__doc__)
    parser.add_argument(
        "dedupe_dirs", metavar="DEDUPE_DIR", nargs="+", type=existing_dir, help="folder of patch dictionaries"
    )
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="CSV", help="table of patches to leave out")
    parser.add_argument(
        "--exclude",
        metavar="DIR",
        nargs="+",
        type=existing_dir,
        default=[],
        help="folders of images and volumes whose tissue must not be in the collection",
    )
    parser.add_argument(
        "--deep",
        action="store_true",
        help="also compare with excluded images by SIFT: free rotation, other scales (slower)",
    )
    parser.add_argument(
        "--similarity", metavar="S", type=fraction, default=0.5, help="least mean correlation of tiles (default 0.5)"
    )
    parser.add_argument(
        "--prefer",
        metavar="name|finer|CSV",
        default="name",
        help="which of two is kept: of the first name (default), of finer voxels, of the earlier row of a table",
    )
    parser.add_argument("--within", action="store_true", help="also compare the patches of one dictionary")
    add_run_options(parser)
    return run_script(dedupe, parser, argv)


def dedupe(args: argparse.Namespace) -> int:
    """Index what has no index, judge, write."""
    from utils.duplicates.collection import list_dictionaries, rank_of
    from utils.duplicates.excluded import list_excluded
    from utils.duplicates.pair_sheet import draw_pairs
    from utils.records.duplicates import save_duplicates

    if args.output.suffix.lower() != ".csv":
        raise UsageError(f"-o {args.output}: the table is a .csv")
    if args.deep and not args.exclude:
        raise UsageError("--deep compares with excluded images: name their folders by --exclude")
    paths, sources, rank = list_dictionaries(args.dedupe_dirs), list_excluded(args.exclude), rank_of(args.prefer)
    dictionaries, code = index_collection(args, paths, rank)
    excluded, its_code = index_sources(args, sources)
    if args.shard is not None:
        return max(code, its_code)  # the other shares are indexed elsewhere; a run without --shard judges
    rows = judge_all(args, dictionaries, excluded)
    with locked(args.output):
        save_duplicates(args.output, rows)
        draw_pairs(args.output.with_suffix(".png"), rows, dictionaries, excluded)
    if not args.quiet:
        reasons = [row.reason for row in rows]
        print(
            f"patches: {sum(map(len, dictionaries))}, {reasons.count('duplicate')} duplicates, "
            f"{reasons.count('excluded')} excluded -> {args.output}"
        )
    return max(code, its_code)


def index_collection(
    args: argparse.Namespace, paths: Sequence[Path], rank: Callable[["Dictionary"], float]
) -> tuple[list["Dictionary"], int]:
    """The dictionaries that could be indexed, the preferred ones first, and an exit code."""
    from utils.duplicates.collection import labels_of
    from utils.duplicates.dictionary_index import Dictionary, index_dictionary, index_path
    from utils.duplicates.index_file import current_index
    from utils.jobs import Job, Run, run_jobs

    jobs = [Job(path, index_path(path)) for path in paths]
    code = run_jobs(index_dictionary, jobs, Run.of(args), noun="dictionaries")
    found = [
        Dictionary(job.source, label, index)
        for job, label in zip(jobs, labels_of(paths), strict=True)
        if (index := current_index(job.target, job.source)) is not None
    ]
    return sorted(found, key=lambda each: (rank(each), each.label)), code


def index_sources(args: argparse.Namespace, sources: Sequence[tuple[str, Path]]) -> tuple[list["Excluded"], int]:
    """The excluded images and volumes that could be indexed, and an exit code; their indexes lie beside the table."""
    from utils.duplicates.excluded import Excluded, excluded_path, index_excluded
    from utils.duplicates.index_file import current_index
    from utils.jobs import Job, Run, run_jobs

    if not sources:
        return [], 0
    cache = args.output.parent / f".{args.output.stem}.excluded"
    work = partial(index_excluded, deep=args.deep)
    jobs = [Job(path, excluded_path(cache, path, deep=args.deep)) for _, path in sources]
    code = run_jobs(work, jobs, Run.of(args), noun="excluded images and volumes")
    found = [
        Excluded(name, index)
        for (name, _), job in zip(sources, jobs, strict=True)
        if (index := current_index(job.target, job.source)) is not None
    ]
    return found, code


def judge_all(
    args: argparse.Namespace, dictionaries: Sequence["Dictionary"], excluded: Sequence["Excluded"]
) -> list["Duplicate"]:
    """The rows of the table, with a bar on a terminal."""
    from utils.duplicates.judge import Options, judge
    from utils.jobs import progress

    options = Options(args.similarity, args.deep, args.within)
    with progress(len(dictionaries), "dictionaries", args.quiet) as step:
        return judge(dictionaries, excluded, options, threads=args.processes, step=lambda: step([]))


if __name__ == "__main__":
    raise SystemExit(main())
