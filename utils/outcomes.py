"""Jobs and what becomes of them: what a script asks for, what its work answers, and the outcome that is reported."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from utils.records.recipes import Recipe

# What work returns when it finds its target made before; counted apart from what this run did.
SKIPPED = "done before"


@dataclass(frozen=True)
class Job:
    """One input and the target made from it."""

    # Whatever the work takes, its ``str()`` what messages call it: a path, mostly. What all jobs share is carried by a
    # `functools.partial` of the work.
    source: Any
    target: Path
    # What the target is to be made from. Without one the work commits its results itself: it is called with the job
    # alone, whether or not the target exists, and returns `SKIPPED` where nothing was to do.
    recipe: Recipe | None = None


class SomeFailed(Exception):
    """Raised by work that kept what it could: the parts of its input that failed, each with its reason."""

    def __init__(self, failures: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{path}: {reason}" for path, reason in failures.items()))
        self.failures = dict(failures)


class PassedOver(Exception):
    """Raised by work whose input is sound but gives no result: it is named, nothing is made, and nothing failed."""


@dataclass(frozen=True)
class WorkResult:
    """What work returns that has more to say than a line."""

    message: str
    # The inputs that the target lacks, by their names in the recipe, with the reason; the next run tries them again.
    failures: Mapping[str, str] = field(default_factory=dict)
    account: Any = None  # what the run is to know of how it was made, wherever that was; see `run_jobs`
    # Options that only the work came to know; they are recorded with the recipe's.
    options: Mapping[str, Any] = field(default_factory=dict)


class Outdated(str):
    """What work without recipe returns that leaves its result as it is: the reason why a new one would differ."""

    __slots__ = ()


@dataclass(frozen=True)
class Outcome:
    """What became of a job; every field travels between processes.

    `status` is ``done``, ``skipped``, ``outdated``, ``passed over``, ``failed``, or ``busy``: another run holds it.
    """

    job: Job
    status: str
    message: str = ""
    warnings: tuple[str, ...] = ()
    failures: tuple[tuple[str, str], ...] = ()
    trace: str = ""
    account: Any = None


Work = Callable[..., "str | WorkResult | None"]


def failed(job: Job, reason: str, trace: str = "") -> Outcome:
    """The outcome of a job that failed as a whole."""
    return Outcome(job, "failed", reason, (), ((str(job.source), reason),), trace)


def describe(error: BaseException) -> str:
    """One line for an exception: its own message, or its kind when it has none."""
    message = " ".join(str(error).split())
    # Of a full disk numpy and torch say this.
    if counts := re.search(r"^\d+ requested and \d+ written$|(?<=unexpected pos )\d+ vs \d+$", message):
        message = f"could not be written whole ({counts[0]} bytes); is the disk full?"
    if isinstance(error, UnicodeEncodeError):  # names of files from before Unicode
        message = f"{error.object[:80]!r} is no UTF-8; rename what it is called after"
    if isinstance(error, OSError) and error.strerror:
        message = f"{error.strerror}" + (f" ({error.filename})" if error.filename else "")
    if not message or isinstance(error, KeyError | IndexError | AttributeError | TypeError | AssertionError):
        return f"{type(error).__name__}: {message}".rstrip(": ")
    return message


@contextmanager
def collecting(failures: dict[str, str], path: Path) -> Iterator[None]:
    """Within, why a file cannot be read is put into `failures`, and what follows the block goes on."""
    try:
        yield
    except (OSError, ValueError) as error:
        failures[str(path)] = reason_of(error, path)


def reason_of(error: OSError | ValueError, path: Path) -> str:
    """Why a file cannot be read, without the path, which stands before it.

    >>> reason_of(ValueError("a.csv: no table"), Path("a.csv"))
    'no table'
    """
    return describe(error).removeprefix(f"{path}: ").removesuffix(f" ({path})")
