#!/usr/bin/env python3
"""Convert groups of 2D images to single-channel uint8.

Every subfolder of DIR is a group; images directly in DIR are a group named after DIR. Images of any depth, palette or
colour are converted once, each with one contrast window. With -o the copies go to NEW, in the same groups, in a
lossless format; without it images are replaced in place and those that are gray uint8 already stay as they are.

Example:
    python preprocess/cleanup2d.py images2d -o clean2d -p 4
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import utils.interrupts  # noqa: F401 - first: a signal during the other imports ends in one line

# isort: split
import numpy as np

from utils.argument_types import input_dir, output_dir
from utils.cli import add_run_options, make_parser, run_script
from utils.contrast import CONTRASTS
from utils.files import atomic_path, stem, suffix
from utils.groups import Groups, groups_of
from utils.image_writing import is_clean, is_stretched, was_made_from, write_gray
from utils.images import read_gray
from utils.jobs import SKIPPED, Job, PassedOver, Run, run_jobs
from utils.label_maps import why_labels
from utils.options import add_image_options, add_recursive, refuse_own_folder
from utils.results import Scope

# Formats that keep every pixel and that we write; all others become .tif.
LOSSLESS = frozenset({".tif", ".tiff", ".png"})


def main(argv: Sequence[str] | None = None) -> int:
    """Clean up every group of a folder; see the module's docstring."""
    parser = make_parser(__doc__)
    parser.add_argument("dir", type=input_dir, metavar="DIR", help="folder of groups of images")
    parser.add_argument("-o", "--output", type=output_dir, metavar="NEW", help="write copies here (default: in place)")
    parser.add_argument("--contrast", choices=CONTRASTS, default="percentile", help="intensity window per image")
    add_image_options(parser)
    add_recursive(parser)
    add_run_options(parser)
    return run_script(clean_up, parser, argv)


@dataclass(frozen=True)
class Cleaning:
    """How an image is converted, and what is none."""

    contrast: str
    stretch: bool
    keep_labels: bool

    def options(self) -> dict[str, Any]:
        """What decides a result's content, as the command line calls it."""
        return {name.replace("_", "-"): value for name, value in asdict(self).items()}


def clean_up(args: argparse.Namespace) -> int:
    """List the groups, convert what is not converted yet."""
    refuse_own_folder(args)
    scope = Scope("cleanup2d", args.dir, args.output or args.dir, nested=True)
    found = groups_of(args, scope)
    cleaning = Cleaning(args.contrast, args.stretch, args.keep_labels)
    if args.output is None:
        work = partial(clean_in_place, cleaning=cleaning)
        jobs = in_place_jobs(found, args.stretch)
        return run_jobs(work, jobs, Run.of(args), noun="images", unlisted=found.unlisted)
    options = cleaning.options()
    jobs = [
        scope.job(image, group.place / _lossless_name(image), options)
        for group in found.groups
        for image in group.images
    ]
    work = partial(clean_copy, cleaning=cleaning)
    return run_jobs(work, jobs, Run.of(args), noun="images", scope=scope, unlisted=found.unlisted)


def in_place_jobs(found: Groups, stretch: bool) -> list[Job]:
    """A job for each image, but for those that a killed run left beside the original that they were made from."""
    jobs = [Job(image, _successor(image, stretch)) for group in found.groups for image in group.images]
    renamed = {job.target: job.source for job in jobs if job.target != job.source and job.target.exists()}
    leftovers = {target for target, source in renamed.items() if was_made_from(target, source)}
    return [job for job in jobs if job.source not in leftovers]


def _lossless_name(image: Path) -> str:
    return image.name if suffix(image) in LOSSLESS else f"{stem(image)}.tif"


def _successor(image: Path, stretch: bool) -> Path:
    """What an image becomes in place: itself where its format is lossless or its pixels stay as they are."""
    name = _lossless_name(image)
    return image if name == image.name or (not stretch and _looks_clean(image)) else image.with_name(name)


def _looks_clean(image: Path) -> bool:
    try:
        return is_clean(image)
    except (OSError, ValueError, SyntaxError):  # a damaged file is reported by its own job
        return True


def _refuse_labels(pixels: np.ndarray, cleaning: Cleaning) -> None:
    """Pass over a mask or a label map, unless these are wanted."""
    if not cleaning.keep_labels and (reason := why_labels(pixels)):
        raise PassedOver(reason)


def clean_copy(job: Job, scratch: Path, cleaning: Cleaning) -> str:
    """Write the uint8 copy of one image; one that is clean already is copied byte for byte."""
    source = job.source
    pixels = read_gray(source)
    _refuse_labels(pixels, cleaning)
    if source.name == job.target.name and is_clean(source) and not cleaning.stretch:
        shutil.copyfile(source, scratch)
        return "copied"
    write_gray(scratch, pixels, cleaning.contrast, source, stretch=cleaning.stretch)
    return f"converted from {pixels.dtype}"


def clean_in_place(job: Job, cleaning: Cleaning) -> str:
    """Replace one image by its uint8 version; an original of another name goes once its successor is complete."""
    source = job.source
    if _is_replaced(source):
        return SKIPPED
    pixels = read_gray(source)
    if is_clean(source) and (not cleaning.stretch or is_stretched(source)):
        return SKIPPED
    _refuse_labels(pixels, cleaning)
    with atomic_path(job.target) as scratch:
        write_gray(scratch, pixels, cleaning.contrast, source, stretch=cleaning.stretch)
    if job.target != source:
        source.unlink()
    return f"converted from {pixels.dtype}"


def _is_replaced(source: Path) -> bool:
    """Whether another run over the same folder put a successor in this image's place after this one listed it."""
    successor = source.with_name(_lossless_name(source))
    return not source.exists() and successor.exists() and was_made_from(successor, source)


if __name__ == "__main__":
    raise SystemExit(main())
