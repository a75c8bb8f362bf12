#!/usr/bin/env python3
"""Cut volumes into patches and keep one of each set of near-duplicates.

Every volume in DIR (any format, folders of slices, OME-Zarr/N5/precomputed folders), or the images that a URL or a CSV
of URLs names, becomes one patch dictionary SAVE/{volume}.pkl. A CSV's rows mean what they mean to ngff_download: of an
image that is to be cropped the same cubes are cut, up to -gb, of others the whole level. Slices are cut on all chosen
axes, on xy only where z spacing differs from xy by more than 25 % or the name contains 'video'. A volume that has its
dictionary is skipped; --update redoes those whose volume or options have changed.

Example:
    python patchify3d.py volumes patches -cs 224 --axes 0 1 2 -p 4
"""

import utils.interrupts  # noqa: F401 - first: a signal during the other imports ends in one line

# isort: split
import argparse
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils.argument_types import natural_int, output_dir, positive_float, positive_int
from utils.cli import UsageError, add_run_options, make_parser, run_script, say_nested, say_passed_over
from utils.contrast import Contrast
from utils.cubes import Cell
from utils.dataset_table import TableOptions, add_table_options
from utils.dictionaries import save_records
from utils.exemplars import exemplars
from utils.files import safe_name
from utils.jobs import Job, PassedOver, Run, describe, run_jobs
from utils.names import format_name_3d, is_table
from utils.options import add_dataset, add_dedupe_options, add_patch_options, add_recursive, dedupe_rule, use_dataset
from utils.patches import Box
from utils.redaction import one_line, redacted
from utils.results import Scope, list_orphans, possible_work
from utils.sources import VolumeSource, nested_volumes, volume_sources
from utils.summaries import say_failures
from utils.volume_patches import (
    VolumeCutting,
    VolumeReader,
    axes_to_cut,
    cells_of,
    hash_volume,
    kept_patches,
    refuse_unwanted,
)
from utils.volume_samples import volume_contrast
from utils.volumes import Volume, is_ngff

if TYPE_CHECKING:
    from utils.sampling.plan import SamplingOptions


def main(argv: Sequence[str] | None = None) -> int:
    """Cut every volume of a folder; see the module's docstring."""
    parser = make_parser(__doc__)
    parser.add_argument("source", metavar="DIR|URL|CSV", help="folder of volumes, URL of an NGFF image, or CSV of URLs")
    parser.add_argument("savedir", type=output_dir, metavar="SAVE", help="folder for the patch dictionaries")
    add_patch_options(parser)
    axes = "0 = xy, 1 = xz, 2 = yz (default all)"
    parser.add_argument("-a", "--axes", type=int, nargs="+", choices=(0, 1, 2), default=[0, 1, 2], help=axes)
    spacing = "cut every N-th slice (default 1)"
    parser.add_argument("-s", "--spacing", type=positive_int, default=1, metavar="N", help=spacing)
    level = "level of NGFF images (default: CSV's mip, or 0)"
    parser.add_argument("--level", type=natural_int, metavar="N", help=level)
    add_dataset(parser)
    add_dedupe_options(parser)
    add_table_options(parser)
    add_recursive(parser)
    gb = "GB of cubes per row of a CSV (default 5)"
    parser.add_argument("-gb", "--gb", type=positive_float, default=5.0, metavar="X", help=gb)
    parser.add_argument("--list", action="store_true", help="print what would be done, and do nothing")
    add_run_options(parser, seed=True)
    return run_script(patchify, parser, argv)


def patchify(args: argparse.Namespace) -> int:
    """List the volumes, then cut those that have no dictionary yet."""
    dataset = use_dataset(args)
    scope = scope_of(args)
    axes = tuple(sorted(set(args.axes)))
    cutting = VolumeCutting.of(args, axes=axes, spacing=args.spacing, **dedupe_rule(args))
    sources = list_sources(args, scope)
    if args.list:
        return list_work(sources, cutting, scope)
    options = cutting.options()
    jobs = [
        scope.job(source, f"{source.name}.pkl", {**options, **source.options(), **dataset}, source.inputs())
        for source in sources
        if not source.problem
    ]
    work = partial(patchify_volume, cutting=cutting, processes=args.processes)
    return run_jobs(
        work,
        jobs,
        Run.of(args),
        noun="volumes",
        scope=scope,
        unlisted={Path(str(source)): source.problem for source in sources if source.problem},
        alone=lambda job: job.source.is_large(),
        spread=lambda job: job.source.is_worth_spreading(),
    )


def scope_of(args: argparse.Namespace) -> Scope:
    """Where results of volumes or rows that are gone are looked for."""
    if not is_table(args.source):
        return Scope("patchify3d", Path(redacted(args.source)), args.savedir)
    from utils.sampling.sampled_rows import discard_sampled

    return Scope("patchify3d", Path(args.source), args.savedir, discard=discard_sampled)


def list_sources(args: argparse.Namespace, scope: Scope) -> list[VolumeSource]:
    """The volumes that the command line names; what lies beside them is said."""
    try:
        table_options = TableOptions.of(args)
        sources, passed_over = volume_sources(
            args.source, args.level, table_options, recursive=args.recursive, gigabytes=args.gb
        )
    except UsageError:
        if args.prune and list_orphans(scope, set()):
            return []
        raise
    say_passed_over(passed_over, "volumes", args.quiet)
    if not args.recursive and scope.root.is_dir() and not is_ngff(scope.root):
        say_nested(nested_volumes(scope.root), "volumes", "DIR/VOLUME", args.quiet)
    table_options.say_unmatched([source.name for source in sources])
    return sources


def patchify_volume(job: Job, scratch: Path, cutting: VolumeCutting, processes: int = 1) -> str:
    """Hash every patch of one `VolumeSource`, choose exemplars, write their pixels.

    A large volume is spread over `processes` threads, or over the run's cluster; small ones run side by side instead.
    """
    threads = processes if job.source.is_large() else 1
    with job.source.open() as volume:
        end = max(volume.shape)
        safe_name(format_name_3d(job.source.name, 0, end, end, Box(end, end, end, end)))  # as long as any patch's
        cells, contrast = cells_and_contrast(job.source, volume, cutting, job.target.parent)
        reading = VolumeReader(job.source, volume, contrast, cutting)
        hashes, flat = hash_volume(reading, cells, threads)
        kept = exemplars(hashes, cutting.distance, cutting.seed, last=flat)
        patches = kept_patches(reading, kept, cells, threads)
        meta = describe_volume(job.source, volume, contrast, cutting, len(hashes))
        save_records(scratch, patches, hashes=hashes[kept], meta=meta)
    return f"{len(hashes)} patches, {len(kept)} kept"


def cells_and_contrast(
    source: VolumeSource, volume: Volume, cutting: VolumeCutting, folder: Path
) -> tuple[list[Cell], Contrast]:
    """The cells to cut and the contrast window; the overview of a row that is sampled is kept in a folder.

    Raises
    ------
    PassedOver
        If its cubes give no patches.
    """
    if source.gigabytes is None:
        refuse_unwanted(volume, cutting)
        cells = cells_of(volume, cutting)
        return cells, volume_contrast(volume, cutting.contrast_method, stretch=cutting.stretch)
    from utils.sampling.sampled_rows import sampled_cubes

    cubes, contrast = sampled_cubes(source, sampling(cutting), folder)
    cells = cells_of(volume, cutting, cubes)
    if not cells:
        raise PassedOver(f"its cubes give no patches: --min-side {cutting.min_side}")
    return cells, contrast


def sampling(cutting: VolumeCutting) -> "SamplingOptions":
    """The options by which the cubes of a row are chosen."""
    from utils.sampling.plan import SamplingOptions

    return SamplingOptions(seed=cutting.seed, contrast=cutting.contrast_method, stretch=cutting.stretch)


def describe_volume(
    source: VolumeSource, volume: Volume, contrast: Contrast, cutting: VolumeCutting, patches: int
) -> dict[str, Any]:
    """What the dictionary remembers, so that the conversion can be repeated exactly; the same on every machine."""
    place, pipe, inner = str(source.address).partition("|")
    return {
        "source": (place if "://" in place else Path(place).name) + pipe + inner,
        "shape": volume.shape,
        "voxel_size": volume.voxel_size,
        "dataset": dict(source.stated.fields),
        "dtype": volume.dtype.name,
        "contrast": contrast.as_dict(),
        "patches": patches,
        **asdict(cutting),
    }


def list_work(sources: Sequence[VolumeSource], cutting: VolumeCutting, scope: Scope) -> int:
    """Print what would be done: volume, shape, voxel size, axes and number of patches, with tabs between them."""
    print("volume\tshape_zyx\tvoxel_size_zyx_nm\taxes\tpatches")
    possible, failures = possible_work([Job(source, scope.folder / f"{source.name}.pkl") for source in sources])
    for source in (job.source for job in possible):
        try:
            # Doubts about a header are said when it is cut; a voxel size that is missing shows as such.
            with warnings.catch_warnings(action="ignore"), source.open() as volume:
                axes, _ = axes_to_cut(volume, cutting)
                size = volume.voxel_size
                patches = sum(map(len, cells_before(source, volume, cutting)))
        except (OSError, ValueError) as error:
            failures[str(source)] = describe(error)
            continue
        nm = " x ".join(f"{side:g}" for side in size) if size else "missing"
        print(
            one_line(source.name), " x ".join(map(str, volume.shape)), nm, " ".join(map(str, axes)), patches, sep="\t"
        )
    return say_failures(failures)


def cells_before(source: VolumeSource, volume: Volume, cutting: VolumeCutting) -> list[Cell]:
    """The cells of a volume as far as they are known before a voxel is read."""
    if source.gigabytes is None:
        return cells_of(volume, cutting)
    from utils.sampling.sampled_rows import candidate_cubes

    return cells_of(volume, cutting, candidate_cubes(source, sampling(cutting)))


if __name__ == "__main__":
    raise SystemExit(main())
