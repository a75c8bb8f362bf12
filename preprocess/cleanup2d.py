"""Convert groups of 2D images to single-channel uint8.

Every subfolder of DIR is a group; images directly in DIR are a group named after DIR. Images of any depth, palette or
colour are converted once, each with one contrast window. With -o the copies go to NEW, in the same groups, in a
lossless format; without it images are replaced in place and those that are gray uint8 already stay as they are.

Example:
    python preprocess/cleanup2d.py images2d -o clean2d -p 4
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils.cli import (
    UsageError,
    add_run_options,
    existing_dir,
    make_parser,
    output_dir,
    run_script,
    say_passed_over,
)
from utils.contrast import CONTRASTS
from utils.files import stem, suffix
from utils.groups import Group, list_groups
from utils.image_writing import copy_file, is_clean, was_made_from, write_gray
from utils.images import read_gray
from utils.jobs import SKIPPED, Job, run_jobs, run_options

# Formats that keep every pixel and that we write; all others become .tif.
LOSSLESS = frozenset({".tif", ".tiff", ".png"})


def main(argv: Sequence[str] | None = None) -> int:
    """Clean up every group of a folder; see the module's docstring."""
    parser = make_parser(__doc__)
    parser.add_argument("dir", type=existing_dir, metavar="DIR", help="folder of groups of images")
    parser.add_argument("-o", "--output", type=output_dir, metavar="NEW", help="write copies here (default: in place)")
    parser.add_argument("--contrast", choices=CONTRASTS, default="percentile", help="intensity window per image")
    add_run_options(parser)
    return run_script(clean_up, parser, argv)


def clean_up(args: argparse.Namespace) -> int:
    """List the groups, refuse collisions, convert what is not converted yet."""
    if args.output is not None and args.output.resolve() == args.dir.resolve():
        raise UsageError(f"{args.output}: -o names DIR itself; leave it out to convert in place")
    groups, passed_over = list_groups(args.dir, without=args.output)
    say_passed_over(passed_over, "images", args.quiet)
    if args.output is None:
        jobs = [Job(image, _successor(image)) for group in groups for image in group.images]
        jobs = _without_successors(jobs)
        work = partial(clean_in_place, contrast=args.contrast)
        return run_jobs(work, jobs, noun="images", redo=True, **run_options(args))
    jobs = [Job(image, _copy_target(image, group, args.output)) for group in groups for image in group.images]
    return run_jobs(partial(clean_copy, contrast=args.contrast), jobs, noun="images", **run_options(args))


def _copy_target(image: Path, group: Group, output: Path) -> Path:
    return output / group.name / _lossless_name(image)


def _lossless_name(image: Path) -> str:
    return image.name if suffix(image) in LOSSLESS else f"{stem(image)}.tif"


def _successor(image: Path) -> Path:
    """What an image becomes in place: itself where its format is lossless or its pixels are clean."""
    name = _lossless_name(image)
    return image if name == image.name or _looks_clean(image) else image.with_name(name)


def _looks_clean(image: Path) -> bool:
    try:
        return is_clean(image)
    except (OSError, ValueError, SyntaxError):  # a damaged file is reported by its own job
        return True


def _without_successors(jobs: list[Job]) -> list[Job]:
    """Refuse to overwrite other images; a successor that a killed run left beside its source is no other image."""
    renamed = {job.target: job.source for job in jobs if job.target != job.source and job.target.exists()}
    leftovers = {target for target, source in renamed.items() if was_made_from(target, source)}
    if clashes := [f"  {source} -> {target}" for target, source in renamed.items() if target not in leftovers]:
        raise UsageError("images that would overwrite another; rename one of each:\n" + "\n".join(clashes))
    return [job for job in jobs if job.source not in leftovers]


def clean_copy(job: Job, contrast: str) -> str:
    """Write the uint8 copy of one image; one that is clean already is copied byte for byte."""
    source = job.source
    pixels = read_gray(source)
    if source.name == job.target.name and is_clean(source):
        copy_file(source, job.target)
        return "copied"
    write_gray(job.target, pixels, contrast, source)
    return f"converted from {pixels.dtype}"


def clean_in_place(job: Job, contrast: str) -> str:
    """Replace one image by its uint8 version; an original of another name goes once its successor is complete."""
    source = job.source
    if _is_replaced(source):
        return SKIPPED
    pixels = read_gray(source)
    if is_clean(source):
        return SKIPPED
    write_gray(job.target, pixels, contrast, source)
    if job.target != source:
        source.unlink()
    return f"converted from {pixels.dtype}"


def _is_replaced(source: Path) -> bool:
    """Whether another run over the same folder put a successor in this image's place after this one listed it."""
    successor = source.with_name(_lossless_name(source))
    return not source.exists() and successor.exists() and was_made_from(successor, source)


if __name__ == "__main__":
    raise SystemExit(main())
