"""Cut groups of 2D images into patches.

Every subfolder of DIR is a group; images directly in DIR are a group named after DIR. Each group becomes one patch
dictionary SAVE/{group}.pkl, whose names say which image and which pixels a patch is. Images need no clean-up before.
A group that has its dictionary is passed over; when its images have changed since, a line says so.

Example:
    python patchify2d.py clean2d patches -cs 224 -p 4
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from utils.cli import (
    UsageError,
    add_run_options,
    existing_dir,
    make_parser,
    output_dir,
    run_script,
    say_passed_over,
)
from utils.contrast import NO_CONTRAST, Contrast, measure_contrast, to_uint8
from utils.dictionaries import load_meta, save_patches
from utils.exemplars import exemplars
from utils.files import stem
from utils.group_record import fingerprints, must_redo
from utils.groups import Group, list_groups
from utils.hashing import is_flat, patch_hasher
from utils.images import read_gray
from utils.jobs import SKIPPED, Job, SomeFailed, describe, run_jobs, run_options
from utils.names import format_name_2d
from utils.options import add_dedupe_options, add_patch_options, refuse_hash_size
from utils.parallel import ordered_map
from utils.patches import patch_boxes


def main(argv: Sequence[str] | None = None) -> int:
    """Cut every group of a folder; see the module's docstring."""
    parser = make_parser(__doc__)
    parser.add_argument("dir", type=existing_dir, metavar="DIR", help="folder of groups of images")
    parser.add_argument("savedir", type=output_dir, metavar="SAVE", help="folder for the patch dictionaries")
    add_patch_options(parser)
    parser.add_argument("--update", action="store_true", help="redo groups whose images have changed")
    parser.add_argument("--dedupe", action="store_true", help="keep one of each set of near-duplicates in a group")
    add_dedupe_options(parser)
    add_run_options(parser, seed=True)
    return run_script(patchify, parser, argv)


@dataclass(frozen=True)
class Options:
    """What decides a dictionary's content; recorded in it."""

    crop: int
    edges: str
    contrast: str
    dedupe: dict | None


def patchify(args: argparse.Namespace) -> int:
    """List the groups, refuse images that would share names, cut what is not cut yet."""
    refuse_hash_size(args)
    groups, passed_over = list_groups(args.dir, without=args.savedir)
    say_passed_over(passed_over, "images", args.quiet)
    refuse_shared_names(groups)
    rule = {"hash": args.hash, "hash_size": args.hash_size, "distance": args.distance, "seed": args.seed}
    options = Options(args.crop_size, args.edges, args.contrast, rule if args.dedupe else None)
    jobs = [Job(group, args.savedir / f"{group.name}.pkl") for group in groups]
    work = partial(patchify_group, options=options, update=args.update, threads=max(1, args.processes // len(jobs)))
    return run_jobs(work, jobs, noun="groups", redo=True, **run_options(args))


def refuse_shared_names(groups: Sequence[Group]) -> None:
    """Patches carry their image's stem: ``a.tif`` beside ``a.png`` in one group would give two patches one name."""
    for group in groups:
        stems: dict[str, Path] = {}
        for image in group.images:
            if (other := stems.setdefault(stem(image).casefold(), image)) != image:
                raise UsageError(f"{other} and {image} would give their patches the same names; rename or move one")


def patchify_group(job: Job, options: Options, update: bool = False, threads: int = 1) -> str:
    """Write the dictionary of one `Group`, unless there is one that still stands."""
    folder, members = job.source.folder, job.source.images
    if job.target.exists():
        record = load_meta(job.target)
        if not must_redo(record, members, job.target, asdict(options), update=update):
            report_unreadable(folder, record, " (unchanged since it was tried)")
            return SKIPPED
    names: list[str] = []
    meta = {"source": job.target.stem, **asdict(options), "images": fingerprints(members), "unreadable": {}}
    kept = choose_exemplars(members, options, threads) if options.dedupe else None
    save_patches(job.target, names, cut_group(members, options, threads, kept, names, meta), meta=meta)
    report_unreadable(folder, meta)
    return f"{len(names)} patches of {len(members)} images"


def report_unreadable(folder: Path, record: dict, note: str = "") -> None:
    """Raise `SomeFailed` for the images, still there, that a dictionary lacks because they could not be read."""
    lacking = {folder / name: entry["reason"] + note for name, entry in record.get("unreadable", {}).items()}
    if there := {str(image): reason for image, reason in lacking.items() if image.exists()}:
        raise SomeFailed(there)


def cut_group(
    images: Sequence[Path], options: Options, threads: int, kept: set[str] | None, names: list[str], meta: dict
) -> Iterator[np.ndarray]:
    """Yield a group's patches; fill in their `names` and what `meta` says of each image.

    Parameters
    ----------
    kept : set of str, optional
        Names of the exemplars; without it every patch is kept.
    """
    for reading in ordered_map(partial(read_image, method=options.contrast), images, threads):
        entry = meta["images"][reading.image.name]
        if reading.pixels is None:
            meta["unreadable"][reading.image.name] = {**entry, "reason": reading.reason}
            continue
        entry["contrast"] = reading.contrast.as_dict()
        for name, patch in named_patches(reading, options):
            if kept is None or name in kept:
                names.append(name)
                yield patch
    if len(meta["unreadable"]) == len(images):
        raise SomeFailed({str(image): meta["unreadable"][image.name]["reason"] for image in images})
    for name in meta["unreadable"]:
        del meta["images"][name]


def choose_exemplars(images: Sequence[Path], options: Options, threads: int) -> set[str]:
    """Names of the patches that stand for their near-duplicates within a group."""
    rule = options.dedupe or {}
    hash_one = patch_hasher(options.crop, rule["hash_size"], rule["hash"])
    names, hashes, flat = [], [], []
    for reading in ordered_map(partial(read_image, method=options.contrast), images, threads):
        for name, patch in named_patches(reading, options):
            names.append(name)
            flat.append(is_flat(patch))
            hashes.append(hash_one(patch) * (not flat[-1]))
    if not hashes:
        return set()
    kept = exemplars(np.stack(hashes), rule["distance"], rule["seed"], last=np.array(flat))
    return {names[index] for index in kept}


@dataclass(frozen=True)
class Reading:
    """An image as gray uint8 with the contrast it was converted by, or the reason why it could not be read."""

    image: Path
    pixels: np.ndarray | None
    contrast: Contrast
    reason: str = ""


def read_image(image: Path, method: str) -> Reading:
    """Read and convert one image; a damaged one becomes a reason, so that it costs its group nothing else."""
    try:
        pixels = read_gray(image)
        contrast = measure_contrast(pixels, method, name=image.name)
        return Reading(image, to_uint8(pixels, contrast), contrast)
    except (OSError, ValueError, MemoryError) as error:
        return Reading(image, None, NO_CONTRAST, describe(error))


def named_patches(reading: Reading, options: Options) -> Iterator[tuple[str, np.ndarray]]:
    """The patches of an image, row by row, each with its name."""
    if reading.pixels is None:
        return
    shape = (reading.pixels.shape[0], reading.pixels.shape[1])
    for box in patch_boxes(shape, options.crop, options.edges):
        yield format_name_2d(stem(reading.image), box), reading.pixels[box.y0 : box.y1, box.x0 : box.x1]


if __name__ == "__main__":
    raise SystemExit(main())
