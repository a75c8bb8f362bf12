#!/usr/bin/env python3
"""Sample cubes from NGFF datasets that are too large to download: OME-Zarr, N5, Neuroglancer precomputed.

CSV|URL is a table of datasets (see below; scraping/ngff_datasets.csv is one) or the address of one image: a local
path, file://, http(s)://, s3://, gs://, s3+https://, a zip of an OME-Zarr, a Neuroglancer pipeline or link. The
format is found by looking; precomputed://, n5:// or zarr:// before an address states it. Of each dataset a coarse
level is fetched once as an overview (kept in SAVE/.overview), boxes that hold specimen rather than padding are found
on it, and cubes at random places are written as SAVE/{volume_name}_s{level}-ROI-x0-x1_y0-y1_z0-z1.nrrd: uint8, scaled
once per dataset, with the voxel size in nm, named in the dataset's own coordinates. SAVE/{volume_name}.json records
how. The same command goes on after an interruption; a larger -gb adds to what is there, a smaller one takes nothing
away.

Columns of a table (all but download_url may be empty or missing):
    download_url          address of the image (url, the page that describes it, serves when there is none)
    volume_name           name of the outputs; made from the address when empty
    mip                   level, 0 is the finest (default 0)
    voxel_x voxel_y voxel_z  voxel size at level 0 in nm; empty or x: the metadata's
    crop                  false brings the whole level as one file, if -gb allows (default true)
    crop_size             side of a cube in voxels (default 256)
    invert                true inverts the intensities (default false)
    padding_value         value of the data outside of the specimen, before inversion (default 0)
    api                   cloudvolume or precomputed: the metadata's voxel size counts more than the table's
    source, url           for the reader; ignored

Example:
    python scraping/ngff_download.py scraping/ngff_datasets.csv rois -gb 5
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import utils.interrupts  # noqa: F401 - first: a signal during the other imports ends in one line

# isort: split
from utils.argument_types import fraction, natural_int, output_dir, positive_float, positive_int
from utils.cli import UsageError, add_run_options, as_usage_errors, make_parser, options_for, run_script
from utils.contrast import CONTRASTS
from utils.files import expanded
from utils.formats.voxel_size import nm_per
from utils.jobs import Job, Run, run_jobs
from utils.names import is_table
from utils.ngff.waiting import interruptible
from utils.redaction import say
from utils.results import possible_work
from utils.summaries import say_failures

if TYPE_CHECKING:
    from utils.ngff.dataset import Dataset
    from utils.sampling.plan import PlannedRow, SamplingOptions


def main(argv: Sequence[str] | None = None) -> int:
    """Sample every dataset of a table; see the module's docstring."""
    parser = make_parser(__doc__)
    parser.add_argument("source", metavar="CSV|URL", help="table of datasets, or the address of one")
    parser.add_argument("savedir", type=output_dir, metavar="SAVE", help="folder for the cubes")
    parser.add_argument("-gb", "--gb", type=positive_float, default=5.0, metavar="X", help="GB per dataset (default 5)")
    parser.add_argument("--list", action="store_true", help="show levels and what would be taken; download nothing")
    level = parser.add_mutually_exclusive_group()
    level.add_argument("--level", type=natural_int, metavar="N", help="level for every dataset, 0 is the finest")
    level.add_argument("--voxel-nm", type=positive_float, metavar="X", help="level whose voxels are nearest to X nm")
    parser.add_argument("-cs", "--crop-size", type=positive_int, metavar="N", help="side of a cube (default 256)")
    parser.add_argument("--min-frac", type=fraction, default=0.7, help="least share of specimen in a box (default 0.7)")
    parser.add_argument("--unit", metavar="UNIT", help="of lengths where the metadata names none (nm, um, ...)")
    parser.add_argument("--contrast", choices=CONTRASTS, default="percentile", help="how intensities become uint8")
    parser.add_argument("--workers", type=positive_int, default=8, metavar="N", help="cubes in flight (default 8)")
    parser.add_argument("--endpoint", metavar="URL", help="S3 or GCS server to use instead of the public one")
    parser.add_argument("--region", help="region of the S3 server")
    parser.add_argument("--timeout", type=positive_float, default=60.0, metavar="S", help="seconds without an answer")
    later = "seconds for a server that says when to ask again"
    parser.add_argument("--patience", type=positive_float, default=300.0, metavar="S", help=later)
    parser.add_argument("--image", metavar="PATH", help="of a container of several images")
    parser.add_argument("--layer", metavar="NAME", help="of a Neuroglancer link that shows several images")
    signed = parser.add_mutually_exclusive_group()
    signed.add_argument("--anonymous", action="store_true", help="ask S3 and GCS without keys (default)")
    signed.add_argument("--credentials", action="store_true", help="sign with the keys in your environment and files")
    pays = (
        "pay for S3 buckets that ask for it; tensorstore 0.1 sends x-amz-requester-payer, where AWS documents "
        "x-amz-request-payer: not tried on AWS"
    )
    parser.add_argument("--requester-pays", action="store_true", help=pays)
    header = "for HTTP servers: 'Authorization: ...'; never stored"
    parser.add_argument("--header", action="append", default=[], metavar="H", help=header)
    parser.add_argument("--mask", metavar="URL", help="segmentation or label; cubes are taken where it is not 0")
    parser.add_argument("--stratify", action="store_true", help="spread cubes evenly over the specimen")
    parser.add_argument("--retries", type=natural_int, default=5, metavar="N", help="tries after the first (default 5)")
    add_run_options(parser, seed=True)
    return run_script(download, parser, argv)


def download(args: argparse.Namespace) -> int:
    """List the datasets, then sample (or only describe) each."""
    from utils.ngff.access import HOSTS
    from utils.sampling.orphans import claim, tell_orphans
    from utils.sampling.plan import GRACE, PlannedRow, plan_rows

    rows, run = read_rows(args), Run.of(args)
    table = expanded(args.source) if is_table(args.source) else None
    options = replace(sampling_options(args), listing=table)
    with interruptible():
        HOSTS.forget()
        # What is another shard's is not asked for; only names must not clash with it.
        own = [args.list or run.owns(target_of(row, args.savedir)) for row in rows]
        planned = plan_rows(list(compress(rows, own)), options, None if args.list else GRACE)
        if args.list:
            return describe_all(planned, options, args.savedir)
        planned += [PlannedRow(row) for row, is_own in zip(rows, own, strict=True) if not is_own]
        jobs = [Job(row, target_of(row.row, args.savedir)) for row in planned]
        code = run_jobs(partial(sample_row, options=options), jobs, run, noun="datasets")
    if table:
        wanted = {target_of(row, args.savedir): row.address for row in rows}
        claim(table, wanted)
        if not any(row.problem for row in rows):  # which may be of a dataset that would be taken for gone
            tell_orphans(table, args.savedir, wanted, prune=args.prune, quiet=args.quiet)
    return code


def target_of(row: "Dataset", folder: Path) -> Path:
    """The record of a row's cubes, which is written last."""
    return folder / f"{row.name}.json"


def read_rows(args: argparse.Namespace) -> "list[Dataset]":
    """Rows of a table, or the one row that an address makes.

    Raises
    ------
    UsageError
        If a table is not there or is no table.
    """
    from utils.ngff.dataset import dataset_of_url
    from utils.ngff.table import read_table

    with as_usage_errors():
        if is_table(args.source):
            return read_table(expanded(args.source))
        return [dataset_of_url(args.source, args.layer, args.image)]


def sampling_options(args: argparse.Namespace) -> "SamplingOptions":
    """The command line as options of `utils.sampling.plan`.

    Raises
    ------
    UsageError
        If --unit is no unit of length.
    """
    from utils.ngff.access import Access
    from utils.sampling.plan import SamplingOptions

    if args.unit is not None and nm_per(args.unit) is None:
        raise UsageError(f"--unit {args.unit}: is no unit of length; expected nm, um, mm, m, pm or angstrom")
    own = {"requests": 8 * args.workers, "headers": tuple(args.header)}
    own["credentials"] = args.credentials or args.requester_pays
    access = Access(**options_for(args, Access) | own)
    return SamplingOptions(gigabytes=args.gb, access=access, **options_for(args, SamplingOptions))


def sample_row(job: Job, *, options: "SamplingOptions") -> str:
    """Sample the dataset of one row; the work of a job."""
    from utils.sampling.fetch import sample

    return sample(job.source.result(options), job.target.parent)


def describe_all(rows: "list[PlannedRow]", options: "SamplingOptions", folder: Path) -> int:
    """Print what every dataset holds and what would be taken; rows that fail are said and passed."""
    from utils.outcomes import describe as reason
    from utils.parallel import gathered_warnings
    from utils.sampling.description import describe

    possible, failures = possible_work([Job(row, target_of(row.row, folder)) for row in rows])
    code = say_failures(failures)
    for row in (job.source for job in possible):
        with gathered_warnings() as said:
            try:
                print(describe(row.result(options), folder))
            except (OSError, ValueError) as error:
                code = say_failures({str(row): reason(error)})
        for sentence in said:
            say(f"{row}: warning: {sentence}")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
