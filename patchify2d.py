#!/usr/bin/env python3
"""Cut groups of 2D images into patches.

Every subfolder of DIR is a group; images directly in DIR are a group named after DIR. Each group becomes one patch
dictionary SAVE/{group}.pkl, whose names say which image and which pixels a patch is. Images need no clean-up before.
A group that has its dictionary is passed over; when its images or the options have changed since, a line says so, and
--update redoes it.

Example:
    python patchify2d.py clean2d patches -cs 224 -p 4
"""

import utils.interrupts  # noqa: F401 - first: a signal during the other imports ends in one line

# isort: split
import argparse
import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from utils.argument_types import input_dir, output_dir
from utils.cli import add_run_options, make_parser, run_script
from utils.components import by_key
from utils.contrast import NO_CONTRAST, Contrast, measure_contrast, to_uint8
from utils.dictionaries import save_records
from utils.exemplars import exemplars
from utils.files import safe_name, stem
from utils.groups import groups_of
from utils.hashing import is_flat, patch_hasher
from utils.images import read_gray
from utils.jobs import Job, PassedOver, Run, SomeFailed, WorkResult, describe, run_jobs
from utils.label_maps import why_labels
from utils.names import format_name_2d
from utils.options import PatchOptions, add_dedupe_options, add_patch_options, add_recursive, dedupe_rule
from utils.parallel import ordered_map
from utils.patches import Box, patch_boxes, too_small
from utils.results import Scope


def main(argv: Sequence[str] | None = None) -> int:
    """Cut every group of a folder; see the module's docstring."""
    parser = make_parser(__doc__)
    parser.add_argument("dir", type=input_dir, metavar="DIR", help="folder of groups of images")
    parser.add_argument("savedir", type=output_dir, metavar="SAVE", help="folder for the patch dictionaries")
    add_patch_options(parser)
    parser.add_argument("--dedupe", action="store_true", help="keep one of each set of near-duplicates in a group")
    add_dedupe_options(parser)
    add_recursive(parser)
    add_run_options(parser, seed=True)
    return run_script(patchify, parser, argv)


@dataclass(frozen=True, kw_only=True)
class GroupCutting(PatchOptions):
    """How a group is cut."""

    dedupe: Mapping[str, Any] | None

    def options(self) -> dict[str, Any]:
        """What decides a dictionary's content, as the command line calls it."""
        rule = {name.replace("_", "-"): value for name, value in (self.dedupe or {}).items()}
        return {**super().options(), "dedupe": self.dedupe is not None, **rule}


def patchify(args: argparse.Namespace) -> int:
    """List the groups, cut what is not cut yet."""
    rule = dedupe_rule(args)
    cutting = GroupCutting.of(args, dedupe=rule if args.dedupe else None)
    scope = Scope("patchify2d", args.dir, args.savedir)
    found = groups_of(args, scope)
    options = cutting.options()
    jobs = [
        scope.job(group, f"{group.name}.pkl", options, {image.name: (image,) for image in group.images})
        for group in found.groups
    ]
    work = partial(patchify_group, cutting=cutting, threads=max(1, args.processes // max(1, len(jobs))))
    retry = partial(still_unreadable, cutting=cutting)
    return run_jobs(work, jobs, Run.of(args), noun="groups", scope=scope, still_fails=retry, unlisted=found.unlisted)


def patchify_group(job: Job, scratch: Path, cutting: GroupCutting, threads: int = 1) -> WorkResult:
    """Write the dictionary of one `Group`; images that cannot be read or would share names cost themselves only.

    Raises
    ------
    PassedOver
        If the group gives no patch, and every image says why that is as it should be.
    SomeFailed
        If images failed; the patches of the others are written.
    """
    safe_name(job.target.stem)  # patches and folders are called by it
    images, failures = without_shared_names(job.source.images)
    kept = choose_exemplars(images, cutting, threads) if cutting.dedupe else None
    meta = {"source": job.target.stem, **cutting.options(), "min-side": cutting.min_side}
    meta = save_records(scratch, cut_group(images, cutting, threads, kept, failures), meta=meta)
    passed_over = meta["passed_over"]
    count = len(job.source.images) - len(failures) - len(passed_over)
    if not count and failures:
        raise SomeFailed({str(job.source.folder / name): reason for name, reason in failures.items()})
    if not count:
        raise PassedOver("; ".join(f"{name}: {reason}" for name, reason in passed_over.items()))
    for name, reason in passed_over.items():
        warnings.warn(f"{name}: passed over: {reason}", stacklevel=2)
    return WorkResult(f"{count} images", failures)


def without_shared_names(images: Sequence[Path]) -> tuple[list[Path], dict[str, str]]:
    """Images whose patches have names of their own; ``a.tif`` beside ``a.png`` fails, both.

    Patches carry their image's stem, and some file systems ignore case.
    """
    failures = {
        image.name: f"would give its patches the names of those of {other}; rename or move one"
        for same in by_key(images, lambda image: stem(image).casefold()).values()
        if len(same) > 1
        for image, other in zip(same, [*same[1:], same[0]], strict=True)
    }
    return [image for image in images if image.name not in failures], failures


def still_unreadable(job: Job, failures: Mapping[str, str], cutting: GroupCutting) -> dict[str, str]:
    """Of the images that a dictionary lacks, those that fail again; removed ones are missed by nobody."""
    _, again = without_shared_names(job.source.images)
    for image in job.source.images:
        if image.name in failures and image.name not in again:
            again |= {image.name: reason} if (reason := read_image(image, cutting).reason) else {}
    return again


def cut_group(
    images: Sequence[Path], cutting: GroupCutting, threads: int, kept: set[str] | None, failures: dict[str, str]
) -> Generator[tuple[str, np.ndarray], None, dict[str, Any]]:
    """Yield a group's patches with their names; return what is known of each image.

    Parameters
    ----------
    kept : set of str, optional
        Names of the exemplars; without it every patch is kept.
    failures : dict
        Takes up the images that cannot be read, with the reasons.

    Returns
    -------
    dict
        The images' contrasts, which ones are missing, why others were passed over, and how many patches there were with
        near-duplicates.

    Yields
    ------
    name, patch : str and ndarray of uint8, shape (h, w)
    """
    contrasts, patches = {}, 0
    passed_over: dict[str, str] = {}
    for reading in ordered_map(partial(read_image, cutting=cutting), images, threads):
        if reading.pixels is None:
            reasons = failures if reading.reason else passed_over
            reasons[reading.image.name] = reading.reason or reading.passed_over
            continue
        contrasts[reading.image.name] = {"contrast": reading.contrast.as_dict()}
        for name, patch in named_patches(reading, cutting):
            patches += 1
            if kept is None or name in kept:
                yield name, patch
    return {"images": contrasts, "unreadable": list(failures), "passed_over": passed_over, "patches": patches}


def choose_exemplars(images: Sequence[Path], cutting: GroupCutting, threads: int) -> set[str]:
    """Names of the patches that stand for their near-duplicates within a group."""
    rule = cutting.dedupe or {}
    hash_one = patch_hasher(cutting.crop, rule["hash_size"], rule["hash"])
    names, hashes, flat = [], [], []
    for reading in ordered_map(partial(read_image, cutting=cutting), images, threads):
        for name, patch in named_patches(reading, cutting):
            names.append(name)
            flat.append(is_flat(patch))
            hashes.append(hash_one(patch) * (not flat[-1]))
    if not hashes:
        return set()
    kept = exemplars(np.stack(hashes), rule["distance"], rule["seed"], last=np.array(flat))
    return {names[index] for index in kept}


@dataclass(frozen=True)
class ReadImage:
    """An image as gray uint8 with the contrast it was converted by; or why it could not be read or is passed over."""

    image: Path
    pixels: np.ndarray | None
    contrast: Contrast
    reason: str = ""
    passed_over: str = ""


def read_image(image: Path, cutting: GroupCutting) -> ReadImage:
    """Read and convert one image; a damaged one becomes a reason, so that it costs its group nothing else."""
    try:
        pixels = read_gray(image)
        if why := too_small(pixels.shape, cutting.min_side):
            return ReadImage(image, None, NO_CONTRAST, passed_over=why)
        height, width = pixels.shape
        safe_name(format_name_2d(stem(image), Box(height, height, width, width)))  # as long as any patch's
        if not cutting.keep_labels and (why := why_labels(pixels)):
            return ReadImage(image, None, NO_CONTRAST, passed_over=why)
        contrast = measure_contrast(pixels, cutting.contrast_method, name=image.name, stretch=cutting.stretch)
        return ReadImage(image, to_uint8(pixels, contrast), contrast)
    except (OSError, ValueError, MemoryError) as error:
        return ReadImage(image, None, NO_CONTRAST, describe(error))


def named_patches(reading: ReadImage, cutting: GroupCutting) -> Iterator[tuple[str, np.ndarray]]:
    """The patches of an image, row by row, each with its name.

    Yields
    ------
    name, patch : str and ndarray of uint8, shape (h, w)
    """
    if reading.pixels is None:
        return
    shape = (reading.pixels.shape[0], reading.pixels.shape[1])
    for box in patch_boxes(shape, cutting.crop, cutting.edges, cutting.min_side):
        yield format_name_2d(stem(reading.image), box), reading.pixels[box.y0 : box.y1, box.x0 : box.x1]


if __name__ == "__main__":
    raise SystemExit(main())
