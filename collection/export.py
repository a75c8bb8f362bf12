#!/usr/bin/env python3
"""Export kept patches, ready to train on: WebDataset shards, Parquet, a folder of images, or one Zarr array.

Reads what classify_patches.py wrote (FILTERED, or a folder of such folders) and writes to OUT the patches of each split
with everything that is known of them, a dataset card (README.md), croissant.json, patches.csv, splits.csv and
SHA256SUMS. Run again it writes what has changed, takes away what is gone and leaves the rest, with or without --update
and --prune (all of it, when nothing is left: with --prune only). With --shard only shards are written; a run without it
then completes the export.

Example:
    python collection/export.py filtered -o export --format webdataset
    python collection/export.py filtered -o export --format parquet --split train=.9,val=.05,test=.05 --cap 400
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import utils.interrupts  # noqa: F401 - first: a signal during the other imports ends in one line

# isort: split

from utils.argument_types import existing_file, input_dir, natural_int, output_dir, positive_float, positive_int
from utils.cli import add_run_options, as_usage_errors, make_parser, run_script
from utils.collection.ledger import Ledger, NothingLeftError, run_or_take_back
from utils.collection.splits import read_pairs, split_shares
from utils.redaction import one_line, say

if TYPE_CHECKING:
    from utils.collection.export_plan import ExportPlan


def main(argv: Sequence[str] | None = None) -> int:
    """Choose, split, write the shards, and then the card; or take all back, where nothing is left to export."""
    return run_script(partial(run_or_take_back, make_export, "shards"), parse_options(), argv)


def parse_options() -> argparse.ArgumentParser:
    """The command line."""
    parser = make_parser(__doc__)
    parser.add_argument("filtered", metavar="FILTERED", type=input_dir, help="what classify_patches.py wrote")
    parser.add_argument("-o", "--output", metavar="OUT", type=output_dir, required=True, help="folder to write to")
    parser.add_argument("--format", choices=("webdataset", "parquet", "imagefolder", "zarr"), required=True)
    parser.add_argument("--shard-size", type=positive_int, default=1000, metavar="N", help="patches per shard (1000)")
    choice = parser.add_argument_group("which patches")
    spread, volume = "at most N of a dataset, over its space", "at most N of a volume or image"
    choice.add_argument("--cap", type=positive_int, default=0, metavar="N", help=spread)
    choice.add_argument("--cap-volume", type=positive_int, default=0, metavar="N", help=volume)
    gap = "between slices that show the same place"
    choice.add_argument("--min-gap-nm", type=positive_float, default=0, metavar="NM", help=gap)
    power = "add weights by which to sample: n ** -POWER per dataset of n patches (1: all datasets alike)"
    choice.add_argument(
        "--balance", type=positive_float, nargs="?", const=1.0, default=0.0, metavar="POWER", help=power
    )
    splits = parser.add_argument_group("splits")
    splits.add_argument("--split", type=split_shares, default={"train": 1.0}, metavar="train=.9,val=.05,test=.05")
    splits.add_argument("--seed", type=natural_int, default=0, help="seed of every random choice (default 0)")
    sides = "what stays on one side"
    splits.add_argument("--duplicates", type=existing_file, nargs="+", default=[], metavar="CSV", help=sides)
    about = parser.add_argument_group("the card")
    about.add_argument("--table", type=existing_file, nargs="+", default=[], metavar="CSV", help="datasets.csv")
    about.add_argument("--title", default="", help="of the dataset (default: the folder's name)")
    add_run_options(parser)
    return parser


def make_export(args: argparse.Namespace) -> int:
    """List, choose, write.

    Raises
    ------
    NothingLeftError
        If there is nothing to export.
    """
    from utils.collection.export_beside import ABOUT, moved_datasets, write_beside
    from utils.collection.export_formats import writer_of
    from utils.collection.export_plan import plan_export
    from utils.collection.inventory import list_parts
    from utils.collection.provenance import Provenance, find_tables
    from utils.collection.shards import make_shard
    from utils.jobs import Job, Run, run_jobs
    from utils.summaries import say_failures

    parts = list_parts(args.filtered)
    with as_usage_errors():
        provenance = Provenance(find_tables(args.table, args.filtered))
        pairs = read_pairs(args.duplicates)
    plan = plan_export(parts, provenance, pairs, args)
    for sentence in [*plan.warnings, *moved_datasets(args.output, plan)]:
        say(f"warning: {sentence}")
    failed = say_failures({**provenance.failures, **plan.failures})
    if not plan.shards:
        if failed:
            return failed
        raise NothingLeftError(f"{args.filtered}: not a single kept patch to export")
    args.output.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(args.output)
    writer = writer_of(args.format, args.shard_size, plan.side)
    work = partial(make_shard, args.output, f"{args.format} {args.shard_size}", writer)
    jobs = [Job(shard, args.output / shard.name) for shard in plan.shards]
    if args.shard is not None:
        return max(failed, run_jobs(work, jobs, Run.of(args), noun="shards"))
    with ledger.held():
        ledger.drop_all_but([*(shard.name for shard in plan.shards), ABOUT])
        code = run_jobs(work, jobs, Run.of(args), noun="shards")
        if any(ledger.record(shard.name).get("fingerprint", "") == "" for shard in plan.shards):
            say(f"{args.output}: not whole yet, so that it has no new card")
            return 1
        write_beside(plan, args.output, args.title or args.output.resolve().name, rules(args), args.shard_size)
    say_held(plan, args)
    return max(code, failed)


def rules(args: argparse.Namespace) -> list[str]:
    """The rules of the choice as sentences."""
    sentences = (
        (args.cap, f"At most {args.cap} of a dataset, spread evenly over its space."),
        (args.cap_volume, f"At most {args.cap_volume} of a volume or image."),
        (args.min_gap_nm, f"Slices that show the same place are at least {args.min_gap_nm:g} nm apart."),
        (args.balance, f"The column `weight` balances datasets (power {args.balance:g})."),
    )
    return [sentence for value, sentence in sentences if value]


def say_held(plan: "ExportPlan", args: argparse.Namespace) -> None:
    """What the export holds, and what it lacks."""
    from utils.collection.card import without_license
    from utils.collection.shards import patches_by_split

    if args.quiet:
        return
    for note in plan.notes:
        print(one_line(note))
    if missing := without_license(plan.rows):
        where = "column license of datasets.csv, --table"
        print(f"no license is known for {len(missing)} of {len(plan.rows)} datasets ({where})")
    held = []
    for split, patches in patches_by_split(plan.shards).items():
        count = list(plan.split_of.values()).count(split)
        held.append(f"{split} {patches} patches of {count} dataset{'s' * (count != 1)}")
    print(f"{args.output}: {', '.join(held)}, of {plan.kept} kept")


if __name__ == "__main__":
    raise SystemExit(main())
