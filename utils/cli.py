"""The command line that all scripts share: parsers from docstrings, the options of a run, exit codes."""

import argparse
import contextlib
import os
import re
import sys
import traceback
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from utils import memory
from utils.argument_types import natural_int, positive_float, positive_int, shard
from utils.files import list_entries, suffix
from utils.interrupts import TerminatedError, terminable, tolerant_streams
from utils.redaction import say

Errors = type[Exception] | tuple[type[Exception], ...]


class UsageError(Exception):
    """Bad usage found before any work was done: exit code 2."""


@contextlib.contextmanager
def as_usage_errors(errors: Errors = (OSError, ValueError)) -> Iterator[None]:
    """Within, what cannot be read is bad usage: the command line named it.

    Raises
    ------
    UsageError
    """
    try:
        yield
    except errors as error:
        raise UsageError(_sentence(error)) from error


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


class UnavailableError(Exception):
    """What all jobs of a run need cannot be had, such as the network's weights: exit code 1, and no job is to blame."""


class Parser(argparse.ArgumentParser):
    """Takes long options with ``-`` or with ``_`` between their words, as shell scripts of older suites spell them."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Parse, the words of long options joined by ``-``."""
        words = sys.argv[1:] if args is None else args
        # As a path it would be the folder that one happens to be in.
        if any(re.fullmatch("(--[^=]+=)?", word) for word in words):
            self.error("an argument is empty: is a variable of the shell not set?")
        return super().parse_known_args(_dashed(words), namespace)


def _dashed(argv: Sequence[str]) -> list[str]:
    """Arguments with the names of long options spelled with dashes; what follows ``--`` and values stay.

    >>> _dashed(["--crop_size=a_b", "x_y", "--", "--no_option"])
    ['--crop-size=a_b', 'x_y', '--', '--no_option']
    """
    end = argv.index("--") if "--" in argv else len(argv)
    spelled = []
    for argument in argv[:end]:
        name, equals, value = argument.partition("=")
        spelled.append(name.replace("_", "-") + equals + value if name.startswith("--") else argument)
    return [*spelled, *argv[end:]]


def make_parser(doc: str | None) -> argparse.ArgumentParser:
    """A parser whose description is a module's docstring, the part from ``Example:`` on as the epilog."""
    description, example, epilog = (doc or "").partition("\nExample")
    return Parser(
        description=description.strip(),
        epilog=(example + epilog).strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_run_options(parser: argparse.ArgumentParser, *, seed: bool = False, dask: bool = True) -> None:
    """Add the options that every script has; with `seed` also ``--seed``."""
    group = parser.add_argument_group("running")
    processes = "work with N processes (default: the CPUs that this one may use)"
    group.add_argument("-p", "--processes", type=positive_int, default=usable_cpus(), metavar="N", help=processes)
    if seed:
        group.add_argument("--seed", type=natural_int, default=0, help="seed of every random choice (default 0)")
    group.add_argument("--update", action="store_true", help="redo results whose inputs or options have changed")
    group.add_argument("--prune", action="store_true", help="remove results whose input is gone")
    group.add_argument("--shard", type=shard, metavar="I/N|auto", help="do the I-th of N shares (auto: of a job array)")
    if dask:
        group.add_argument("--dask", metavar="ADDRESS", help="run the jobs on the Dask cluster at ADDRESS instead")
        dask_timeout = "give up when the scheduler is silent, or has no worker, for S seconds (default 60)"
        group.add_argument("--dask-timeout", type=positive_float, default=60.0, metavar="S", help=dask_timeout)
    max_gb = "refuse what takes more than X GB to decode (default: three quarters of the memory)"
    group.add_argument("--max-gb", type=positive_float, metavar="X", help=max_gb)
    group.add_argument("--verbose", action="store_true", help="a line for every job; tracebacks for failures")
    group.add_argument("--quiet", action="store_true", help="only warnings and failures")


def options_for(args: argparse.Namespace, kind: type) -> dict[str, Any]:
    """The command line's say about the fields of a dataclass that are called as options are."""
    return {name: getattr(args, name) for name in kind.__annotations__ if hasattr(args, name)}


def usable_cpus() -> int:
    """How many CPUs this process may use: by its affinity, its container's quota and its scheduler's allotment."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    allotted = os.environ.get("SLURM_CPUS_PER_TASK", "")
    return max(1, min(affinity, _quota(), int(allotted) if allotted.isdecimal() and int(allotted) else affinity))


def _quota(groups: Path = Path("/sys/fs/cgroup")) -> int:
    """CPUs that a container's quota amounts to, rounded up; many where there is none (Linux control groups, v2, v1)."""
    for files in (["cpu.max"], ["cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]):
        try:
            quota, length = (int(word) for file in files for word in (groups / file).read_text().split())
        except (OSError, ValueError):
            continue
        if quota > 0 and length > 0:
            return -(-quota // length)
    return 1 << 16


def say_passed_over(paths: Sequence[Path], expected: str, quiet: bool = False) -> None:
    """Name, once and on stderr, what lies among the inputs and is none."""
    if paths and not quiet:
        say(f"passed over, no {expected}: {', '.join(map(str, paths))}")


def list_inputs(folder: Path, suffixes: Collection[str], expected: str, quiet: bool = False) -> list[Path]:
    """The files of some suffixes in a folder (see `list_files`); pipes and devices are passed over by name."""
    entries = list_entries(folder)
    say_passed_over([path for path in entries.special if suffix(path) in suffixes], expected, quiet)
    return [path for path in entries.files if suffix(path) in suffixes]


def say_nested(paths: Sequence[Path], expected: str, layout: str, quiet: bool = False) -> None:
    """Say, on stderr, how many inputs lie deeper than they are looked for."""
    if paths and not quiet:
        what = f"passed over, nested deeper than {layout}: {len(paths)} {expected}, such as {paths[0]}"
        say(f"{what}; --recursive takes them")


def run_script(
    body: Callable[[argparse.Namespace], int], parser: argparse.ArgumentParser, argv: Sequence[str] | None = None
) -> int:
    """Parse `argv` and run `body`; what goes wrong becomes one sentence and an exit code.

    Returns
    -------
    int
        What `body` returns (0 all done, 1 some inputs failed); 2 for bad usage; 1 for a file that cannot be read or
        written outside of any job; 130 when interrupted, 143 when terminated.
    """
    with tolerant_streams():
        args = parser.parse_args(argv)
        memory.retain_freed()
        try:
            with terminable(), memory.limited_to(getattr(args, "max_gb", None)):
                return body(args)
        except UsageError as error:
            return _complain(parser, error, args, 2)
        except TerminatedError:
            say(f"{parser.prog}: terminated; the same command goes on from here")
            return 143
        except KeyboardInterrupt:
            say(f"{parser.prog}: interrupted; the same command goes on from here")
            return 130
        except (UnavailableError, OSError, ValueError) as error:
            return _complain(parser, error, args, 1)


def _complain(parser: argparse.ArgumentParser, error: Exception, args: argparse.Namespace, code: int) -> int:
    if getattr(args, "verbose", False):
        for line in traceback.format_exc().splitlines():
            say(line)
    say(f"{parser.prog}: error: {_sentence(error)}")
    return code
