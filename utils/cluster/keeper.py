"""What a Dask worker runs for us: it keeps child processes and hands them work. The standard library alone.

The work itself is done in a child of the worker, never in its threads: whatever kills the child costs one item, a
worker of many threads uses as many cores, warnings and settings belong to one item, and each run has the code that
lies there when it begins. The worker loads this file by its path and needs no other of the suite.
"""

import contextlib
import os
import pickle
import queue
import struct
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

# Before a child that is told to go is killed, and before one without work goes.
GRACE_SECONDS = 10.0
IDLE_SECONDS = 60.0
# How often one who waits for a child looks whether anybody still wants its answer.
LOOK_SECONDS = 0.5
_LENGTH = struct.Struct(">Q")
_START = "import sys; sys.path[:1] = {paths!r}; from utils.cluster.child import main; main()"


@dataclass(frozen=True)
class Order:
    """What a child is to do with items, the same for all of a `Cluster.map`."""

    run: str  # whose child; it ends with the run
    key: str  # tells this order from others of the run
    paths: tuple[str, ...]  # where the code lies
    hello: dict[str, Any]  # versions that must agree, the folder that relative paths lead from, the script, settings
    work: bytes  # the pickled callable


def write_frame(stream: BinaryIO, content: bytes) -> None:
    """Write bytes with their length before them."""
    stream.write(_LENGTH.pack(len(content)))
    stream.write(content)
    stream.flush()


def read_frame(stream: BinaryIO) -> bytes | None:
    """The next frame, None where the stream ends."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    content = stream.read(length := _LENGTH.unpack(head)[0])
    return content if len(content) == length else None


class Child:
    """One child process; used by one thread at a time."""

    def __init__(self, paths: tuple[str, ...], place: int = 0) -> None:
        self.place = place
        command = [sys.executable, "-c", _START.format(paths=list(paths))]
        own_group = {"process_group": 0} if os.name == "posix" else {}
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        environment = {**os.environ, "EM_PLACE": str(place)}  # utils.settings.PLACE
        self._process = subprocess.Popen(command, env=environment, **streams, **own_group)  # type: ignore[call-overload]
        self._answers: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._key = ""  # of the order that it knows: one at a time
        self.idle_since = time.monotonic()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while (frame := read_frame(self._process.stdout)) is not None:
            self._answers.put(frame)
        self._answers.put(None)

    def ask(self, order: Order, item: bytes, wanted: Callable[[], bool]) -> bytes | None:
        """The child's answer; None when it died, or was ended because nobody wants the answer any more."""
        begin = None if order.key == self._key else (order.hello, order.work)
        try:
            write_frame(self._process.stdin, pickle.dumps((begin, item)))
        except OSError:
            return None
        self._key = order.key
        while True:
            try:
                return self._answers.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                if not wanted():
                    self.end()
                    return None

    def tell_to_go(self) -> None:
        """Ask it to tidy up and go; `end` waits for that."""
        with contextlib.suppress(OSError):
            self._process.terminate()

    def end(self) -> None:
        """Let it tidy up and go, which one without work does at once; kill it when a library keeps it busy."""
        self.tell_to_go()
        try:
            self._process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                stream.close()


class _Keeper:
    """The children of this process, by run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: defaultdict[str, list[Child]] = defaultdict(list)
        self._busy: defaultdict[str, list[Child]] = defaultdict(list)
        self._ended: set[str] = set()
        self._watching = False

    def acquire(self, order: Order) -> Child:
        with self._lock:
            child = self._idle[order.run].pop() if self._idle[order.run] else Child(order.paths, self._place(order.run))
            self._busy[order.run].append(child)
            if not self._watching:
                self._watching = True
                threading.Thread(target=self._watch, daemon=True).start()
        return child

    def _place(self, run: str) -> int:
        """The lowest number that no other child of a run has."""
        taken = {child.place for child in self._busy[run]}
        return next(number for number in range(len(taken) + 1) if number not in taken)

    def release(self, run: str, child: Child, *, alive: bool) -> None:
        with self._lock:
            self._busy[run].remove(child)
            alive = alive and run not in self._ended
            if alive:
                child.idle_since = time.monotonic()
                self._idle[run].append(child)
        if not alive:
            child.end()

    def end_run(self, run: str) -> int:
        """Have all children of a run go; how many of them were at work."""
        with self._lock:
            self._ended.add(run)
            idle, busy = self._idle.pop(run, []), self._busy[run][:]
        for child in busy:
            child.tell_to_go()  # who waits for its answer ends it
        for child in idle:
            child.end()
        return len(busy)

    def _watch(self) -> None:
        """End those that had nothing to do for long: their run was killed."""
        while True:
            time.sleep(IDLE_SECONDS / 4)
            late, old = [], time.monotonic() - IDLE_SECONDS
            with self._lock:
                for children in self._idle.values():
                    late += [child for child in children if child.idle_since < old]
                    children[:] = [child for child in children if child.idle_since >= old]
            for child in late:
                child.end()


keeper = _Keeper()


def answer(order: Order, items: list[bytes], wanted: Callable[[], bool]) -> tuple[list[bytes | None], float]:
    """What children make of items, each pickled; None for one that killed its child; and the seconds that it took."""
    begun = time.perf_counter()
    answers: list[bytes | None] = []
    child = None
    for item in items:
        child = child or keeper.acquire(order)
        answered = child.ask(order, item, wanted)
        answers.append(answered)
        if answered is None:
            keeper.release(order.run, child, alive=False)
            child = None
            if not wanted():
                break
    if child is not None:
        keeper.release(order.run, child, alive=True)
    return answers, time.perf_counter() - begun


def answer_in_dask(order: tuple[Any, ...], items: list[bytes]) -> tuple[list[bytes | None], float]:
    """`answer` as a Dask task: it ends when the task is cancelled, or its client or its worker goes.

    Raises
    ------
    Reschedule
        If it ended before its time; Dask then asks another worker.
    """
    from distributed import Reschedule, get_worker

    worker = get_worker()
    key = worker.get_current_task()

    def wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state != "cancelled" and not worker.status.name.startswith("clos")

    answers = answer(Order(*order), items, wanted)
    if None in answers[0] and not wanted():
        raise Reschedule
    return answers
