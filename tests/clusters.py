"""Plain `dask scheduler` and `dask worker` processes that know nothing of this suite, for tests and benchmarks."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def start(folder: Path, *command: str, until: str) -> subprocess.Popen[str]:
    """Start a Dask command in a folder, with hardly any environment, and wait until it says that it is up."""
    folder.mkdir(parents=True, exist_ok=True)
    dask = Path(sys.executable).with_name("dask")
    process = subprocess.Popen(
        [sys.executable, str(dask), *command, "--no-dashboard"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if until in line:
            return process
    raise AssertionError(f"{command} ended with {process.wait()}")


@contextmanager
def scheduler(folder: Path) -> Iterator[str]:
    """A scheduler; its address."""
    (folder / "s.json").unlink(missing_ok=True)
    process = start(
        folder, "scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", "s.json", until="Scheduler at"
    )
    try:
        while not ((folder / "s.json").exists() and (folder / "s.json").read_text().rstrip().endswith("}")):
            os.sched_yield()  # it is written in place
        yield json.loads((folder / "s.json").read_text())["address"]
    finally:
        stop(process)


@contextmanager
def worker(folder: Path, address: str, threads: int = 1) -> Iterator[subprocess.Popen[str]]:
    """A worker that has registered."""
    process = start(folder, "worker", address, "--nthreads", str(threads), "--no-nanny", until="Registered to")
    try:
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[str]) -> None:
    """Kill one of them."""
    process.kill()
    process.wait()
    if process.stderr:
        process.stderr.close()


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process so far, with those of its children that are there (Linux)."""
    tasks = Path(f"/proc/{pid}/task")
    children = [child for task in tasks.iterdir() for child in (task / "children").read_text().split()]
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return own + sum(cpu_seconds(int(child)) for child in children)
