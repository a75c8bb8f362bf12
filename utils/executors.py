"""Where jobs run: a pool of spawned processes that ends with its parent, or a Dask cluster."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

from utils.cli import UsageError

# Windows cannot wait for more handles than this at once.
MOST_PROCESSES = 60
DASK_TIMEOUT = "30s"


@contextmanager
def executor(processes: int, dask: str | None = None) -> Iterator[Executor]:
    """A pool of spawned processes, or a Dask cluster; an interrupt stops its workers at once."""
    if dask:
        with _dask_client(dask) as client:
            yield client.get_executor()
        return
    method = multiprocessing.get_start_method(allow_none=True) or "spawn"
    context = multiprocessing.get_context(method)
    pool = ProcessPoolExecutor(min(processes, MOST_PROCESSES), context, initializer=_start_worker)
    try:
        yield pool
    except BaseException:
        for child in multiprocessing.active_children():
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _dask_client(address: str) -> Any:
    try:
        from distributed import Client
    except ImportError as error:
        raise UsageError("--dask needs the package 'distributed'; install requirements.txt") from error
    try:
        return Client(address, timeout=DASK_TIMEOUT)
    except (OSError, ValueError) as error:
        raise UsageError(f"no Dask scheduler answers at {address}: {error}") from error


def _start_worker() -> None:
    """A worker leaves Ctrl-C to its parent, and ends when the parent was killed and cannot end it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
