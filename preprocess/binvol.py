#!/usr/bin/env python3
"""Bin volumes: every block of N x N x N voxels becomes their average, the voxel size grows with it.

Reads every volume in DIR: files, folders of slices, OME-Zarr and N5. The binned volume is {name}_bin{N}.nrrd (with
--axes xy {name}_bin{N}xy.nrrd); MRC files stay MRC and keep their labels and origin. It lies beside its original, or
in OUT. Voxels left over at the end of an axis, fewer than N, are dropped; averages of integers are rounded to the
nearest, halves up. Every new file is read back and compared before it gets its name; with --inplace the original is
deleted after that (folders never are). Volumes whose name ends in _bin{N} are results and are not binned again.

Example:
    python preprocess/binvol.py volumes --factor 2 --axes xy -o binned
"""

import argparse
import math
import sys
import warnings
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import utils.interrupts  # noqa: F401 - first: a signal during the other imports ends in one line

# isort: split
import numpy as np

from utils.argument_types import input_dir, int_from, output_dir
from utils.axes import Lengths, Triple, triple
from utils.binning import binned_dtype, binned_shape, binned_slabs
from utils.cli import add_run_options, make_parser, run_script, say_passed_over
from utils.dataset_table import NO_TABLE, DatasetTable, TableOptions, add_table_options
from utils.files import atomic_path, list_files, resolved, suffix
from utils.formats.mrc import MRC_SUFFIXES, read_mrc_header
from utils.formats.writers import MrcWriter, NrrdWriter, SlabWriter
from utils.jobs import SKIPPED, Job, Run, run_jobs
from utils.names import format_binned, parse_binned, parsed
from utils.options import add_dataset, use_dataset
from utils.results import Scope, refuse_nothing_to_do
from utils.volume_samples import slabs
from utils.volumes import DETACHED, Volume, data_files, list_volumes, open_volume, own_data, volume_inputs, volume_name


def main(argv: Sequence[str] | None = None) -> int:
    """Bin every volume of a folder; see the module's docstring."""
    parser = make_parser(__doc__)
    parser.add_argument("dir", type=input_dir, metavar="DIR", help="folder of volumes")
    parser.add_argument("--factor", type=int_from(2), default=2, metavar="N", help="voxels per block side (default 2)")
    parser.add_argument("--axes", choices=("xyz", "xy"), default="xyz", help="bin along all axes, or leave z as it is")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("-o", "--output", type=output_dir, metavar="OUT", help="folder for the results (default: DIR)")
    where.add_argument("--inplace", action="store_true", help="delete each original once its result is verified")
    add_table_options(parser)
    add_dataset(parser)
    add_run_options(parser)
    return run_script(bin_volumes, parser, argv)


def bin_volumes(args: argparse.Namespace) -> int:
    """List the volumes and bin those that are not binned yet."""
    dataset = use_dataset(args)
    found, passed_over = list_volumes(args.dir)
    sources = [source for source in found if parsed(parse_binned, volume_name(source)) is None]
    scope = Scope("binvol", args.dir, args.output or args.dir)
    looked_for = "volumes (looked for .nrrd, .mrc, .tif, .nii and others, folders of slices)"
    refuse_nothing_to_do(found, scope, args.prune, looked_for)
    table = TableOptions.of(args).in_folder(args.dir)
    say_passed_over([path for path in passed_over if path != table.path], "volumes", args.quiet)
    table.say_unmatched([volume_name(source) for source in sources], args.quiet)
    factors = (args.factor if args.axes == "xyz" else 1, args.factor, args.factor)
    if args.inplace:
        jobs = [Job(source, scope.folder / result_name(source, factors)) for source in sources]
        return run_jobs(partial(replace_volume, factors=factors, table=table), jobs, Run.of(args), noun="volumes")
    options = {"factor": args.factor, "axes": args.axes, **dataset}
    jobs = []
    for source in sources:
        of_volume = {**options, **table.of(volume_name(source)).options()}
        jobs.append(scope.job(source, result_name(source, factors), of_volume, volume_inputs(source)))
    return run_jobs(partial(bin_volume, factors=factors, table=table), jobs, Run.of(args), noun="volumes", scope=scope)


def result_name(source: Path, factors: Triple) -> str:
    """The file name of a binned volume."""
    unpacked = Path(suffix(source)).stem  # of .mrc.gz it is .mrc
    end = unpacked if source.is_file() and unpacked in MRC_SUFFIXES else ".nrrd"
    return format_binned(volume_name(source), factors[2], xy=factors[0] == 1) + end


def bin_volume(job: Job, scratch: Path, factors: Triple, table: DatasetTable) -> str:
    """Write one binned volume and read it back.

    Raises
    ------
    ValueError
        If the volume cannot be read or binned, or what was written does not read back the same.
    """
    source = Path(job.source)
    with open_volume(source, table.of(volume_name(source))) as volume:
        written = write_binned(volume, source, scratch, factors)
        with open_volume(scratch) as result:
            _compare(result, volume, factors, written)
        return f"{' x '.join(map(str, binned_shape(volume.shape, factors)))} voxels"


def replace_volume(job: Job, factors: Triple, table: DatasetTable = NO_TABLE) -> str:
    """Bin one volume and delete the original once the result is verified; raises as `bin_volume` does."""
    source = Path(job.source)
    if job.target.exists() and not source.exists():
        return SKIPPED  # another run binned and deleted it while this one waited for the lock
    if job.target.exists():
        with open_volume(source, table.of(volume_name(source))) as volume, open_volume(job.target) as result:
            _compare(result, volume, factors, _checksum(binned_slabs(volume, factors), result.dtype))
        said = SKIPPED if source.is_dir() else "binned before"
    else:
        with atomic_path(job.target) as scratch:
            said = bin_volume(job, scratch, factors, table)
    if source.is_dir():
        warnings.warn("binned, but a folder is never deleted: remove it yourself", stacklevel=2)
    else:
        _delete(source)
    return said


def write_binned(volume: Volume, source: Path, target: Path, factors: Triple) -> int:
    """Write the binned volume in its source's family of formats; the checksum of its voxels."""
    shape, dtype = binned_shape(volume.shape, factors), binned_dtype(volume.dtype)
    size = binned_voxel_size(volume, factors)
    writer: SlabWriter
    if suffix(target) in MRC_SUFFIXES:
        writer = MrcWriter(target, shape, dtype, read_mrc_header(source), size)
    else:
        dtype = np.dtype(np.float32) if dtype == np.float16 else dtype  # NRRD has no half floats
        writer = NrrdWriter(target, shape, dtype, size)
    with writer:
        return _checksum(_written(binned_slabs(volume, factors), writer), dtype)


def _written(parts: Iterable[np.ndarray], writer: SlabWriter) -> Iterator[np.ndarray]:
    for part in parts:
        writer.write(part)
        yield part


def binned_voxel_size(volume: Volume, factors: Triple) -> Lengths | None:
    """The voxel size times the factors; None where it is missing."""
    if volume.voxel_size is None:
        return None
    return triple(side * factor for side, factor in zip(volume.voxel_size, factors, strict=True))


def _checksum(parts: Iterable[np.ndarray], dtype: np.dtype) -> int:
    """CRC-32 of the voxels of slabs, in order of z, stored as `dtype`."""
    found = 0
    for part in parts:
        found = zlib.crc32(np.ascontiguousarray(part, dtype).data, found)
    return found


def _compare(result: Volume, volume: Volume, factors: Triple, expected: int) -> None:
    """Raise unless a file holds the binned volume: shape, voxel size and every voxel."""
    size = binned_voxel_size(volume, factors)
    same_size = size is None or (
        result.voxel_size is not None
        and all(math.isclose(a, b, rel_tol=1e-5) for a, b in zip(size, result.voxel_size, strict=True))
    )
    same_shape = result.shape == binned_shape(volume.shape, factors)
    if not same_shape or not same_size or _checksum(slabs(result), result.dtype) != expected:
        raise ValueError("the file of the binned volume does not hold what it should: remove it, then try again")


def _delete(source: Path) -> None:
    """Delete a volume's file, and the data file beside its detached header where no other header needs it.

    A header may name any file of the disk; what does not lie beside it, or is a volume of its own, is not known to be
    this one's alone.
    """
    own = [data for data in own_data(source) if resolved(data).parent == resolved(source.parent)]
    if own:
        siblings = [path for path in list_files(source.parent, DETACHED) if path != source]
        shared = {resolved(data) for sibling in siblings for data in data_files(sibling)}
        own = [data for data in own if resolved(data) not in shared]
    source.unlink()
    for data in own:
        data.unlink(missing_ok=True)


if __name__ == "__main__":
    raise SystemExit(main())
