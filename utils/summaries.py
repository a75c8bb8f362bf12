"""What is said of a run: the lines of each job, a bar on a terminal, one summary line and the exit code."""

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from utils.outcomes import Outcome
from utils.redaction import one_line, redacted, say


def lines_of(outcome: Outcome, verbose: bool) -> list[str]:
    """What is said of a job when it ends; addresses in it without their secrets."""
    source = outcome.job.source
    lines = [f"{source}: warning: {sentence}" for sentence in outcome.warnings]
    if outcome.status in {"outdated", "passed over"}:
        lines.append(f"{source}: {outcome.status}: {outcome.message}")
    elif outcome.status == "failed":
        lines += [f"{path}: {reason}" for path, reason in outcome.failures]
    elif verbose:
        lines.append(f"{source}: {outcome.message or outcome.status}")
    trace = [redacted(outcome.trace)] if verbose and outcome.trace else []
    return [one_line(redacted(line)) for line in lines] + trace


def say_failures(failures: Mapping[str, str]) -> int:
    """Name what could not be read, by its path, on a line of stderr each; returns the exit code."""
    for path, reason in failures.items():
        say(f"{path}: {reason}")
    return 1 if failures else 0


def summarize(outcomes: Sequence[Outcome], noun: str, orphaned: Sequence[Path], *, prune: bool, quiet: bool) -> int:
    """Print one summary line, what is to be known besides on stderr, and return the exit code."""
    count = Counter(outcome.status for outcome in outcomes)
    words = {"done": "done", "skipped": "done before", "outdated": "outdated", "passed over": "passed over"}
    optional = {"outdated", "passed over"}
    parts = [f"{count[s]} {name}" for s, name in words.items() if count[s] or s not in optional]
    if orphaned:
        names = ", ".join(str(path) for path in orphaned)
        what = "removed" if prune else "--prune removes them"
        say(f"results without their input ({len(orphaned)}; {what}): {names}")
        parts.append(f"{len(orphaned)} without their input{' removed' if prune else ''}")
    if count["outdated"] and not quiet:
        say("outdated results are kept; --update redoes them")
    if not quiet:
        print(f"{noun}: {', '.join(parts)}, {count['failed']} failed")
    return 1 if count["failed"] else 0


@contextmanager
def progress(total: int, noun: str, quiet: bool) -> Iterator[Callable[[list[str]], None]]:
    """Yield a step function that advances a bar (on a terminal only) and prints lines above it, to stderr."""
    if quiet or not sys.stderr.isatty():

        def plain(lines: list[str]) -> None:
            for line in lines:
                print(line, file=sys.stderr)

        yield plain
        return
    from tqdm import tqdm

    tqdm.set_lock(threading.RLock())  # its own lock would settle the start method of processes on the system's default
    with tqdm(total=total, unit=f" {noun}", file=sys.stderr, leave=False) as bar:

        def step(lines: list[str]) -> None:
            for line in lines:
                bar.write(line, file=sys.stderr)
            bar.update()

        yield step
