"""Work of a moment, for tests of the runner: apart from the tests, so that processes that do it start quickly."""

import os
import signal
import warnings
from pathlib import Path

from utils.jobs import Job, SomeFailed
from utils.records.recipes import Recipe


def copy_upper(job: Job, scratch: Path, log: Path | None = None) -> str:
    text = Path(job.source).read_text()
    if "bad" in text:
        raise ValueError(f"cannot use {text!r}")
    if "die" in text:
        os.kill(os.getpid(), signal.SIGKILL)
    if "odd" in text:
        warnings.warn("an odd input", stacklevel=1)
    if "parts" in text:
        raise SomeFailed({f"{job.source}#2": "the second part is broken"})
    if log:
        with log.open("a") as f:
            f.write(f"{job.target.name}\n")
    scratch.write_text(text.upper())
    return "copied"


def job_of(base: Path, name: str, **options: object) -> Job:
    return Job(base / name, base / "out" / name, Recipe("test", {name: (base / name,)}, options, base))


def endless(job: Job, scratch: Path, alive: Path) -> str:
    with alive.open("w") as pipe:
        print("started", file=pipe, flush=True)
        while True:
            signal.pause()


def kill_once(job: Job, scratch: Path, worker: int, said: Path) -> str:
    if os.getppid() == worker:
        os.kill(worker, signal.SIGKILL)
        signal.pause()
    return copy_upper(job, scratch)


def warn_of_itself(job: Job, scratch: Path) -> None:
    warnings.warn(f"about {job.source}", stacklevel=1)
    scratch.write_text("made")


def astray(job: Job, scratch: Path, elsewhere: Path) -> str:
    """Work on a disk of the worker's own, at the same path."""
    os.chdir(elsewhere)
    return copy_upper(job, scratch)
