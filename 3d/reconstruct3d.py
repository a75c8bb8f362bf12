#!/usr/bin/env python3
"""Turn kept patches back into small volumes: for each patch the slices around it, cut from the volume it came from.

FILTERED_DIR holds the patches of 3D volumes that classify_patches.py kept. Each of them becomes a stack in
SAVE/{dataset}/: NZ slices along the patch's own axis, which comes first, the patch itself at index NZ // 2, pixel for
pixel. Patches with too few slices around them are counted and listed; --pad reflect mirrors what they lack. Stacks that
exist are skipped; --update redoes those whose patch, volume or options have changed. Exit code 1 when a volume is
missing or a stack failed; the others are done.

Example:
    python 3d/reconstruct3d.py filtered -vd volumes -sd stacks -nz 5 -p 4
    python 3d/reconstruct3d.py filtered -vd volumes others -sd stacks -nz 15 --limit 200 --flipbook gif --montage
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from math import prod
from operator import attrgetter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import utils.interrupts  # noqa: F401 - first: a signal during the other imports ends in one line

# isort: split

from utils.argument_types import fraction, input_dir, output_dir, positive_int
from utils.cli import UsageError, add_run_options, make_parser, run_script, say_passed_over
from utils.components import by_key
from utils.contact_sheet import MONTAGES
from utils.contrast import CONTRASTS
from utils.dataset_table import TableOptions, add_table_options
from utils.files import stem
from utils.jobs import Job, Run, run_jobs
from utils.names import dataset_of, parse_name
from utils.options import add_dataset, add_recursive, use_dataset
from utils.reconstruction.montages import draw_montage, montage_jobs
from utils.reconstruction.plan import ReconstructionPlan, Rules, make_plan
from utils.reconstruction.subvolumes import StackOptions, Subvolume, stands
from utils.reconstruction.write import FLIPBOOKS, reconstruct_volume
from utils.records.kept_patch import Listing, list_kept
from utils.records.recipes import inputs_of
from utils.redaction import one_line, say
from utils.results import Scope, discard_orphans, list_orphans, refuse_nothing_to_do
from utils.summaries import say_failures
from utils.volume_index import VolumeIndex

# Names of patches near the border that are worth a line each; a collection may have thousands.
MOST_NAMES = 100


def main(argv: Sequence[str] | None = None) -> int:
    """Reconstruct every kept patch; see the module's docstring."""
    return run_script(reconstruct, parse_options(), argv)


def parse_options() -> argparse.ArgumentParser:
    """The command line."""
    parser = make_parser(__doc__)
    parser.add_argument("filtered", metavar="FILTERED_DIR", type=input_dir, help="folder of kept patches")
    places = "where the volumes are; several may follow"
    parser.add_argument("-vd", "--volumes", nargs="+", required=True, metavar="DIR|URL|CSV", help=places)
    parser.add_argument("-sd", "--savedir", required=True, type=output_dir, metavar="SAVE", help="folder to write to")
    parser.add_argument("-nz", "--slices", type=positive_int, default=5, metavar="NZ", help="slices (default 5)")
    few = "only N of each dataset, the same ones every time"
    parser.add_argument("--limit", type=positive_int, metavar="N", help=few)
    parser.add_argument("--limit-total", type=positive_int, metavar="N", help="only N of them in all")
    covered = "leave out what another one covers by more than this fraction of its volume"
    parser.add_argument("--no-overlap", type=fraction, metavar="F", help=covered)
    parser.add_argument("--pad", choices=("reflect",), help="mirror the slices that a patch near the border lacks")
    kinds = "TIFF as ImageJ reads it (default), or NRRD"
    parser.add_argument("--format", choices=("tif", "nrrd"), default="tif", help=kinds)
    parser.add_argument("--raw", action="store_true", help="write the volume's own values instead of uint8")
    window = "intensity window of patches that do not record theirs (default percentile)"
    parser.add_argument("--contrast", choices=CONTRASTS, default="percentile", help=window)
    differing = "write stacks whose middle slice is not the patch too"
    parser.add_argument("--accept-differences", action="store_true", help=differing)
    parser.add_argument("--flipbook", choices=FLIPBOOKS, help="an animation beside each stack")
    parser.add_argument("--montage", action="store_true", help="one PNG per dataset that shows its stacks")
    parser.add_argument("--list", action="store_true", help="print what would be done, and do nothing")
    add_table_options(parser)
    add_dataset(parser)
    add_recursive(parser)
    add_run_options(parser, seed=True)
    return parser


def reconstruct(args: argparse.Namespace) -> int:
    """List patches and volumes, plan, say what is left out, work, draw, sum up."""
    use_dataset(args)
    scope = Scope("reconstruct3d", args.filtered, args.savedir, nested=True)
    listing = list_patches(args, scope)
    index = VolumeIndex(args.volumes if listing.patches else [], TableOptions.of(args), recursive=args.recursive)
    say_passed_over(index.passed_over, "volumes", args.quiet)
    rules = Rules(args.slices, args.pad is not None, args.no_overlap, args.limit, args.limit_total, args.seed)
    whole = make_plan(listing.patches, index, rules, args.savedir, f".{args.format}", args.processes)
    run = Run.of(args)
    plan = whole.of_volumes(lambda name: run.owns(args.savedir / dataset_of(name) / name))
    say_left_out(plan, args.slices, args.verbose)
    options = StackOptions(args.slices, args.contrast, args.raw, not args.accept_differences, args.flipbook)
    if args.list:
        return list_work(plan, options, scope)
    before = {group: stands(group, options, scope) for group in plan.groups}
    done = {group for group, found in before.items() if not group.refused and not any(reason != "" for reason in found)}
    jobs = [Job(group, group.lock_path(args.savedir)) for group in plan.groups]
    work = partial(reconstruct_volume, options=options, scope=scope, update=args.update, processes=args.processes)
    alone = attrgetter("source.spread")
    code = run_jobs(work, jobs, run, noun="volumes", alone=alone, is_done=lambda job: job.source in done)
    left, staying = without_plan(whole, index, listing, scope, run)
    if args.montage:
        code = max(code, draw_montages(whole.chosen(), staying, args.savedir, run))
    if not args.quiet:
        after = {group: before[group] if group in done else stands(group, options, scope) for group in plan.groups}
        was, now = ([*chain.from_iterable(found.values())] for found in (before, after))
        print(summary(plan, was, now, args.update) + left)
    return 1 if plan.missing or plan.ambiguous else code


def list_patches(args: argparse.Namespace, scope: Scope) -> Listing:
    """The patches of volumes; what else lies beside them is named, once.

    Raises
    ------
    UsageError
        If the stacks would be written among the patches.
    """
    if args.savedir.resolve() == args.filtered.resolve():
        raise UsageError(f"{args.savedir}: -sd names FILTERED_DIR itself; choose another folder for the stacks")
    listing = list_kept(args.filtered, without=args.savedir)
    say_passed_over(listing.passed_over, "patches", args.quiet)
    if listing.flat and not args.quiet:
        say(f"passed over: {len(listing.flat)} patches of 2D images, which have no volume")
    looked_for = "patch of a volume in it (looked for images named VOLUME-LOC-0_12_0-224_0-224)"
    montages = [Scope(MONTAGES, args.savedir, args.savedir)] if args.montage else []
    refuse_nothing_to_do(listing.patches, scope, args.prune, looked_for, *montages)
    return listing


def say_left_out(plan: ReconstructionPlan, slices: int, verbose: bool) -> None:
    """Say, on stderr, which patches have no subvolume and why."""
    before, after = slices // 2, slices - slices // 2 - 1
    lines = []
    if before != after:
        some = f"{before} slice{'s' * (before != 1)}"
        lines.append(f"-nz {slices} is even: the patch is at index {before}, with {some} before it, {after} after")
    if plan.border:
        lines.append(f"too close to the border for {slices} slices ({len(plan.border)}); --pad reflect adds them:")
        shown = plan.border if verbose else plan.border[:MOST_NAMES]
        lines += [f"  {subvolume.patch.name}" for subvolume in shown]
        if len(shown) < len(plan.border):
            lines.append(f"  and {len(plan.border) - len(shown)} more; --verbose lists all")
    for why, volumes in (
        ("several volumes of that name, which cannot be told apart", plan.ambiguous),
        ("no volume of that name in any -vd", plan.missing),
    ):
        if volumes:
            lines.append(f"{why} ({volumes.total()} patches):")
            lines += [f"  {name}: {count} patches" for name, count in volumes.items()]
    for line in lines:
        say(line)


def list_work(plan: ReconstructionPlan, options: StackOptions, scope: Scope) -> int:
    """Print what would be done: volume, number of stacks, of those that exist, and voxels, with tabs between them."""
    print("volume\tstacks\tdone_before\tvoxels")
    for group in plan.groups:
        stacks = group.wanted
        done = sum(reason is not None for reason in stands(group, options, scope))
        voxels = sum(prod(stop - first for first, stop in stack.box) for stack in stacks)
        print(one_line(group.source.name), len(stacks), done, voxels, sep="\t")
        say_failures(group.refused)
    return 1 if plan.refused.total() or plan.missing or plan.ambiguous else 0


def without_plan(
    plan: ReconstructionPlan, index: VolumeIndex, listing: Listing, scope: Scope, run: Run
) -> tuple[str, list[Path]]:
    """See to stacks of an earlier run that this one would not make; a part of the summary, and those that stay.

    Those whose patch or volume is gone go with ``--prune``. Those that another --slices or --limit would not give are
    outdated and go with ``--update``, since their successors are there now. Those whose volume cannot be read at the
    moment, or told from another of its name, stay.
    """
    targets = {path for subvolume in plan.chosen() for kind in (None, *FLIPBOOKS) for path in subvolume.files(kind)}
    patches = {patch.path.name for patch in listing.patches}
    unknown = {*index.shared, *(group.source.name for group in plan.groups if group.is_out_of_reach())}

    def state(path: Path) -> str:
        source = parse_name(stem(path)).source
        if source in plan.missing or patches.isdisjoint(inputs_of(path)):
            return "without their input"
        return "" if source in unknown else "no longer asked for"

    orphans = [path for path in list_orphans(scope, targets) if run.owns(path.with_name(parse_name(stem(path)).source))]
    by_state = by_key(orphans, state)
    said = ""
    for what, remove, how in (
        ("without their input", run.prune, "--prune removes them"),
        ("no longer asked for", run.update, "--update removes them"),
    ):
        if chosen := by_state.get(what):
            said += f", {len(chosen)} {what}{' removed' if remove else ''}"
            if not remove:
                say(f"stacks {what} ({len(chosen)}; {how}): {', '.join(map(str, chosen))}")
            else:
                discard_orphans(chosen, scope)
    return said, by_state.get("", [])


def draw_montages(chosen: Sequence[Subvolume], others: Sequence[Path], savedir: Path, run: Run) -> int:
    """Bring every dataset's montage up to date with its stacks."""
    scope = Scope(MONTAGES, savedir, savedir)
    # In shards whoever makes a dataset's last stack draws it.
    open_ = {s.target.parent for s in chosen if run.shard is not None and not s.target.exists()}
    stacks = [*(s.target for s in chosen), *(path for path in others if path.suffix[1:] not in FLIPBOOKS)]
    jobs = montage_jobs([stack for stack in stacks if stack.parent not in open_], scope)
    if not jobs and not run.prune:
        return 0
    return run_jobs(draw_montage, jobs, replace(run, update=True, shard=None), noun="montages", scope=scope)


def summary(plan: ReconstructionPlan, before: Sequence[str | None], after: Sequence[str | None], update: bool) -> str:
    """What became of the patches, in one line."""
    redone = [was is None or (update and was) for was in before]
    stuck = sum(bool(update and was and now) for was, now in zip(before, after, strict=True))
    done = sum(now == "" and bool(new) for now, new in zip(after, redone, strict=True))
    parts = [
        (done, "done"),
        (sum(now == "" for now in after) - done, "done before"),
        (sum(bool(now) for now in after) - stuck, "outdated"),
        (sum(now is None for now in after) + stuck + plan.refused.total(), "failed"),
        (len(plan.border), "too close to the border"),
        (plan.overlapping.total(), "overlapping"),
        (plan.missing.total(), "without their volume"),
        (plan.ambiguous.total(), "of an ambiguous volume"),
    ]
    always = {"done", "done before", "failed"}
    return "subvolumes: " + ", ".join(f"{count} {what}" for count, what in parts if count or what in always)


if __name__ == "__main__":
    raise SystemExit(main())
