"""The command line that all scripts share: parsers from docstrings, argument types, exit codes."""

import argparse
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path


class UsageError(Exception):
    """Bad usage found before any work was done: exit code 2."""


def make_parser(doc: str | None) -> argparse.ArgumentParser:
    """A parser whose description is a module's docstring, the part from ``Example:`` on as the epilog."""
    description, example, epilog = (doc or "").partition("\nExample")
    return argparse.ArgumentParser(
        description=description.strip(),
        epilog=(example + epilog).strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_run_options(parser: argparse.ArgumentParser, *, seed: bool = False) -> None:
    """Add the options that every script has; with `seed` also ``--seed``."""
    group = parser.add_argument_group("running")
    group.add_argument("-p", "--processes", type=positive_int, default=1, metavar="N", help="work with N processes")
    if seed:
        group.add_argument("--seed", type=int, default=0, help="seed of every random choice (default 0)")
    group.add_argument("--dask", metavar="ADDRESS", help="run the jobs on the Dask cluster at ADDRESS instead")
    group.add_argument("--verbose", action="store_true", help="a line for every job; tracebacks for failures")
    group.add_argument("--quiet", action="store_true", help="only warnings and failures")


def existing_dir(text: str) -> Path:
    """Argument type: a folder that exists."""
    path = Path(text).expanduser()
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: no such folder" + (" (it is a file)" if path.is_file() else ""))
    return path


def existing_file(text: str) -> Path:
    """Argument type: a file that exists."""
    path = Path(text).expanduser()
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"{text}: no such file" + (" (it is a folder)" if path.is_dir() else ""))
    return path


def output_dir(text: str) -> Path:
    """Argument type: a folder that exists or may be made."""
    path = Path(text).expanduser()
    if path.exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: is a file, expected a folder to write to")
    return path


def positive_int(text: str) -> int:
    """Argument type: a whole number of at least 1."""
    return _number(text, int, lambda value: value >= 1, "a whole number of at least 1")


def natural_int(text: str) -> int:
    """Argument type: a whole number of at least 0."""
    return _number(text, int, lambda value: value >= 0, "a whole number of at least 0")


def positive_float(text: str) -> float:
    """Argument type: a number above 0."""
    return _number(text, float, lambda value: 0 < value < float("inf"), "a number above 0")


def fraction(text: str) -> float:
    """Argument type: a number from 0 to 1."""
    return _number(text, float, lambda value: 0 <= value <= 1, "a number from 0 to 1")


def _number(text: str, kind: type, accept: Callable[[float], bool], expected: str):
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not accept(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not {expected}")
    return value


def say_passed_over(paths: Sequence[Path], expected: str, quiet: bool = False) -> None:
    """Name, once and on stderr, what lies among the inputs and is none."""
    if paths and not quiet:
        print(f"passed over, no {expected}: {', '.join(str(path) for path in paths)}", file=sys.stderr)


def run_script(
    body: Callable[[argparse.Namespace], int], parser: argparse.ArgumentParser, argv: Sequence[str] | None = None
) -> int:
    """Parse `argv` and run `body`; what goes wrong becomes one sentence and an exit code.

    Returns
    -------
    int
        What `body` returns (0 all done, 1 some inputs failed); 2 for bad usage; 1 for a file that cannot be read or
        written outside of any job; 130 when interrupted.
    """
    args = parser.parse_args(argv)
    try:
        return body(args)
    except UsageError as error:
        return _complain(parser, error, args, 2)
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    except (OSError, ValueError) as error:
        return _complain(parser, error, args, 1)


def _complain(parser: argparse.ArgumentParser, error: Exception, args: argparse.Namespace, code: int) -> int:
    if getattr(args, "verbose", False):
        traceback.print_exc()
    print(f"{parser.prog}: error: {error}", file=sys.stderr)
    return code
