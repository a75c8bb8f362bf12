#!/usr/bin/env python3
"""Turn MRC files into unsigned bytes, marked so that IMOD and SimpleITK read them as 0 to 255; no IMOD needed.

mrcfile knows no unsigned byte: it shows the same bits of mode 0 as int8, and `data.view(np.uint8)` is what is meant.

Reads .mrc, .mrcs, .rec, .st, .map and .ali files of DIR in modes 0, 1, 2, 6 and 12. Signed bytes are shifted by 128,
wider types scaled once per volume, unsigned bytes left as they are. Files are replaced in place, each at once and
whole; with -o copies go to OUT, packed files (.gz, .bz2) unpacked. Voxel size, origin, axis order and extended header
stay.

Whether bytes are signed is told by IMOD's mark; without it by the header's minimum and maximum, or by --signed and
--unsigned. In place a file that IMOD's mark calls unsigned is done, whatever the options, so that a second run changes
nothing.

Example:
    python preprocess/mrc2byte.py tomograms -o bytes -p 4
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import utils.interrupts  # noqa: F401 - first: a signal during the other imports ends in one line

# isort: split
from utils.argument_types import input_dir, output_dir
from utils.cli import add_run_options, list_inputs, make_parser, run_script, say_passed_over
from utils.contrast import CONTRASTS
from utils.files import atomic_path, list_files, suffix
from utils.formats.mrc import MRC_SUFFIXES, is_marked
from utils.jobs import SKIPPED, Job, Run, run_jobs
from utils.mrc_bytes import is_unsigned, read_header, unpacked, write_unsigned
from utils.options import refuse_own_folder
from utils.results import Scope, refuse_nothing_to_do
from utils.volumes import PACKED_MRC


def main(argv: Sequence[str] | None = None) -> int:
    """Convert every MRC file of a folder; see the module's docstring."""
    parser = make_parser(__doc__)
    parser.add_argument("dir", type=input_dir, metavar="DIR", help="folder of MRC files")
    parser.add_argument("-o", "--output", type=output_dir, metavar="OUT", help="write copies here (default: in place)")
    parser.add_argument("--contrast", choices=CONTRASTS, default="percentile", help="intensity window per volume")
    signs = parser.add_mutually_exclusive_group()
    signs.add_argument("--signed", action="store_const", const=True, help="bytes of mode 0 are signed")
    signs.add_argument("--unsigned", dest="signed", action="store_const", const=False, help="they are unsigned")
    add_run_options(parser)
    return run_script(convert, parser, argv)


def convert(args: argparse.Namespace) -> int:
    """List the files and convert what is not unsigned bytes yet."""
    refuse_own_folder(args)
    suffixes = MRC_SUFFIXES if args.output is None else MRC_SUFFIXES | PACKED_MRC
    files = list_inputs(args.dir, suffixes, "MRC files", args.quiet)
    in_place = args.output is None
    scope = Scope("mrc2byte", args.dir, args.dir if in_place else args.output)
    refuse_nothing_to_do(files, scope, args.prune, f"MRC files (looked for {', '.join(sorted(MRC_SUFFIXES))})")
    how = {"contrast": args.contrast, "signed": args.signed}
    if in_place:
        packed = list_files(args.dir, PACKED_MRC)
        say_passed_over(packed, "plain MRC files (-o makes bytes of packed ones, too)", args.quiet)
        return run_jobs(partial(replace_by_bytes, **how), [Job(f, f) for f in files], Run.of(args), noun="MRC files")
    jobs = [scope.job(file, file.stem if suffix(file) in PACKED_MRC else file.name, how) for file in files]
    return run_jobs(partial(write_bytes, **how), jobs, Run.of(args), noun="MRC files", scope=scope)


def write_bytes(job: Job, scratch: Path, contrast: str = "percentile", signed: bool | None = None) -> str:
    """Write one file as unsigned bytes.

    Raises
    ------
    ValueError
        If the header is broken beyond repair or the voxels are no gray values.
    """
    with unpacked(Path(job.source), scratch) as source:
        header = read_header(source, signed=signed)
        if is_unsigned(header):
            shutil.copyfile(source, scratch)
            return "unsigned bytes already: copied"
        write_unsigned(source, scratch, header, contrast)
        return f"{header.dtype.name} -> unsigned bytes"


def replace_by_bytes(job: Job, contrast: str = "percentile", signed: bool | None = None) -> str:
    """Replace one file by its unsigned bytes, at once and whole, unless it holds such; raises as `write_bytes` does."""
    source = Path(job.source)
    header = read_header(source, signed=signed)
    if header.mode == 0 and is_marked(header.fields):
        header = read_header(source, signed=None if signed else signed)
    if is_unsigned(header):
        return SKIPPED
    with atomic_path(job.target) as scratch:
        write_unsigned(source, scratch, header, contrast)
    return f"{header.dtype.name} -> unsigned bytes"


if __name__ == "__main__":
    raise SystemExit(main())
