"""A pool of spawned processes that ends with its parent."""

import multiprocessing
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from typing import Any

from utils import memory
from utils.interrupts import deferred, is_deferred
from utils.settings import PLACE

__all__ = ["BrokenProcessPool", "executor"]

# Windows cannot wait for more handles than this at once.
MOST_PROCESSES = 60
# What a worker may take to tidy up after SIGTERM before it is killed.
GRACE_SECONDS = 10.0


@contextmanager
def executor(processes: int) -> Iterator[Executor]:
    """A pool of spawned processes; an interrupt stops its workers at once."""
    context = multiprocessing.get_context(_start_method())
    pool = _Pool(min(processes, MOST_PROCESSES), context, initializer=_start_worker)
    try:
        yield pool
    except BaseException:
        _end_workers(multiprocessing.active_children())
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@cache
def _start_method() -> str:
    """The one that was set, else spawn; asked once: the first pool makes Python settle on its own default, fork."""
    return multiprocessing.get_start_method(allow_none=True) or "spawn"


class _Pool(ProcessPoolExecutor):
    """Starts its workers, each with a job, where no signal cuts their start off: they would say so, at length."""

    def submit(self, do: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        with deferred(), _sigint_blocked():
            return super().submit(_run_job, do, *args, **options)


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Within, processes are started that hear of no Ctrl-C, which the terminal sends to all, before they ask for it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_workers(workers: list[Any]) -> None:
    """Let workers tidy up and go; kill those that a library keeps busy."""
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.join(GRACE_SECONDS)
        if worker.is_alive():
            worker.kill()


def _start_worker() -> None:
    """A worker leaves Ctrl-C and SIGHUP to its parent, tidies up on SIGTERM, and ends when its parent was killed."""
    memory.retain_freed()
    number = re.search(r"\d+$", multiprocessing.current_process().name)  # those of a pool follow each other
    os.environ[PLACE] = str(int(number[0]) - 1 if number else 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGTERM, _exit_on_sigterm)
    sys.unraisablehook = _exit_on_lost_sigterm
    threading.Thread(target=_end_with_parent, daemon=True).start()


_in_job = False


def _run_job(do: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Do a job; then there is something to tidy up."""
    global _in_job
    _in_job = True
    try:
        return do(*args, **options)
    except SystemExit:  # a pool would send it home as the job's answer, and wait for the next
        os._exit(143)
    finally:
        _in_job = False


def _exit_on_sigterm(number: int, _frame: Any) -> None:
    if is_deferred(number):
        return
    if not _in_job:  # importing what a job needs, mostly: an exception there is told at length
        os._exit(143)
    raise SystemExit(143)


def _exit_on_lost_sigterm(lost: Any) -> None:
    """The exception of `_exit_on_sigterm`, raised where Python drops it."""
    if isinstance(lost.exc_value, SystemExit):
        os._exit(143)
    sys.__unraisablehook__(lost)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
