"""Turn kept patches back into small volumes: for each patch the slices around it, cut from the volume it came from.

FILTERED_DIR holds the patches of 3D volumes that classify_patches.py kept. Each of them becomes a stack in
SAVE/{dataset}/: NZ slices along the patch's own axis, which comes first, the patch itself at index NZ // 2, pixel for
pixel. Patches with too few slices around them are counted and listed; --pad reflect mirrors what they lack. Stacks that
exist are skipped. Exit code 1 when a volume is missing or a stack failed; the others are done.

Example:
    python 3d/reconstruct3d.py filtered -vd volumes -sd stacks -nz 5 -p 4
    python 3d/reconstruct3d.py filtered -vd volumes others -sd stacks -nz 15 --limit 200 --flipbook gif --montage
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils.cli import (
    UsageError,
    add_run_options,
    existing_dir,
    fraction,
    make_parser,
    output_dir,
    positive_int,
    run_script,
    say_passed_over,
)
from utils.contrast import CONTRASTS
from utils.jobs import Job, run_jobs, run_options
from utils.reconstruction.flipbooks import FLIPBOOKS
from utils.reconstruction.kept_patches import Listing, list_kept
from utils.reconstruction.montages import draw_dataset, montage_jobs
from utils.reconstruction.plan import Choice, Plan, make_plan
from utils.reconstruction.subvolumes import Subvolume
from utils.reconstruction.volume_index import VolumeIndex
from utils.reconstruction.write import Making, reconstruct_volume

# Names of patches near the border that are worth a line each; a collection may have thousands.
MOST_NAMES = 100


def main(argv: Sequence[str] | None = None) -> int:
    """Reconstruct every kept patch; see the module's docstring."""
    return run_script(reconstruct, parse_options(), argv)


def parse_options() -> argparse.ArgumentParser:
    """The command line."""
    parser = make_parser(__doc__)
    parser.add_argument("filtered", metavar="FILTERED_DIR", type=existing_dir, help="folder of kept patches")
    parser.add_argument(
        "-vd",
        "--volumes",
        nargs="+",
        required=True,
        metavar="DIR|URL|CSV",
        help="where the volumes are; several may follow",
    )
    parser.add_argument("-sd", "--savedir", required=True, type=output_dir, metavar="SAVE", help="folder to write to")
    parser.add_argument("-nz", "--slices", type=positive_int, default=5, metavar="NZ", help="slices (default 5)")
    parser.add_argument("--limit", type=positive_int, metavar="N", help="only N of them, the same ones every time")
    parser.add_argument(
        "--no-overlap",
        type=fraction,
        metavar="F",
        help="leave out what another one covers by more than this fraction of its volume",
    )
    parser.add_argument("--pad", choices=("reflect",), help="mirror the slices that a patch near the border lacks")
    parser.add_argument(
        "--format", choices=("tif", "nrrd"), default="tif", help="TIFF as ImageJ reads it (default), or NRRD"
    )
    parser.add_argument("--raw", action="store_true", help="write the volume's own values instead of uint8")
    parser.add_argument(
        "--contrast",
        choices=CONTRASTS,
        default="percentile",
        help="intensity window of patches that do not record theirs (default percentile)",
    )
    parser.add_argument(
        "--accept-differences", action="store_true", help="write stacks whose middle slice is not the patch too"
    )
    parser.add_argument("--flipbook", choices=FLIPBOOKS, help="an animation beside each stack")
    parser.add_argument("--montage", action="store_true", help="one PNG per dataset that shows its stacks")
    parser.add_argument("--list", action="store_true", help="print what would be done, and do nothing")
    add_run_options(parser, seed=True)
    return parser


def reconstruct(args: argparse.Namespace) -> int:
    """List patches and volumes, plan, say what is left out, work, draw, sum up."""
    listing = list_patches(args)
    index = VolumeIndex(args.volumes)
    say_passed_over(index.passed_over, "volumes", args.quiet)
    choice = Choice(args.slices, args.pad is not None, args.no_overlap, args.limit, args.seed)
    plan = make_plan(listing.patches, index, choice, args.savedir, f".{args.format}", args.processes)
    say_left_out(plan, args.slices, args.verbose)
    if args.list:
        return list_work(plan)
    making = Making(args.contrast, args.raw, not args.accept_differences, args.flipbook)
    chosen = plan.chosen()
    before = sum(subvolume.is_done(args.flipbook) for subvolume in chosen)
    jobs = [Job(group, group.lock_path(args.savedir)) for group in plan.groups]
    work = partial(reconstruct_volume, making=making, processes=args.processes)
    alone = attrgetter("source.spread")
    code = run_jobs(work, jobs, noun="volumes", redo=True, alone=alone, **run_options(args))
    if args.montage:
        code = max(code, draw_montages(chosen, args))
    if not args.quiet:
        print(summary(plan, before, sum(subvolume.is_done(args.flipbook) for subvolume in chosen)))
    return 1 if plan.missing else code


def list_patches(args: argparse.Namespace) -> Listing:
    """The patches of volumes; what else lies beside them is named, once."""
    if args.savedir.resolve() == args.filtered.resolve():
        raise UsageError(f"{args.savedir}: -sd names FILTERED_DIR itself; choose another folder for the stacks")
    listing = list_kept(args.filtered, without=args.savedir)
    say_passed_over(listing.passed_over, "patches", args.quiet)
    if listing.flat and not args.quiet:
        print(f"passed over: {len(listing.flat)} patches of 2D images, which have no volume", file=sys.stderr)
    if not listing.patches:
        raise UsageError(
            f"{args.filtered}: no patch of a volume in it (looked for images named VOLUME-LOC-0_12_0-224_0-224)"
        )
    return listing


def say_left_out(plan: Plan, slices: int, verbose: bool) -> None:
    """Say, on stderr, which patches have no subvolume and why."""
    before, after = slices // 2, slices - slices // 2 - 1
    lines = []
    if before != after:
        lines.append(
            f"-nz {slices} is even: the patch is at index {before}, with {before} slices before it, {after} after"
        )
    if plan.border:
        lines.append(f"too close to the border for {slices} slices ({len(plan.border)}); --pad reflect adds them:")
        shown = plan.border if verbose else plan.border[:MOST_NAMES]
        lines += [f"  {subvolume.patch.name}" for subvolume in shown]
        if len(shown) < len(plan.border):
            lines.append(f"  and {len(plan.border) - len(shown)} more; --verbose lists all")
    if plan.missing:
        lines.append(f"no volume of that name in any -vd ({plan.missing.total()} patches):")
        lines += [f"  {name}: {count} patches" for name, count in plan.missing.items()]
    for line in lines:
        print(line, file=sys.stderr)


def list_work(plan: Plan) -> int:
    """Print what would be done: volume, number of stacks, of those that exist, and voxels, with tabs between them."""
    print("volume\tstacks\tdone_before\tvoxels")
    for group in plan.groups:
        stacks = group.wanted
        print(
            group.source.name, len(stacks), sum(s.is_done() for s in stacks), sum(s.voxels() for s in stacks), sep="\t"
        )
        for path, reason in group.refused.items():
            print(f"{path}: {reason}", file=sys.stderr)
    return 1 if plan.refused or plan.missing else 0


def summary(plan: Plan, before: int, after: int) -> str:
    """What became of the patches, in one line."""
    parts = [
        (after - before, "done"),
        (before, "done before"),
        (len(plan.chosen()) - after + plan.refused, "failed"),
        (len(plan.border), "too close to the border"),
        (plan.overlapping, "overlapping"),
        (plan.missing.total(), "without their volume"),
    ]
    return "subvolumes: " + ", ".join(f"{count} {what}" for i, (count, what) in enumerate(parts) if count or i < 3)


def draw_montages(chosen: Sequence[Subvolume], args: argparse.Namespace) -> int:
    """Bring every dataset's montage up to date with its stacks."""
    jobs = montage_jobs([subvolume.target for subvolume in chosen], args.savedir)
    return run_jobs(draw_dataset, jobs, noun="montages", redo=True, **run_options(args)) if jobs else 0


if __name__ == "__main__":
    raise SystemExit(main())
