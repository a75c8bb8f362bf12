#!/usr/bin/env python3
"""A page to look through a collection: every dataset, every patch, every decision.

Reads what classify_patches.py wrote (FILTERED) and the patch dictionaries (DEDUPE_DIR), and writes a folder that opens
from the disk, offline: index.html, a page per dataset, manifest.parquet and manifest.csv. Run again it makes what has
changed anew and takes away what is gone, with or without --update and --prune (all of it, when nothing is left: with
--prune only). With --shard pages of datasets are made only; a run without it then makes the first page.

Example:
    python collection/report.py filtered deduped -o report
    python collection/report.py filtered deduped -o report --table datasets.csv --splits export/splits.csv -p 8
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import utils.interrupts  # noqa: F401 - first: a signal during the other imports ends in one line

# isort: split

from utils.argument_types import existing_dir, existing_file, fraction, input_dir, output_dir
from utils.cli import add_run_options, make_parser, run_script
from utils.collection.ledger import Ledger, run_or_take_back
from utils.redaction import say


def main(argv: Sequence[str] | None = None) -> int:
    """Make the page of every dataset that has changed, then the index; or take all back, where nothing is left."""
    return run_script(partial(run_or_take_back, make_report, "datasets"), parse_options(), argv)


def parse_options() -> argparse.ArgumentParser:
    """The command line."""
    parser = make_parser(__doc__)
    parser.add_argument("filtered", metavar="FILTERED", type=input_dir, help="what classify_patches.py wrote")
    parser.add_argument("dedupe_dirs", metavar="DEDUPE_DIR", type=existing_dir, nargs="*", help="patch dictionaries")
    parser.add_argument("-o", "--output", metavar="OUT", type=output_dir, required=True, help="folder to write to")
    parser.add_argument("--threshold", type=fraction, default=0.5, help="where the slider begins (default 0.5)")
    parser.add_argument("--table", type=existing_file, nargs="+", default=[], metavar="CSV", help="datasets.csv")
    parser.add_argument("--volumes", nargs="+", default=[], metavar="DIR", help="for overviews of whole slices")
    parser.add_argument("--splits", type=existing_file, metavar="CSV", help="splits.csv of export.py")
    parser.add_argument("--title", default="", help="of the page (default: the folder's name)")
    add_run_options(parser)
    return parser


def make_report(args: argparse.Namespace) -> int:
    """List, make the pages, make the index."""
    from utils.collection.dataset_report import report_dataset
    from utils.collection.report_index import INDEX, list_collection, write_index
    from utils.jobs import Job, Run, run_jobs
    from utils.summaries import say_failures

    found = list_collection(args)
    datasets, failed = found.datasets, say_failures(found.failures)
    if found.unused:
        say(f"warning: no dataset here is called {', '.join(found.unused)}, as a table says")
    args.output.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(args.output)
    jobs = [Job(dataset, args.output / "datasets" / dataset.slug) for dataset in datasets]
    work = partial(report_dataset, args.output)
    if args.shard is not None:
        return max(failed, run_jobs(work, jobs, Run.of(args), noun="datasets"))
    with ledger.held():
        ledger.drop_all_but([*(dataset.unit for dataset in datasets), INDEX])
        code = run_jobs(work, jobs, Run.of(args), noun="datasets")
        write_index(args.output, datasets, found.unclassified, args.title or args.output.resolve().name)
    if not args.quiet:
        print(f"open {args.output / 'index.html'}")
    return max(code, failed)


if __name__ == "__main__":
    raise SystemExit(main())
