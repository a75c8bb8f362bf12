"""Runs: how jobs are done, and where: here, in processes of this machine, or on a cluster; their parts likewise."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import xxhash

from utils.cli import options_for
from utils.files import stem
from utils.parallel import ordered_map

if TYPE_CHECKING:
    from utils.cluster.client import Cluster

Item = TypeVar("Item")
Result = TypeVar("Result")
Do = Callable[[Item], Result]
Predicate = Callable[[Item], bool] | None

# What `spread_map` uses.
_CLUSTER: ContextVar["Cluster | None"] = ContextVar("cluster", default=None)


@dataclass(frozen=True)
class Run:
    """How jobs are run: the options that `utils.cli.add_run_options` put on the command line."""

    processes: int = 1
    update: bool = False
    prune: bool = False
    shard: tuple[int, int] | None = None
    dask: str | None = None
    dask_timeout: float = 60.0
    verbose: bool = False
    quiet: bool = False

    @classmethod
    def of(cls, args: argparse.Namespace) -> "Run":
        """The command line's say."""
        return cls(**options_for(args, cls))

    def owns(self, target: Path) -> bool:
        """Whether a target belongs to this run's shard: by a hash of its name, so that new inputs move no other."""
        if self.shard is None:
            return True
        index, count = self.shard
        # Without its suffix: what one stage makes of a volume falls to the share that has the volume in the next.
        key = stem(target).encode("utf-8", "surrogateescape")
        return xxhash.xxh3_64_intdigest(key) % count == index - 1


def results(
    do: Do[Item, Result],
    jobs: Sequence[Item],
    run: Run,
    died: Do[Item, Result],
    *,
    alone: Predicate[Item] = None,
    spread: Predicate[Item] = None,
) -> Iterator[Result]:
    """Yield what became of jobs as they end; what kills a process is one job's doing.

    `do` does one job, and travels to where it is done; `died` gives the result of one that killed the process at work
    on it. Which jobs are done `alone` or `spread`: see `utils.jobs.run_jobs`.
    """
    # Each way's modules are loaded where it is taken: most runs find nothing to do.
    if run.dask and jobs:
        from utils.cluster.client import cluster

        with cluster(run.dask, run.dask_timeout) as connected:
            yield from _on_cluster(do, jobs, connected, died, spread)
    elif run.processes == 1 or len(jobs) < 2:
        yield from map(do, jobs)
    else:
        yield from _in_processes(do, jobs, run.processes, died, alone)


def _on_cluster(
    do: Do[Item, Result], jobs: Sequence[Item], connected: "Cluster", died: Do[Item, Result], spread: Predicate[Item]
) -> Iterator[Result]:
    from utils.cluster.client import WorkerDied

    large, whole = _split(jobs, spread)
    for index, result in connected.map(do, whole):
        yield died(whole[index]) if isinstance(result, WorkerDied) else result
    for job in large:
        with spreading_over(connected):
            result = do(job)
        yield result


def _in_processes(
    do: Do[Item, Result], jobs: Sequence[Item], processes: int, died: Do[Item, Result], alone: Predicate[Item]
) -> Iterator[Result]:
    from concurrent.futures import as_completed

    from utils.executors import BrokenProcessPool, executor

    large, small = _split(jobs, alone)
    orphans = []
    if small:
        with executor(min(processes, len(small))) as pool:
            futures = {pool.submit(do, job): job for job in small}
            for future in as_completed(futures):
                try:
                    yield future.result()
                except BrokenProcessPool:
                    orphans.append(futures[future])
    for job in [*orphans, *large]:
        with executor(1) as pool:  # of a broken pool this tells the culprit from its neighbours
            try:
                result = pool.submit(do, job).result()
            except BrokenProcessPool:
                result = died(job)
        yield result


def _split(jobs: Sequence[Item], chosen: Predicate[Item]) -> tuple[list[Item], list[Item]]:
    """The jobs that are chosen, and the others."""
    first, second = list[Item](), list[Item]()
    for job in jobs:
        (first if chosen is not None and chosen(job) else second).append(job)
    return first, second


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
