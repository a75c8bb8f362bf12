"""Overlapping: what is read next is read on a thread, what was decided is written on others, both within bounds.

And parts of the patches are looked at side by side.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from utils.classification.cascade import Network, Outputs
from utils.parallel import ordered_map

Item = TypeVar("Item")
_END = object()


def prefetched(items: Iterable[Item]) -> Iterator[Item]:
    """The same items, each taken on a thread while the one before is worked on; errors come where they belong."""
    source = iter(items)
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as pool:
        coming = pool.submit(next, source, _END)
        while (item := coming.result()) is not _END:
            coming = pool.submit(next, source, _END)
            yield item  # type: ignore[misc]


class BackgroundCalls:
    """Calls that are made on threads, at most `bound` of them under way or waiting; see `background_calls`."""

    def __init__(self, pool: ThreadPoolExecutor, bound: int) -> None:
        self._pool, self._bound = pool, bound
        self._open: set[Future[Any]] = set()

    def __call__(self, call: Callable[..., object], *args: object) -> None:
        """Have a call made; what an earlier one raised is raised here."""
        while len(self._open) >= self._bound:
            self._collect(FIRST_COMPLETED)
        self._open.add(self._pool.submit(call, *args))

    def finish(self) -> None:
        """Wait for all calls; what one raised is raised here."""
        self._collect("ALL_COMPLETED")

    def _collect(self, when: str) -> None:
        done, self._open = wait(self._open, return_when=when)
        for future in done:
            future.result()


@contextmanager
def background_calls(threads: int, bound: int) -> Iterator[BackgroundCalls]:
    """Threads for calls; when it ends all of them have ended, and after an error those that wait are not begun."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="write-behind")
    try:
        calls = BackgroundCalls(pool, bound)
        yield calls
        calls.finish()
    finally:
        pool.shutdown(cancel_futures=True)


def in_parts(run: Network, threads: int, part: int) -> Network:
    """The same work, by several threads that each take up to so many patches at a time.

    Threads of a layer wait for one another in each of dozens of layers: where the machine does something else too they
    wait for most of the time.

    Parameters
    ----------
    run : callable
        Makes two arrays, indexed like the patches, of patches (ndarray, shape (h, w)).
    threads, part : int
    """
    if threads == 1:
        return run

    def run_parts(patches: Sequence[np.ndarray]) -> Outputs:
        step = max(1, min(part, -(-len(patches) // threads)))
        parts = [patches[start : start + step] for start in range(0, len(patches), step)] or [patches]
        first, second = zip(*ordered_map(run, parts, threads), strict=True)
        return np.concatenate(first), np.concatenate(second)

    return run_parts
