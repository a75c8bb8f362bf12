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
import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from utils.cell_hashes import flat_hashes, hash_cell, is_one_value
from utils.cli import (
    UsageError,
    add_run_options,
    make_parser,
    natural_int,
    output_dir,
    positive_float,
    positive_int,
    run_script,
    say_nested,
    say_passed_over,
)
from utils.contrast import Contrast, to_uint8
from utils.cubes import Cell, axes_with_patches, common_region, cut, grid, side_by_side, within
from utils.dataset_table import Stating, add_table_options
from utils.dictionaries import save_records
from utils.exemplars import exemplars
from utils.jobs import Job, PassedOver, Run, describe, run_jobs
from utils.names import format_name_3d
from utils.options import (
    add_dataset,
    add_dedupe_options,
    add_patch_options,
    add_recursive,
    min_side,
    refuse_hash_size,
    use_dataset,
)
from utils.patches import Span, default_min_side, too_small
from utils.results import Scope, list_orphans
from utils.sources import VolumeSource, is_table, nested_volumes, volume_sources
from utils.spread import breadth, spread_map
from utils.volume_labels import why_labels_volume
from utils.volume_samples import volume_contrast
from utils.volumes import Volume, is_isotropic, is_ngff

if TYPE_CHECKING:
    from utils.sampling.plan import SamplingOptions
    from utils.sampling.rois import Roi

# Rows of cells are cut up so far that each thread has some, lest one has the last.
ROWS_PER_THREAD = 16


def main(argv: Sequence[str] | None = None) -> int:
    """Cut every volume of a folder; see the module's docstring."""
    parser = make_parser(__doc__)
    parser.add_argument("source", metavar="DIR|URL|CSV", help="folder of volumes, URL of an NGFF image, or CSV of URLs")
    parser.add_argument("savedir", type=output_dir, metavar="SAVE", help="folder for the patch dictionaries")
    add_patch_options(parser)
    parser.add_argument(
        "-a",
        "--axes",
        type=int,
        nargs="+",
        choices=(0, 1, 2),
        default=[0, 1, 2],
        help="0 = xy, 1 = xz, 2 = yz (default all)",
    )
    parser.add_argument(
        "-s", "--spacing", type=positive_int, default=1, metavar="N", help="cut every N-th slice (default 1)"
    )
    parser.add_argument(
        "--level", type=natural_int, metavar="N", help="level of NGFF images (default: CSV's mip, or 0)"
    )
    add_dataset(parser)
    add_dedupe_options(parser)
    add_table_options(parser)
    add_recursive(parser)
    parser.add_argument(
        "-gb", "--gb", type=positive_float, default=5.0, metavar="X", help="GB of cubes per row of a CSV (default 5)"
    )
    parser.add_argument("--list", action="store_true", help="print what would be done, and do nothing")
    add_run_options(parser, seed=True)
    return run_script(patchify, parser, argv)


@dataclass(frozen=True)
class Cutting:
    """How a volume is cut; recorded in its dictionary."""

    crop: int
    axes: tuple[int, ...]
    spacing: int
    min_side: int
    edges: str
    contrast_method: str
    stretch: bool
    keep_labels: bool
    hash: str
    hash_size: int
    distance: int
    seed: int

    def options(self) -> dict[str, Any]:
        """What decides a dictionary's content, as the command line calls it."""
        names = {"crop": "crop-size", "contrast_method": "contrast"}
        options = {names.get(name, name.replace("_", "-")): value for name, value in asdict(self).items()}
        return options | ({"min-side": None} if self.min_side == default_min_side(self.crop) else {})


def patchify(args: argparse.Namespace) -> int:
    """List the volumes, then cut those that have no dictionary yet."""
    refuse_hash_size(args)
    dataset = use_dataset(args)
    scope = scope_of(args)
    cutting = Cutting(
        args.crop_size,
        tuple(sorted(set(args.axes))),
        args.spacing,
        min_side(args),
        args.edges,
        args.contrast,
        args.stretch,
        args.keep_labels,
        args.hash,
        args.hash_size,
        args.distance,
        args.seed,
    )
    sources = list_sources(args, scope)
    if args.list:
        return list_work(sources, cutting)
    jobs = [
        Job(
            source,
            args.savedir / f"{source.name}.pkl",
            scope.recipe(source.inputs(), {**cutting.options(), **source.options(), **dataset}),
        )
        for source in sources
    ]
    work = partial(patchify_volume, cutting=cutting, processes=args.processes)
    return run_jobs(
        work,
        jobs,
        Run.of(args),
        noun="volumes",
        scope=scope,
        alone=lambda job: job.source.is_large(),
        spread=lambda job: job.source.is_worth_spreading(),
    )


def scope_of(args: argparse.Namespace) -> Scope:
    """Where results of volumes or rows that are gone are looked for."""
    if not is_table(args.source):
        return Scope("patchify3d", Path(args.source), args.savedir)
    from utils.sampling.sampled_rows import discard_sampled

    return Scope("patchify3d", Path(args.source), args.savedir, discard=discard_sampled)


def list_sources(args: argparse.Namespace, scope: Scope) -> list[VolumeSource]:
    """The volumes that the command line names; what lies beside them is said."""
    try:
        stating = Stating.of(args)
        sources, passed_over = volume_sources(
            args.source, args.level, stating, recursive=args.recursive, gigabytes=args.gb
        )
    except UsageError:
        if args.prune and list_orphans(scope, set()):
            return []
        raise
    say_passed_over(passed_over, "volumes", args.quiet)
    if not args.recursive and scope.root.is_dir() and not is_ngff(scope.root):
        say_nested(nested_volumes(scope.root), "volumes", "DIR/VOLUME", args.quiet)
    stating.say_unmatched([source.name for source in sources])
    return sources


def list_work(sources: Sequence[VolumeSource], cutting: Cutting) -> int:
    """Print what would be done: volume, shape, voxel size, axes and number of patches, with tabs between them."""
    print("volume\tshape_zyx\tvoxel_size_zyx_nm\taxes\tpatches")
    failures = {}
    for source in sources:
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
        print(source.name, " x ".join(map(str, volume.shape)), nm, " ".join(map(str, axes)), patches, sep="\t")
    for path, reason in failures.items():
        print(f"{path}: {reason}", file=sys.stderr)
    return 1 if failures else 0


def axes_to_cut(volume: Volume, cutting: Cutting) -> tuple[tuple[int, ...], str]:
    """The chosen axes on which there are patches, of an anisotropic volume or a video only axis 0; and what is lost.

    Raises
    ------
    ValueError
        If no chosen axis can be cut.
    """
    if is_isotropic(volume):
        return axes_with_patches(volume.shape, cutting.axes, cutting.min_side)
    if 0 not in cutting.axes:
        raise ValueError("anisotropic or a video: only axis 0 (xy) can be cut, and --axes leaves it out")
    return axes_with_patches(volume.shape, (0,), cutting.min_side)


def refuse_unwanted(volume: Volume, cutting: Cutting) -> None:
    """Refuse a volume that gives no patches worth having, or that is no image.

    Raises
    ------
    PassedOver
    """
    if reason := too_small(volume.shape, cutting.min_side):
        raise PassedOver(reason)
    axes, lost = axes_to_cut(volume, cutting)
    if not axes:
        raise PassedOver(lost)
    if not cutting.keep_labels and (reason := why_labels_volume(volume)):
        raise PassedOver(reason)
    if lost:
        warnings.warn(lost, stacklevel=2)


def cells_of(volume: Volume, cutting: Cutting, cubes: Sequence["Roi"] | None = None) -> list[Cell]:
    """The cells of a volume, in memory order; or of cubes of it, each of which is cut as if it were a volume."""
    axes, _ = axes_to_cut(volume, cutting)
    edges, spacing, min_side = cutting.edges, cutting.spacing, cutting.min_side
    whole = partial(grid, crop=cutting.crop, axes=axes, edges=edges, spacing=spacing, min_side=min_side)
    if cubes is None:
        return whole(volume.shape)
    cells = []
    for cube in cubes:
        shape, first = [stop - start for start, stop in cube], [start for start, _ in cube]
        cells += [cell.shifted(first) for cell in whole(shape)]
    return [cell for cell in cells if len(cell)]


def cells_before(source: VolumeSource, volume: Volume, cutting: Cutting) -> list[Cell]:
    """The cells of a volume as far as they are known before a voxel is read."""
    if source.gigabytes is None:
        return cells_of(volume, cutting)
    from utils.sampling.sampled_rows import candidate_cubes

    return cells_of(volume, cutting, candidate_cubes(source, sampling(cutting)))


def sampling(cutting: Cutting) -> "SamplingOptions":
    """The options by which the cubes of a row are chosen."""
    from utils.sampling.plan import SamplingOptions

    return SamplingOptions(seed=cutting.seed, contrast=cutting.contrast_method, stretch=cutting.stretch)


def cells_and_contrast(
    source: VolumeSource, volume: Volume, cutting: Cutting, folder: Path
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

    sampled = sampled_cubes(source, sampling(cutting), folder)
    cells = cells_of(volume, cutting, sampled.cubes)
    if not cells:
        raise PassedOver(f"its cubes give no patches: --min-side {cutting.min_side}")
    return cells, sampled.contrast


def slices_of(region: tuple[Span, Span, Span]) -> tuple[slice, slice, slice]:
    """A region as it is asked for."""
    z, y, x = region
    return slice(*z), slice(*y), slice(*x)


class Reading:
    """A source and how its voxels become patches; where it has travelled to, it opens the source anew."""

    def __init__(self, source: VolumeSource, volume: Volume, contrast: Contrast, cutting: Cutting) -> None:
        self.source, self.contrast, self.cutting = source, contrast, cutting
        self._volume: Volume | None = volume

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_volume": None}

    @property
    def volume(self) -> Volume:
        """The volume, open."""
        if self._volume is None:
            with warnings.catch_warnings(action="ignore"):  # said already, where it was opened first
                self._volume = self.source.open()
        return self._volume

    def holds_one_value(self, region: tuple[Span, Span, Span]) -> bool:
        """Whether a region is known to be one value without reading it into memory."""
        return self.volume.holds_one_value(slices_of(region))

    def voxels(self, region: tuple[Span, Span, Span]) -> np.ndarray:
        """Read a region.

        Returns
        -------
        ndarray of uint8, shape (z, y, x)
        """
        return to_uint8(self.volume[slices_of(region)], self.contrast)


def patchify_volume(job: Job, scratch: Path, cutting: Cutting, processes: int = 1) -> str:
    """Hash every patch of one `VolumeSource`, choose exemplars, write their pixels.

    A large volume is spread over `processes` threads, or over the run's cluster; small ones run side by side instead.
    """
    threads = processes if job.source.is_large() else 1
    with job.source.open() as volume:
        cells, contrast = cells_and_contrast(job.source, volume, cutting, job.target.parent)
        reading = Reading(job.source, volume, contrast, cutting)
        hashes, flat = hash_volume(reading, cells, threads)
        kept = exemplars(hashes, cutting.distance, cutting.seed, last=flat)
        patches = chain.from_iterable(spread_map(partial(fetch, reading), group_by_cell(kept, cells), threads))
        meta = describe_volume(job.source, volume, contrast, cutting, len(hashes))
        save_records(scratch, patches, hashes=hashes[kept], meta=meta)
    return f"{len(hashes)} patches, {len(kept)} kept"


def hash_volume(reading: Reading, cells: Sequence[Cell], threads: int) -> tuple[np.ndarray, np.ndarray]:
    """Hashes and flatness of every patch, cell by cell; see `utils.cell_hashes.hash_cell`.

    Returns
    -------
    hashes, flat : ndarray of uint64, shape (n, words), and of bool, shape (n,)
    """
    most = len(cells) // (ROWS_PER_THREAD * breadth(threads))
    rows = side_by_side(cells, reading.volume.dtype.itemsize, most)
    hashes, flat = zip(*spread_map(partial(hash_row, reading), rows, threads, largest=64), strict=True)
    return np.concatenate(hashes), np.concatenate(flat)


def hash_row(reading: Reading, cells: Sequence[Cell]) -> tuple[np.ndarray, np.ndarray]:
    """Hashes and flatness of the patches of cells that lie side by side, which are read at once.

    Returns
    -------
    hashes, flat : ndarray of uint64, shape (n, words), and of bool, shape (n,)
    """
    how = reading.cutting
    region = common_region(cells)
    if reading.holds_one_value(region) or is_one_value(row := reading.voxels(region)):
        return flat_hashes(sum(map(len, cells)), how.hash_size)
    hash_one = partial(hash_cell, crop=how.crop, hash_size=how.hash_size, method=how.hash)
    cubes = (np.ascontiguousarray(row[within(cell.region(), region)]) for cell in cells)
    hashes, flat = zip(*map(hash_one, cubes, cells), strict=True)
    return np.concatenate(hashes), np.concatenate(flat)


def group_by_cell(kept: np.ndarray, cells: Sequence[Cell]) -> list[tuple[Cell, list[tuple[int, int]]]]:
    """For every cell with kept patches: the (axis, slice index) of each, in the order of the hashes.

    Parameters
    ----------
    kept : ndarray of int, shape (k,)
        Places of the kept patches among all, ascending.
    cells : sequence of Cell
    """
    starts = np.cumsum([0, *map(len, cells)])
    bounds = np.searchsorted(kept, starts)
    grouped = []
    for cell, start, first, stop in zip(cells, starts[:-1], bounds[:-1], bounds[1:], strict=True):
        if first < stop:
            own = cell.patches()
            grouped.append((cell, [own[patch] for patch in (kept[first:stop] - start).tolist()]))
    return grouped


def patch_name(volume: Volume, cell: Cell, axis: int, index: int) -> str:
    """The name of a cell's patch."""
    return format_name_3d(volume.name, axis, index, volume.shape[axis], cell.box(axis))


def fetch(reading: Reading, chosen: tuple[Cell, list[tuple[int, int]]]) -> list[tuple[str, np.ndarray]]:
    """The kept patches of one cell, with their names; reads the cell once more.

    Returns
    -------
    list of (name, patch), str and ndarray of uint8, shape (h, w)
    """
    cell, wanted = chosen
    cube = reading.voxels(cell.region())
    return [
        (patch_name(reading.volume, cell, axis, index), np.ascontiguousarray(cut(cube, cell, axis, index)))
        for axis, index in wanted
    ]


def describe_volume(
    source: VolumeSource, volume: Volume, contrast: Contrast, cutting: Cutting, patches: int
) -> dict[str, Any]:
    """What the dictionary remembers, so that the conversion can be repeated exactly; the same on every machine."""
    place, pipe, inner = str(source.address).partition("|")
    return {
        "source": (place if "://" in place else Path(place).name) + pipe + inner,
        "shape": volume.shape,
        "voxel_size": volume.voxel_size,
        "dataset": source.stated.as_dict(),
        "dtype": volume.dtype.name,
        "contrast": contrast.as_dict(),
        "patches": patches,
        **asdict(cutting),
    }


if __name__ == "__main__":
    raise SystemExit(main())
