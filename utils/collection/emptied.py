"""A collection of which nothing is left: refused, or, with ``--prune``, what was made of it before goes."""

import argparse
import sys
from collections.abc import Callable

from utils.cli import UsageError
from utils.collection.ledger import Ledger
from utils.files import OWN_FOLDER, remove_if_empty


class NothingLeftError(UsageError):
    """There is no table, or no kept patch, to make anything of."""


def run_or_take_back(body: Callable[[argparse.Namespace], int], args: argparse.Namespace, noun: str) -> int:
    """Run `body`; with ``--prune`` an output folder that nothing is left for is emptied of what is ours.

    Raises
    ------
    UsageError
        If the output lies in what is read.
    NothingLeftError
        If there is nothing to take back either.
    """
    if args.output.resolve().is_relative_to(args.filtered.resolve()):
        raise UsageError(f"{args.output} lies in what is read; name another folder")
    try:
        return body(args)
    except NothingLeftError as error:
        ledger = Ledger(args.output)
        if not args.prune or not ledger.units():
            raise
        with ledger.held():
            count = ledger.drop_all_but([])
        for folder in (args.output / OWN_FOLDER, args.output):
            remove_if_empty(folder)
        print(f"{error}; what was made before is removed", file=sys.stderr)
        if not args.quiet:
            print(f"{noun}: 0 done, 0 done before, {count} without their input removed, 0 failed")
        return 0
