"""Options that the patch stages share."""

import argparse
from dataclasses import asdict, dataclass
from typing import Any, Self

from utils.argument_types import natural_int, positive_int
from utils.cli import UsageError
from utils.contrast import CONTRASTS
from utils.hashing import HASHES
from utils.patches import EDGES, default_min_side
from utils.settings import DATASET, choose


def add_recursive(parser: argparse.ArgumentParser) -> None:
    """Add the option that looks for inputs at any depth."""
    parser.add_argument("--recursive", action="store_true", help="take what is nested deeper, too, named by its path")


def refuse_own_folder(args: argparse.Namespace) -> None:
    """Refuse copies (``-o``) in the folder of their originals, which are converted in place without it.

    Raises
    ------
    UsageError
    """
    if args.output is not None and args.output.resolve() == args.dir.resolve():
        raise UsageError(f"{args.output}: -o names DIR itself; leave it out to convert in place")


def add_dataset(parser: argparse.ArgumentParser) -> None:
    """Add the option that chooses among the volumes of an HDF5 file."""
    parser.add_argument("--dataset", metavar="NAME", help="volume to take from HDF5 files that hold several")


def use_dataset(args: argparse.Namespace) -> dict[str, str]:
    """Have HDF5 files opened by ``--dataset``, here and in workers; what a recipe says of it, nothing without."""
    choose(DATASET, args.dataset)
    return {"dataset": args.dataset} if args.dataset else {}


def add_patch_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how an image or a slice becomes patches."""
    crop_size = "side of a patch (default 224)"
    parser.add_argument("-cs", "--crop-size", type=positive_int, default=224, metavar="PX", help=crop_size)
    min_side = "cut no patch with a shorter side (default half the crop size; 0: any)"
    parser.add_argument("--min-side", type=natural_int, metavar="PX", help=min_side)
    parser.add_argument("--edges", choices=EDGES, default="shift", help="what the last tile of a side does")
    contrast = "intensity window (default percentile)"
    parser.add_argument("--contrast", choices=CONTRASTS, default="percentile", help=contrast)
    add_image_options(parser)


def add_image_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what counts as an image, and what becomes of its bytes."""
    parser.add_argument("--stretch", action="store_true", help="scale uint8, too, by its own intensity window")
    parser.add_argument("--keep-labels", action="store_true", help="take masks and label maps as if they were images")


@dataclass(frozen=True, kw_only=True)
class PatchOptions:
    """How an image or a slice becomes patches, by `add_patch_options`."""

    crop: int
    min_side: int
    edges: str
    contrast_method: str
    stretch: bool
    keep_labels: bool

    @classmethod
    def of(cls, args: argparse.Namespace, **further: Any) -> Self:
        """The command line's say, and `further` fields.

        Raises
        ------
        UsageError
            If no patch can have the shortest side that is asked for.
        """
        shortest = default_min_side(args.crop_size) if args.min_side is None else args.min_side
        if shortest > args.crop_size:
            raise UsageError(f"--min-side {shortest} is more than --crop-size {args.crop_size}: no patch is that large")
        own = {name: getattr(args, name) for name in ("edges", "stretch", "keep_labels")}
        return cls(crop=args.crop_size, min_side=shortest, contrast_method=args.contrast, **own, **further)

    def options(self) -> dict[str, Any]:
        """What decides a dictionary's content, as the command line calls it."""
        names = {"crop": "crop-size", "contrast_method": "contrast"}
        options = {names.get(name, name.replace("_", "-")): value for name, value in asdict(self).items()}
        return options | ({"min-side": None} if self.min_side == default_min_side(self.crop) else {})


def add_dedupe_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which patches are near-duplicates."""
    parser.add_argument("--hash", choices=HASHES, default="dhash", help="perceptual hash (default dhash)")
    hash_size = "N x N bits per hash (default 8)"
    parser.add_argument("-hs", "--hash-size", type=positive_int, default=8, metavar="N", help=hash_size)
    bits = "near-duplicates differ by at most BITS (12)"
    parser.add_argument("-d", "--distance", "--min-distance", type=natural_int, default=12, metavar="BITS", help=bits)


def dedupe_rule(args: argparse.Namespace) -> dict[str, Any]:
    """By what near-duplicates are told, and in which order they come.

    Raises
    ------
    UsageError
        If the library cannot make such a hash.
    """
    if args.hash == "whash" and args.hash_size & (args.hash_size - 1):
        raise UsageError(f"--hash whash needs a hash size that is a power of 2, not -hs {args.hash_size}")
    return {name: getattr(args, name) for name in ("hash", "hash_size", "distance", "seed")}
