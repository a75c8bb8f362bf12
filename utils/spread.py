"""The parts of one job, spread: over the cluster of the run, else over threads of this process."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeVar

from utils.parallel import ordered_map

if TYPE_CHECKING:
    from utils.cluster.client import Cluster

Item = TypeVar("Item")
Result = TypeVar("Result")

_CLUSTER: ContextVar["Cluster | None"] = ContextVar("cluster", default=None)


@contextmanager
def spreading_over(cluster: "Cluster | None") -> Iterator[None]:
    """Within, `spread_map` uses a cluster."""
    token = _CLUSTER.set(cluster)
    try:
        yield
    finally:
        _CLUSTER.reset(token)


def breadth(threads: int) -> int:
    """How many items of a `spread_map` are worked on at once: by the cluster's threads, or by these."""
    cluster = _CLUSTER.get()
    return threads if cluster is None else cluster.threads


def spread_map(
    work: Callable[[Item], Result], items: Sequence[Item], threads: int, *, largest: int = 1
) -> Iterator[Result]:
    """Yield ``work(item)`` for each item, in order.

    Parameters
    ----------
    work : callable
        That can be pickled, as can the items and what it returns.
    threads : int
        Where there is no cluster.
    largest : int
        Items of which the results travel together at most.

    Raises
    ------
    RuntimeError
        If a process of the cluster died at an item.
    """
    cluster = _CLUSTER.get()
    if cluster is None:
        yield from ordered_map(work, items, threads)
        return
    from utils.cluster.client import WorkerDied

    waiting: dict[int, Result] = {}
    following = 0
    for index, result in cluster.map(work, items, largest=largest):
        if isinstance(result, WorkerDied):
            raise RuntimeError("a process working on a part of it died (killed, or out of memory)")
        waiting[index] = result
        while following in waiting:
            yield waiting.pop(following)
            following += 1
