"""Within one job: its warnings, and threads, whose results come in order, a bounded number in flight."""

import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def gathered_warnings() -> Iterator[list[str]]:
    """Within, warnings are kept back; when it ends they are in the list, once each, as lines."""
    sentences: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        for kind in (UserWarning, RuntimeWarning):
            warnings.simplefilter("always", kind)
        yield sentences
    sentences += dict.fromkeys(" ".join(str(warning.message).split()) for warning in caught)


def one_blas_thread() -> AbstractContextManager[object]:
    """Within it matrix products take one thread: several would wait for each other, busily, over small ones."""
    limits: AbstractContextManager[object] = _libraries().limit(limits=1, user_api="blas")
    return limits


@cache
def _libraries() -> Any:
    """The libraries that have threads of their own, looked for once: that takes as long as a small volume."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def ordered_map(work: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """Yield ``work(item)`` for each item, in order, with at most ``threads + 1`` results held at a time.

    The work is numpy, decoders and file reads, which let other threads run; BLAS is kept to one thread each.
    """
    with one_blas_thread():
        if threads < 2:
            yield from map(work, items)
            return
        with ThreadPoolExecutor(threads) as pool:
            waiting: deque[Future[Result]] = deque()
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
