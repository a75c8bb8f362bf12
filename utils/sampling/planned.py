"""Planning the rows of a table side by side: a server that does not answer holds up none of the others."""

import threading
import warnings
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass

from utils.ngff.address import Address
from utils.ngff.hosts import host
from utils.ngff.table import Dataset
from utils.sampling.plan import SamplingOptions, SamplingPlan, plan_sampling

# Rows planned at once.
THREADS = 16
# Seconds after which rows that are still waiting for a server go to the end of the queue.
GRACE = 10.0


@dataclass(frozen=True)
class PlannedRow:
    """A row and what became of its planning: a plan, a reason, or nothing yet; and what was said meanwhile."""

    row: Dataset
    plan: SamplingPlan | None = None
    reason: str = ""
    said: tuple[str, ...] = ()

    def __str__(self) -> str:
        return str(self.row)

    def result(self, options: SamplingOptions) -> SamplingPlan:
        """The plan, made now where it was not; what was said about it is said.

        Raises
        ------
        ValueError, OSError
            If the dataset cannot be read.
        """
        for sentence in self.said:
            warnings.warn(sentence, stacklevel=2)
        if self.reason:
            raise ValueError(self.reason)
        return self.plan or plan_sampling(self.row, options)


def plan_rows(rows: Sequence[Dataset], options: SamplingOptions, grace: float | None = GRACE) -> list[PlannedRow]:
    """Plan rows side by side, one server's second row after its first; those that are quick come first.

    Parameters
    ----------
    grace : float, optional
        Seconds after which the rows that have no answer yet are left to their turn; None waits for all.
    """
    said: defaultdict[int, list[str]] = defaultdict(list)  # any thread may warn meanwhile

    def note(message: Warning | str, *args: object, **kwargs: object) -> None:
        said[threading.get_ident()].append(" ".join(str(message).split()))

    def attempt(row: Dataset) -> PlannedRow:
        own = said[threading.get_ident()] = []
        try:
            return PlannedRow(row, plan_sampling(row, options), said=tuple(own))
        except (OSError, ValueError) as error:
            return PlannedRow(row, reason=str(error) or type(error).__name__, said=tuple(own))

    queues: defaultdict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        queues[_server(row)].append(index)
    planned: dict[int, PlannedRow] = {}
    pool = ThreadPoolExecutor(THREADS)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = note  # called in the thread that warns
        try:
            # One row tells whether a server answers at all; its others wait for that.
            pending = {pool.submit(attempt, rows[queue[0]]): queue for queue in queues.values()}
            while pending:
                done = wait(pending, timeout=grace, return_when=FIRST_COMPLETED).done
                if not done:
                    break
                for future in done:
                    first, *others = pending.pop(future)
                    planned[first] = future.result()
                    pending |= {pool.submit(attempt, rows[other]): [other] for other in others}
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    late = [PlannedRow(row) for index, row in enumerate(rows) if index not in planned]
    return [planned[index] for index in sorted(planned)] + late


def _server(row: Dataset) -> str:
    try:
        return host(Address.parse(row.url))
    except ValueError:
        return ""
