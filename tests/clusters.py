"""Plain `dask scheduler` and `dask worker` processes that know nothing of this suite, for tests and benchmarks."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def start(folder: Path, *command: str, until: str) -> tuple[subprocess.Popen[str], str]:
    """Start a Dask command in a folder, with hardly any environment; the process, and the line that says it is up."""
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
            return process, line
    raise AssertionError(f"{command} ended with {process.wait()}")


@contextmanager
def scheduler(folder: Path) -> Iterator[str]:
    """A scheduler; its address."""
    process, said = start(folder, "scheduler", "--host", "127.0.0.1", "--port", "0", until="Scheduler at: ")
    try:
        yield said.split()[-1]
    finally:
        stop(process)


@contextmanager
def worker(folder: Path, address: str, threads: int = 1) -> Iterator[subprocess.Popen[str]]:
    """A worker that has registered."""
    process, _ = start(folder, "worker", address, "--nthreads", str(threads), "--no-nanny", until="Registered to")
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
