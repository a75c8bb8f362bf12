"""Options that the patch stages share."""

import argparse

from utils.cli import UsageError, natural_int, positive_int
from utils.contrast import CONTRASTS
from utils.hashing import HASHES
from utils.patches import EDGES


def add_recursive(parser: argparse.ArgumentParser) -> None:
    """Add the option that looks for inputs at any depth."""
    parser.add_argument("--recursive", action="store_true", help="take what is nested deeper, too, named by its path")


def add_patch_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how an image or a slice becomes patches."""
    parser.add_argument(
        "-cs", "--crop-size", type=positive_int, default=224, metavar="PX", help="side of a patch (default 224)"
    )
    parser.add_argument("--edges", choices=EDGES, default="shift", help="what the last tile of a side does")
    parser.add_argument(
        "--contrast", choices=CONTRASTS, default="percentile", help="intensity window (default percentile)"
    )


def add_dedupe_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which patches are near-duplicates."""
    parser.add_argument("--hash", choices=HASHES, default="dhash", help="perceptual hash (default dhash)")
    parser.add_argument(
        "-hs", "--hash-size", type=positive_int, default=8, metavar="N", help="N x N bits per hash (default 8)"
    )
    parser.add_argument(
        "-d",
        "--distance",
        "--min-distance",
        type=natural_int,
        default=12,
        metavar="BITS",
        help="near-duplicates differ by at most BITS (12)",
    )


def refuse_hash_size(args: argparse.Namespace) -> None:
    """Raise `UsageError` for a hash that the library cannot make."""
    if args.hash == "whash" and args.hash_size & (args.hash_size - 1):
        raise UsageError(f"--hash whash needs a hash size that is a power of 2, not -hs {args.hash_size}")
