#!/usr/bin/env python3
"""Crop cubes from local volumes that are too large to patchify whole, in any format that patchify3d reads.

VOLUME|DIR is a volume, or a folder of which every volume above --min-size-gb is cropped and the others are left alone.
Boxes that hold specimen rather than padding are found on every few slices, a random choice of them is written as
SAVE/{volume name}-ROI-x0-x1_y0-y1_z0-z1.nrrd: uint8, scaled once per volume, with the volume's voxel size.
SAVE/{volume name}.json records how. The same command goes on after an interruption; a larger -gb adds to what is
there, a smaller one takes nothing away. Formats that stream (raw NRRD, MRC, MHA, NIfTI, TIFF, OME-Zarr, N5,
precomputed) are read by region.

Example:
    python scraping/crop_rois_from_volume.py volumes rois -cs 256 -gb 5
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import utils.interrupts  # noqa: F401 - first: a signal during the other imports ends in one line

# isort: split
from utils.argument_types import fraction, natural_float, output_dir, positive_float, positive_int
from utils.cli import UsageError, add_run_options, make_parser, options_for, run_script, say_passed_over
from utils.contrast import CONTRASTS
from utils.dataset_table import DatasetTable, TableOptions, add_table_options
from utils.files import resolved
from utils.jobs import Job, Run, run_jobs
from utils.options import add_dataset, use_dataset
from utils.redaction import say
from utils.volumes import volume_name

if TYPE_CHECKING:
    from utils.sampling.volume_crops import CropOptions


def main(argv: Sequence[str] | None = None) -> int:
    """Crop cubes from one volume or from the large ones of a folder; see the module's docstring."""
    parser = make_parser(__doc__)
    parser.add_argument("source", type=Path, metavar="VOLUME|DIR", help="volume, or folder of volumes")
    parser.add_argument("savedir", type=output_dir, metavar="SAVE", help="folder for the cubes")
    parser.add_argument("-cs", "--crop-size", type=positive_int, default=256, metavar="N", help="side of a cube (256)")
    parser.add_argument("-gb", "--gb", type=positive_float, default=5.0, metavar="X", help="GB per volume (default 5)")
    small = "volumes of a folder up to X GB are left alone (5)"
    parser.add_argument("--min-size-gb", type=natural_float, default=5.0, metavar="X", help=small)
    parser.add_argument("--padding-value", type=float, default=0.0, metavar="V", help="value outside of the specimen")
    parser.add_argument("--min-frac", type=fraction, default=0.7, help="least share of specimen in a box (default 0.7)")
    parser.add_argument("--contrast", choices=CONTRASTS, default="percentile", help="how intensities become uint8")
    parser.add_argument("--keep-labels", action="store_true", help="crop masks and label maps as if they were images")
    add_table_options(parser)
    add_dataset(parser)
    add_run_options(parser, seed=True)
    return run_script(crop, parser, argv)


def crop(args: argparse.Namespace) -> int:
    """List the volumes, then crop cubes from each; -p works as threads within one volume."""
    from utils.sampling.orphans import claim, tell_orphans
    from utils.sampling.volume_crops import CropOptions, find_volumes, volume_target

    use_dataset(args)
    volumes, others, many = find_volumes(args.source, args.savedir)
    own = {"gigabytes": args.gb, "threads": args.processes, "listing": args.source if many else None}
    options = CropOptions(**own, **options_for(args, CropOptions))
    table = TableOptions.of(args).in_folder(args.source if many else args.source.parent)
    refuse_no_volumes(args, volumes)
    say_passed_over([path for path in others if path != table.path], "volume", args.quiet)
    chosen = large_volumes(args, volumes, table) if many else volumes
    jobs = [Job(path, volume_target(path, args.savedir)) for path in chosen]
    one_at_a_time = replace(Run.of(args), processes=1)
    code = run_jobs(partial(crop_one, options=options, table=table), jobs, one_at_a_time, noun="volumes")
    if many:
        wanted = {volume_target(path, args.savedir): str(resolved(path)) for path in volumes}
        claim(args.source, wanted)
        tell_orphans(args.source, args.savedir, wanted, prune=args.prune, quiet=args.quiet)
    return code


def refuse_no_volumes(args: argparse.Namespace, volumes: Sequence[Path]) -> None:
    """Refuse a source that is not there, or, unless what it gave is to be removed, holds no volume.

    Raises
    ------
    UsageError
        If there is no volume.
    """
    if not args.source.exists():
        raise UsageError(f"{args.source}: no such volume or folder")
    if not volumes and not args.prune:
        raise UsageError(f"{args.source}: no volumes here; expected files, folders of slices or NGFF folders")


def large_volumes(args: argparse.Namespace, volumes: Sequence[Path], table: DatasetTable) -> list[Path]:
    """Those of a folder's volumes that are above the size threshold; the others are named."""
    from utils.sampling.rois import GB
    from utils.sampling.volume_crops import volume_bytes

    table.say_unmatched([volume_name(path) for path in volumes], args.quiet)
    large: list[Path] = []
    small: list[Path] = []
    for path in volumes:
        try:
            (large if volume_bytes(path) > args.min_size_gb * GB else small).append(path)
        except (OSError, ValueError):
            large.append(path)  # fails, with its reason, when its turn comes
    if small and not args.quiet:
        say(f"left alone, up to {args.min_size_gb:g} GB: {', '.join(str(path) for path in small)}")
    return large


def crop_one(job: Job, *, options: "CropOptions", table: DatasetTable) -> str:
    """Crop one volume; the work of a job."""
    from utils.sampling.volume_crops import crop_volume

    return crop_volume(Path(job.source), options, job.target, table.of(volume_name(job.source)))


if __name__ == "__main__":
    raise SystemExit(main())
