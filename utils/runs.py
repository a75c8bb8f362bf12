"""Where the jobs of a run are done: here, in processes of this machine, or on a cluster."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from utils.cluster.client import Cluster

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Place:
    """Where jobs are done.

    Attributes
    ----------
    processes : int
        Of this machine.
    dask : str, optional
        Address of a scheduler, used in their stead.
    timeout : float
        Seconds that it may be without workers.
    """

    processes: int = 1
    dask: str | None = None
    timeout: float = 60.0


def results(
    do: Callable[[Job], Result],
    jobs: Sequence[Job],
    place: Place,
    died: Callable[[Job], Result],
    *,
    alone: Callable[[Job], bool] | None = None,
    spread: Callable[[Job], bool] | None = None,
) -> Iterator[Result]:
    """Yield what became of jobs as they end; what kills a process is one job's doing.

    Parameters
    ----------
    do : callable
        Does one job; it travels.
    died : callable
        Gives the result of a job that killed the process at work on it.
    alone : callable, optional
        Tells the jobs that use all processes by themselves, as threads.
    spread : callable, optional
        Tells the jobs that use a whole cluster by themselves, by `utils.spread`.
    """
    # Each way's modules are loaded where it is taken: most runs find nothing to do.
    if place.dask and jobs:
        from utils.cluster.client import cluster

        with cluster(place.dask, place.timeout) as connected:
            yield from _on_cluster(do, jobs, connected, died, spread)
    elif place.processes == 1 or len(jobs) < 2:
        yield from map(do, jobs)
    else:
        yield from _in_processes(do, jobs, place.processes, died, alone)


def _on_cluster(
    do: Callable[[Job], Result],
    jobs: Sequence[Job],
    connected: "Cluster",
    died: Callable[[Job], Result],
    spread: Callable[[Job], bool] | None,
) -> Iterator[Result]:
    from utils.cluster.client import WorkerDied
    from utils.spread import spreading_over

    large, whole = _split(jobs, spread)
    for index, result in connected.map(do, whole):
        yield died(whole[index]) if isinstance(result, WorkerDied) else result
    for job in large:
        with spreading_over(connected):
            result = do(job)
        yield result


def _in_processes(
    do: Callable[[Job], Result],
    jobs: Sequence[Job],
    processes: int,
    died: Callable[[Job], Result],
    alone: Callable[[Job], bool] | None,
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
        yield _in_a_process_of_its_own(do, job, died)


def _in_a_process_of_its_own(do: Callable[[Job], Result], job: Job, died: Callable[[Job], Result]) -> Result:
    """Do a job apart from all others; of a broken pool this tells the culprit from its neighbours."""
    from utils.executors import BrokenProcessPool, executor

    with executor(1) as pool:
        try:
            return pool.submit(do, job).result()
        except BrokenProcessPool:
            return died(job)


def _split(jobs: Sequence[Job], chosen: Callable[[Job], bool] | None) -> tuple[list[Job], list[Job]]:
    """The jobs that are chosen, and the others."""
    first, second = list[Job](), list[Job]()
    for job in jobs:
        (first if chosen is not None and chosen(job) else second).append(job)
    return first, second
