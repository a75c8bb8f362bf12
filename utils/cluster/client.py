"""A run's side of a Dask cluster: items go out in batches, answers come back as they are ready."""

import io
import os
import pickle
import queue
import sys
import time
import uuid
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import astuple
from pathlib import Path, PurePath
from typing import Any

from utils.cli import UnavailableError
from utils.cluster.bootstrap import ask_keeper, end_run
from utils.cluster.child import RAISED, REFUSED
from utils.cluster.connection import CHECKOUT, connect, reaches, versions
from utils.cluster.keeper import GRACE_SECONDS, Order
from utils.settings import settings

# What a batch should take, so that what is said about it costs little beside; and how often to look after the cluster.
BATCH_SECONDS = 0.25
MOST_IN_BATCH = 512
LOOK_SECONDS = 1.0
# Batches that each thread of the cluster has, so that none waits for this process.
AHEAD = 2
KEEPER = str(CHECKOUT / "utils" / "cluster" / "keeper.py")


Numbered = tuple[int, bytes]  # an item's place among all, and the item, pickled


class WorkerDied:
    """What comes back for an item whose work killed the process that did it."""


@contextmanager
def cluster(address: str, timeout: float) -> Iterator["Cluster"]:
    """Connect to a scheduler; whatever ends the block, no work of ours goes on afterwards.

    Raises
    ------
    UsageError
        If no scheduler answers, or it speaks another version.
    UnavailableError
        If no worker comes within `timeout` seconds.
    """
    connected = Cluster(connect(address, timeout), address, timeout)
    try:
        connected.wait_for_workers()
        yield connected
    finally:
        connected.close()


class Cluster:
    """A connected cluster; made by `cluster`."""

    threads = 1  # of all workers, as of the last look

    def __init__(self, client: Any, address: str, timeout: float) -> None:
        self._client, self._address, self._timeout = client, address, timeout
        self._run = uuid.uuid4().hex
        self._workers_seen = time.monotonic()

    def wait_for_workers(self) -> None:
        """Wait until there is a worker, no longer than the timeout."""
        while not self._look_after():
            time.sleep(0.05)
        self._client.direct_to_workers = all(reaches(worker) for worker in [*self._client.nthreads()][:1])

    def map(
        self, work: Callable[[Any], Any], items: Sequence[Any], *, largest: int = MOST_IN_BATCH
    ) -> Iterator[tuple[int, Any]]:
        """Yield the index of each item and what ``work(item)`` returned, as they come.

        Parameters
        ----------
        work : callable
            That can be pickled, as can what it returns.
        largest : int
            Items that come back together at most: what they return is held at once.

        Yields
        ------
        index : int
        result
            `WorkerDied` for an item that killed the process at work on it.

        Raises
        ------
        UnavailableError
            If the scheduler or all workers are gone, or none can do the work.
        Exception
            What the work raised.
        """
        order, packed = self._order(work, items)
        open_items = deque(enumerate(packed))
        batches: dict[Any, list[Numbered]] = {}
        ready: queue.SimpleQueue[Any] = queue.SimpleQueue()
        size = _BatchSize(largest)
        try:
            while open_items or batches:
                for future in self._send(order, open_items, batches, size):
                    future.add_done_callback(ready.put)
                with suppress(queue.Empty):
                    future = ready.get(timeout=LOOK_SECONDS)
                    batch = batches.pop(future)
                    for (index, _), result in zip(batch, self._results(future, batch, size, open_items), strict=False):
                        yield index, result
                    continue
                self._look_after()
        finally:
            if batches:
                self._client.cancel(list(batches), force=True)

    def _send(
        self, order: Order, open_items: deque[Numbered], batches: dict[Any, list[Numbered]], size: "_BatchSize"
    ) -> Iterator[Any]:
        """Keep all threads of the cluster busy; yields what was begun."""
        while open_items and len(batches) < AHEAD * self.threads:
            batch = [open_items.popleft() for _ in range(size.next(len(open_items), self.threads))]
            items = [item for _, item in batch]
            future = self._client.submit(ask_keeper, KEEPER, astuple(order), items, key=f"em-{uuid.uuid4().hex}")
            batches[future] = batch
            yield future

    def _order(self, work: Callable[[Any], Any], items: Sequence[Any]) -> tuple[Order, list[bytes]]:
        (packed_work, *packed), relative = zip(*map(_pack, [work, *items]), strict=True)
        script = sys.modules["__main__"].__dict__.get("__file__")
        ours = script is not None and any(b"__main__" in content for content in [packed_work, *packed[:1]])
        hello = {
            "versions": versions(),
            "folder": str(Path.cwd()),
            "relative": any(relative),
            "script": str(Path(script).resolve()) if ours and script else None,
            "settings": settings(),
        }
        return Order(self._run, uuid.uuid4().hex, _paths(), hello, packed_work), packed

    def _results(self, future: Any, batch: list[Numbered], size: "_BatchSize", again: deque[Numbered]) -> list[Any]:
        """What a batch came to; items that are to be tried again are put back."""
        from distributed import KilledWorker

        error = future.exception(timeout=self._timeout) if future.status == "error" else None
        if isinstance(error, KilledWorker):
            if len(batch) == 1:
                return [WorkerDied()]
            again.extend(batch)
            return []
        if isinstance(error, FileNotFoundError):
            raise UnavailableError(
                f"a Dask worker does not see {CHECKOUT}: this suite has to lie on a file system that all workers share"
            )
        if error is not None:
            raise UnavailableError(f"a Dask worker cannot work for this suite: {error}")
        try:
            answers, seconds = future.result(timeout=self._timeout)
        except (OSError, TimeoutError, CancelledError) as lost:
            raise self._gone() from lost
        size.learn(len(batch), seconds)
        return [WorkerDied() if answer is None else self._unpacked(answer) for answer in answers]

    def _gone(self) -> UnavailableError:
        return UnavailableError(
            f"the Dask scheduler at {self._address} is gone or silent; what is done is kept, and the same command "
            "goes on from there"
        )

    def _unpacked(self, answer: bytes) -> Any:
        kind, content, said = pickle.loads(answer)
        for sentence in said:
            warnings.warn(sentence, stacklevel=3)
        if kind == REFUSED:
            raise UnavailableError(f"a Dask worker {content}")
        if kind == RAISED:
            raise content
        return content

    def _look_after(self) -> bool:
        """Whether there are workers; an error when there has been none for too long."""
        if self._client.status != "running":
            raise self._gone()
        try:
            threads: int = sum(self._client.nthreads(callback_timeout=self._timeout).values())
        except (OSError, TimeoutError) as error:
            raise self._gone() from error
        if threads:
            self.threads, self._workers_seen = threads, time.monotonic()
        elif time.monotonic() - self._workers_seen > self._timeout:
            raise UnavailableError(
                f"the Dask scheduler at {self._address} had no worker for {self._timeout:g} s (--dask-timeout)"
            )
        return threads > 0

    def close(self) -> None:
        """End the run's child processes wherever they are, and disconnect."""
        until = time.monotonic() + GRACE_SECONDS
        with suppress(Exception):
            while self._is_at_work() and time.monotonic() < until:
                time.sleep(0.05)
        with suppress(Exception):
            self._client.close(timeout=2)

    def _is_at_work(self) -> bool:
        """Tell the run's children to go; whether some are still at work."""
        if self._client.status != "running":
            return False
        told = self._client.run(end_run, KEEPER, self._run, on_error="ignore", callback_timeout=GRACE_SECONDS)
        return any(told.values())


class _BatchSize:
    """How many items go together: as many as take `BATCH_SECONDS`, by the last ones."""

    def __init__(self, largest: int) -> None:
        self._largest, self._count = largest, 1

    def next(self, left: int, threads: int) -> int:
        """At most an even share of what is left, so that all end together."""
        return max(1, min(self._count, left // (AHEAD * max(1, threads)), self._largest))

    def learn(self, count: int, seconds: float) -> None:
        fitting = int(count * BATCH_SECONDS / max(seconds, 1e-6))
        self._count = max(1, min(fitting, 4 * max(count, self._count), self._largest))


class _Packer(pickle.Pickler):
    """Pickles, and notices relative paths."""

    relative = False

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, PurePath) and not value.is_absolute():
            self.relative = True
        return NotImplemented


def _pack(value: Any) -> tuple[bytes, bool]:
    buffer = io.BytesIO()
    packer = _Packer(buffer, protocol=5)
    packer.dump(value)
    return buffer.getvalue(), packer.relative


def _paths() -> tuple[str, ...]:
    """Where modules are looked for: the checkout, and what of it this process looks through besides."""
    own = [str(Path(entry).resolve()) for entry in sys.path if entry and Path(entry).resolve().is_relative_to(CHECKOUT)]
    packages = [entry for entry in own if f"{os.sep}site-packages" not in entry and f"{os.sep}lib{os.sep}" not in entry]
    return tuple(dict.fromkeys([str(CHECKOUT), *packages]))
