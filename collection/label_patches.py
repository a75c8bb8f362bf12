#!/usr/bin/env python3
"""Label patches as good, bad or none, in a page that is served to this machine's user alone.

Reads patch dictionaries (DEDUPE_DIR) or kept patches (FILTERED) and writes labels.csv, which train_patch_classifier.py
reads, with the labelled patches as pictures beside it (labels_patches/). Every label is on disk before the next one;
run the same command again to go on. The page tells its keys by "?". Ctrl-C ends it.

Example:
    python collection/label_patches.py deduped labels.csv --scores filtered
    python collection/label_patches.py deduped labels.csv --order random --who anna
"""

import argparse
import getpass
import secrets
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import utils.interrupts  # noqa: F401 - first: a signal during the other imports ends in one line

# isort: split

from utils.argument_types import existing_dir, fraction, natural_int, positive_int
from utils.cli import UsageError, make_parser, run_script

if TYPE_CHECKING:
    from utils.collection.label_server import LabelServer


def main(argv: Sequence[str] | None = None) -> int:
    """Serve the page until it is interrupted."""
    return run_script(label_command, parse_options(), argv)


def parse_options() -> argparse.ArgumentParser:
    """The command line."""
    parser = make_parser(__doc__)
    parser.add_argument("patches", metavar="DEDUPE_DIR|FILTERED", type=existing_dir, help="the patches to look at")
    parser.add_argument("labels", metavar="labels.csv", type=Path, help="the table to write, or to go on with")
    parser.add_argument("--scores", type=existing_dir, metavar="FILTERED", help="scores of the patches of DEDUPE_DIR")
    order = "uncertain: near the threshold, datasets in turn (default with scores); borderline: nearest first"
    parser.add_argument("--order", choices=("uncertain", "random", "borderline"), help=order)
    parser.add_argument("--dataset", action="append", default=[], metavar="NAME", help="only this one; may be repeated")
    parser.add_argument("--threshold", type=fraction, default=0.5, help="that --order goes by (default 0.5)")
    parser.add_argument("--limit", type=positive_int, default=10000, metavar="N", help="show at most N (default 10000)")
    parser.add_argument("--volumes", nargs="+", default=[], metavar="DIR", help="for the slices before and after")
    parser.add_argument("--who", default="", metavar="NAME", help="who labels (default: the user's name)")
    parser.add_argument("--seed", type=natural_int, default=0, help="of the random order (default 0)")
    parser.add_argument("--port", type=natural_int, default=0, metavar="N", help="of the page (default: a free one)")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.add_argument("--verbose", action="store_true", help="tracebacks for failures")
    return parser


def label_command(args: argparse.Namespace) -> int:
    """List, order, serve.

    Raises
    ------
    UsageError
        If there is nothing to label.
    """
    from utils.collection.label_queue import Neighbours, Stock, list_items, ordered
    from utils.collection.label_server import Board, LabelServer
    from utils.collection.labels import LABELS, LabelFile
    from utils.summaries import say_failures

    items, failures = list_items(args.patches, args.scores)
    failed = say_failures(failures)
    if absent := sorted({*args.dataset} - {item.dataset for item in items}):
        raise UsageError(f"{args.patches}: no patches of {', '.join(absent)} to label")
    if args.dataset:
        items = [item for item in items if item.dataset in args.dataset]
    if not items:
        raise UsageError(f"{args.patches}: no patches to label")
    order = args.order or ("random" if items[0].score is None else "uncertain")
    chosen = ordered(items, order, threshold=args.threshold, seed=args.seed)[: args.limit]
    who = args.who or user_name()
    table = LabelFile(args.labels, who)
    about = {"who": who, "order": order, "threshold": args.threshold, "of": len(items), "table": args.labels.name}
    with tempfile.TemporaryDirectory(prefix="label_patches-") as scratch:
        stock = Stock(chosen, Path(scratch))
        board = Board(chosen, stock, table, Neighbours(args.volumes) if args.volumes else None)
        with LabelServer(board, args.port, secrets.token_urlsafe(16), about) as server:
            print(f"{len(chosen)} of {len(items)} patches, {order} first: {server.address}", flush=True)
            serve(server, args.open)
    table.refresh()
    given = list(table.labels().values())
    print(f"\n{args.labels}: {', '.join(f'{given.count(label)} {label}' for label in LABELS)}")
    return failed


def user_name() -> str:
    """The user's name, as the system knows it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "somebody"


def serve(server: "LabelServer", show: bool) -> None:
    """Answer until Ctrl-C, which is how this ends."""
    if show:
        import webbrowser

        threading.Thread(target=webbrowser.open, args=(server.address,), daemon=True).start()
    try:
        server.serve_forever(poll_interval=0.1)
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    raise SystemExit(main())
