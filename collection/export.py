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

if TYPE_CHECKING:
    from utils.collection.export_plan import ExportPlan
    from utils.collection.provenance import Provenance
    from utils.collection.splits import Pair


def main(argv: Sequence[str] | None = None) -> int:
    """Choose, split, write the shards, and then the card."""
    return run_script(export, parse_options(), argv)


def parse_options() -> argparse.ArgumentParser:
    """The command line."""
    parser = make_parser(__doc__)
    parser.add_argument("filtered", metavar="FILTERED", type=input_dir, help="what classify_patches.py wrote")
    parser.add_argument("-o", "--output", metavar="OUT", type=output_dir, required=True, help="folder to write to")
    parser.add_argument("--format", choices=("webdataset", "parquet", "imagefolder", "zarr"), required=True)
    parser.add_argument("--shard-size", type=positive_int, default=1000, metavar="N", help="patches per shard (1000)")
    choice = parser.add_argument_group("which patches")
    choice.add_argument(
        "--cap", type=positive_int, default=0, metavar="N", help="at most N of a dataset, over its space"
    )
    choice.add_argument(
        "--cap-volume", type=positive_int, default=0, metavar="N", help="at most N of a volume or image"
    )
    choice.add_argument(
        "--min-gap-nm", type=positive_float, default=0, metavar="NM", help="between slices that show the same place"
    )
    choice.add_argument(
        *("--balance",),
        type=positive_float,
        nargs="?",
        const=1.0,
        default=0.0,
        metavar="POWER",
        help="add weights by which to sample: n ** -POWER per dataset of n patches (1: all datasets alike)",
    )
    splits = parser.add_argument_group("splits")
    splits.add_argument("--split", type=shares, default={"train": 1.0}, metavar="train=.9,val=.05,test=.05")
    splits.add_argument("--seed", type=natural_int, default=0, help="seed of every random choice (default 0)")
    splits.add_argument(
        *("--duplicates",), type=existing_file, nargs="+", default=[], metavar="CSV", help="what stays on one side"
    )
    about = parser.add_argument_group("the card")
    about.add_argument("--table", type=existing_file, nargs="+", default=[], metavar="CSV", help="datasets.csv")
    about.add_argument("--title", default="", help="of the dataset (default: the folder's name)")
    add_run_options(parser)
    return parser


def shares(text: str) -> dict[str, float]:
    """Argument type: names of splits with their shares.

    Raises
    ------
    ArgumentTypeError
        If they are none, or do not add up to 1.
    """
    from utils.collection.splits import parse_shares

    try:
        return parse_shares(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def export(args: argparse.Namespace) -> int:
    """Make it, or take back what was made when nothing is left."""
    from utils.collection.emptied import run_or_take_back

    return run_or_take_back(make_export, args, "shards")


def make_export(args: argparse.Namespace) -> int:
    """List, choose, write.

    Raises
    ------
    NothingLeftError
        If there is nothing to export.
    """
    from utils.collection.emptied import NothingLeftError
    from utils.collection.export_beside import ABOUT, moved_datasets, write_beside
    from utils.collection.export_plan import plan_export, writer_of
    from utils.collection.failures import say_failures
    from utils.collection.inventory import list_parts
    from utils.collection.ledger import Ledger
    from utils.collection.shards import make_shard
    from utils.jobs import Job, Run, run_jobs

    parts = list_parts(args.filtered)
    provenance = provenance_of(args)
    plan = plan_export(parts, provenance, pairs_of(args), args)
    for sentence in [*plan.warnings, *moved_datasets(args.output, plan)]:
        print(f"warning: {sentence}", file=sys.stderr)
    failed = say_failures({**provenance.failures, **plan.failures})
    if failed and not plan.shards:
        return failed
    if not plan.shards:
        raise NothingLeftError(f"{args.filtered}: not a single kept patch to export")
    args.output.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(args.output)
    work = partial(make_shard, args.output, f"{args.format} {args.shard_size}", writer_of(plan, args.shard_size))
    jobs = [Job(shard, args.output / shard.name) for shard in plan.shards]
    if args.shard is not None:
        return max(failed, run_jobs(work, jobs, Run.of(args), noun="shards"))
    with ledger.held():
        ledger.drop_all_but([*(shard.name for shard in plan.shards), ABOUT])
        code = run_jobs(work, jobs, Run.of(args), noun="shards")
        if any(ledger.record(shard.name).get("fingerprint", "") == "" for shard in plan.shards):
            print(f"{args.output}: not whole yet, so that it has no new card", file=sys.stderr)
            return 1
        write_beside(plan, args.output, args.title or args.output.resolve().name, rules(args), args.shard_size)
    say(plan, args)
    return max(code, failed)


def provenance_of(args: argparse.Namespace) -> "Provenance":
    """The free columns of the datasets.

    Raises
    ------
    UsageError
        If a table cannot be read.
    """
    from utils.collection.provenance import Provenance, find_tables

    with as_usage_errors():
        return Provenance(find_tables(args.table, args.filtered))


def pairs_of(args: argparse.Namespace) -> "list[Pair]":
    """The near-duplicates between datasets.

    Raises
    ------
    UsageError
        If a table cannot be read.
    """
    from utils.collection.splits import read_pairs

    with as_usage_errors():
        return read_pairs(args.duplicates)


def rules(args: argparse.Namespace) -> list[str]:
    """The rules of the choice as sentences."""
    found = []
    if args.cap:
        found.append(f"At most {args.cap} of a dataset, spread evenly over its space.")
    if args.cap_volume:
        found.append(f"At most {args.cap_volume} of a volume or image.")
    if args.min_gap_nm:
        found.append(f"Slices that show the same place are at least {args.min_gap_nm:g} nm apart.")
    if args.balance:
        found.append(f"The column `weight` balances datasets (power {args.balance:g}).")
    return found


def say(plan: "ExportPlan", args: argparse.Namespace) -> None:
    """What the export holds, and what it lacks."""
    from utils.collection.card import without_license

    if args.quiet:
        return
    for note in plan.notes:
        print(note)
    if missing := without_license(plan.rows):
        print(f"no license is known for {len(missing)} of {len(plan.rows)} datasets (column license of datasets.csv)")
    held = []
    for split in plan.splits:
        own = [sample.dataset for shard in plan.shards if shard.split == split for sample in shard.samples]
        count = len(set(own))
        held.append(f"{split} {len(own)} patches of {count} dataset{'s' * (count != 1)}")
    print(f"{args.output}: {', '.join(held)}, of {plan.kept} kept")


if __name__ == "__main__":
    raise SystemExit(main())
