"""Jobs: run one piece of work per input in parallel, collect what failed, and decide the exit code."""

import argparse
import re
import sys
import threading
import traceback
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils.cli import UsageError
from utils.executors import executor
from utils.files import locked

# What work returns when it finds its target made before; counted apart from what this run did.
SKIPPED = "done before"


@dataclass(frozen=True)
class Job:
    """One input and the target made from it.

    `source` is whatever the work takes, its ``str()`` what messages call it: a path, mostly. What all jobs share is
    carried by a `functools.partial` of the work.
    """

    source: Any
    target: Path


class SomeFailed(Exception):
    """Raised by work that kept what it could: the parts of its input that failed, each with its reason."""

    def __init__(self, failures: dict[str, str]) -> None:
        super().__init__("; ".join(f"{path}: {reason}" for path, reason in failures.items()))
        self.failures = failures


@dataclass(frozen=True)
class Outcome:
    """What became of a job: ``done``, ``skipped`` or ``failed``; every field travels between processes."""

    job: Job
    status: str
    message: str = ""
    warnings: tuple[str, ...] = ()
    failures: tuple[tuple[str, str], ...] = ()
    trace: str = ""


Work = Callable[[Job], str | None]


def run_options(args: argparse.Namespace) -> dict:
    """The keyword arguments of `run_jobs` that `utils.cli.add_run_options` put on the command line."""
    return {"processes": args.processes, "verbose": args.verbose, "quiet": args.quiet, "dask": args.dask}


def run_jobs(
    work: Work,
    jobs: Sequence[Job],
    *,
    noun: str = "files",
    processes: int = 1,
    verbose: bool = False,
    quiet: bool = False,
    dask: str | None = None,
    redo: bool = False,
    alone: Callable[[Job], bool] | None = None,
) -> int:
    """Run `work` for each job whose target does not exist yet, and say how it went.

    Parameters
    ----------
    work : callable
        Takes a `Job`, makes its target (through `utils.files.atomic_path`), may return a line for ``--verbose``.
        A top-level function, or a `functools.partial` of one, because it travels to other processes.
    jobs : sequence of Job
    redo : bool
        Run the work even where the target exists; the work itself then returns `SKIPPED` for what it left alone.
    alone : callable, optional
        Tells the jobs whose work uses all processes by itself (as threads): they run one after another.

    Returns
    -------
    int
        0 when every job is done or was done before, 1 when some failed.

    Raises
    ------
    UsageError
        If two jobs share a target; before any work.
    """
    refuse_shared_targets(jobs)
    finished = [not redo and job.target.exists() for job in jobs]
    skipped, open_jobs = ([job for job, done in zip(jobs, finished, strict=True) if done is s] for s in (True, False))
    outcomes = [Outcome(job, "skipped") for job in skipped]
    with progress(len(open_jobs), noun, quiet) as step:
        for outcome in _outcomes(work, open_jobs, processes, dask, redo, alone):
            outcomes.append(outcome)
            step(_lines(outcome, verbose))
    return summarize(outcomes, noun, quiet)


def refuse_shared_targets(jobs: Sequence[Job]) -> None:
    """Raise `UsageError` when two inputs would write one target (also on file systems that ignore case)."""
    sources = defaultdict(list)
    for job in jobs:
        sources[str(job.target).casefold()].append(job)
    shared = [group for group in sources.values() if len(group) > 1]
    if shared:
        clashes = "\n".join(f"  {', '.join(str(j.source) for j in g)} -> {g[0].target}" for g in shared)
        raise UsageError(f"inputs that would share a target; rename or move all but one of each:\n{clashes}")


def summarize(outcomes: Sequence[Outcome], noun: str, quiet: bool = False) -> int:
    """Print one summary line (failures once more on stderr) and return the exit code."""
    count = Counter(outcome.status for outcome in outcomes)
    parts = [f"{count[s]} {name}" for s, name in (("done", "done"), ("skipped", "done before"), ("failed", "failed"))]
    if not quiet:
        print(f"{noun}: {', '.join(parts)}")
    failures = [failure for outcome in outcomes for failure in outcome.failures]
    if failures:
        print(f"failed ({len(failures)}); the same command tries again:", file=sys.stderr)
        for path, reason in failures:
            print(f"  {path}: {reason}", file=sys.stderr)
    return 1 if count["failed"] else 0


@contextmanager
def progress(total: int, noun: str, quiet: bool) -> Iterator[Callable[[list[str]], None]]:
    """Yield a step function that advances a bar (on a terminal only) and prints lines above it, to stderr."""
    from tqdm import tqdm

    tqdm.set_lock(threading.RLock())  # its own lock would settle the start method of processes on the system's default
    with tqdm(total=total, unit=f" {noun}", disable=True if quiet else None, file=sys.stderr, leave=False) as bar:

        def step(lines: list[str]) -> None:
            for line in lines:
                bar.write(line, file=sys.stderr)
            bar.update()

        yield step


def run_one(work: Work, job: Job, redo: bool = False) -> Outcome:
    """Do one job under its target's lock; whatever goes wrong becomes its outcome."""
    caught: list[warnings.WarningMessage]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        warnings.simplefilter("always", RuntimeWarning)
        try:
            with locked(job.target):
                if job.target.exists() and not redo:
                    return Outcome(job, "skipped")  # another run made it while this one waited for the lock
                message = work(job) or ""
            return Outcome(job, "skipped" if message == SKIPPED else "done", message, _sentences(caught))
        except SomeFailed as error:
            return Outcome(job, "failed", "", _sentences(caught), tuple(error.failures.items()))
        except Exception as error:  # noqa: BLE001 - one bad input must not stop the others; it is reported by name
            return _failed(job, describe(error), _sentences(caught), traceback.format_exc())


def _failed(job: Job, reason: str, said: tuple[str, ...] = (), trace: str = "") -> Outcome:
    return Outcome(job, "failed", reason, said, ((str(job.source), reason),), trace)


def describe(error: BaseException) -> str:
    """One line for an exception: its own message, or its kind when it has none."""
    message = " ".join(str(error).split())
    if re.fullmatch(r"\d+ requested and \d+ written", message):  # numpy's words for a full disk
        message = f"could not be written whole ({message} bytes); is the disk full?"
    if isinstance(error, OSError) and error.strerror:
        message = f"{error.strerror}" + (f" ({error.filename})" if error.filename else "")
    if not message or isinstance(error, KeyError | IndexError | AttributeError | TypeError | AssertionError):
        return f"{type(error).__name__}: {message}".rstrip(": ")
    return message


def _sentences(caught: Sequence[warnings.WarningMessage]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(" ".join(str(w.message).split()) for w in caught))


def _lines(outcome: Outcome, verbose: bool) -> list[str]:
    lines = [f"{outcome.job.source}: warning: {sentence}" for sentence in outcome.warnings]
    if outcome.status == "failed":
        lines += [f"{path}: {reason}" for path, reason in outcome.failures]
        lines += [outcome.trace] if verbose and outcome.trace else []
    elif verbose:
        lines.append(f"{outcome.job.source}: {outcome.message or outcome.status}")
    return lines


def _outcomes(
    work: Work,
    jobs: Sequence[Job],
    processes: int,
    dask: str | None,
    redo: bool,
    alone: Callable[[Job], bool] | None,
) -> Iterator[Outcome]:
    """Yield outcomes as they come; a worker that dies takes only its own job down."""
    if not dask and (processes == 1 or len(jobs) < 2):
        yield from (run_one(work, job, redo) for job in jobs)
        return
    single = [alone is not None and not dask and alone(job) for job in jobs]
    large, small = ([job for job, by_itself in zip(jobs, single, strict=True) if by_itself is s] for s in (True, False))
    orphans = []
    if small:
        with executor(min(processes, len(small)), dask) as pool:
            futures = {pool.submit(run_one, work, job, redo): job for job in small}
            for future in as_completed(futures):
                try:
                    yield future.result()
                except BrokenProcessPool:
                    orphans.append(futures[future])
    for job in [*orphans, *large]:
        yield _alone(work, job, redo)


def _alone(work: Work, job: Job, redo: bool) -> Outcome:
    """Do a job in a process of its own; of a broken pool this tells the culprit from its neighbours."""
    with executor(1) as pool:
        try:
            return pool.submit(run_one, work, job, redo).result()
        except BrokenProcessPool:
            return _failed(job, "the process working on it died (killed, or out of memory)")
