#!/usr/bin/env python3
"""Turn videos into stacks: every frame a slice, one channel, uint8, as NRRD.

Reads .mp4, .avi, .mov and .mkv files of DIR, whatever the case of their suffix. The stack lies beside its video, or in
OUT: {stem}.nrrd where the stem contains "video", else {stem}_video.nrrd. Frames are written one by one, so that memory
does not grow with the length. A video that ends before its promised number of frames is reported and leaves nothing,
unless --keep-partial.

Example:
    python preprocess/vid2stack.py videos -o stacks -p 2
"""

import argparse
import sys
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import utils.interrupts  # noqa: F401 - first: a signal during the other imports ends in one line

# isort: split
import numpy as np

from utils.argument_types import input_dir, output_dir
from utils.cli import add_run_options, list_inputs, make_parser, run_script
from utils.dataset_table import DatasetTable, TableOptions, add_table_options
from utils.formats.video import VIDEO_SUFFIXES, Video
from utils.formats.writers import NrrdWriter
from utils.jobs import Job, Run, run_jobs
from utils.names import format_video
from utils.results import Scope, refuse_nothing_to_do


def main(argv: Sequence[str] | None = None) -> int:
    """Convert every video of a folder; see the module's docstring."""
    parser = make_parser(__doc__)
    parser.add_argument("dir", type=input_dir, metavar="DIR", help="folder of videos")
    parser.add_argument("-o", "--output", type=output_dir, metavar="OUT", help="folder for the stacks (default: DIR)")
    parser.add_argument("--keep-partial", action="store_true", help="keep the frames of a video that is cut short")
    add_table_options(parser)
    add_run_options(parser)
    return run_script(convert, parser, argv)


def convert(args: argparse.Namespace) -> int:
    """List the videos and write the stacks that are not there yet."""
    videos = list_inputs(args.dir, VIDEO_SUFFIXES, "videos", args.quiet)
    scope = Scope("vid2stack", args.dir, args.output or args.dir)
    refuse_nothing_to_do(videos, scope, args.prune, f"videos (looked for {', '.join(sorted(VIDEO_SUFFIXES))})")
    table = TableOptions.of(args).in_folder(args.dir)
    table.say_unmatched(map(format_video, videos), args.quiet)
    jobs = []
    for video in videos:
        options = {"keep-partial": args.keep_partial, **table.of(format_video(video)).options()}
        jobs.append(scope.job(video, f"{format_video(video)}.nrrd", options))
    work = partial(write_stack, keep_partial=args.keep_partial, table=table)
    return run_jobs(work, jobs, Run.of(args), noun="videos", scope=scope)


def write_stack(job: Job, scratch: Path, keep_partial: bool, table: DatasetTable) -> str:
    """Write one video as NRRD, with the voxel size that a table gives.

    Raises
    ------
    ValueError
        If it is no video, its frames change size, or it is cut short and `keep_partial` is not set.
    """
    with Video(Path(job.source)) as video:
        frames = iter(video)
        first = next(frames, None)
        if first is None:
            raise ValueError(video.shortfall())
        size = table.of(format_video(job.source)).whole_size()
        with NrrdWriter(scratch, (None, *first.shape), np.uint8, size) as stack:
            stack.write(first)
            for frame in frames:
                stack.write(frame)
        if lacking := video.shortfall():
            if not keep_partial:
                raise ValueError(f"{lacking} (--keep-partial keeps the frames there are)")
            warnings.warn(lacking, stacklevel=2)
    return f"{video.decoded} frames -> {job.target.name}"


if __name__ == "__main__":
    raise SystemExit(main())
