"""Waiting for tensorstore: never longer than the time-out without an answer, and what went wrong in one sentence.

tensorstore gathers the whole of an answer before anything can look at it. So the connections of this process are looked
at while it waits: one whose answer is longer than any that was asked for is shut, and tensorstore takes it for one that
broke off. So is one while whose answer came this process grew by more than all answers at once may be, and by more than
a part of the memory: a small answer may unpack itself into a large one (``Content-Encoding``). Only Linux tells what a
connection has brought.
"""

import os
import re
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, TypeVar

from utils import memory
from utils.redaction import redacted

if TYPE_CHECKING:
    from tensorstore import Future

# No description of an image, nor the list of a zip file, is larger.
LONGEST = 32 << 20
SECONDS = 0.1  # between two looks
# Answers that may be in memory, and the part of it that a process may take while one comes: cubes are made meanwhile.
AT_ONCE, PART = 32, 16
_DESCRIPTORS = Path("/proc/self/fd")
# Where the kernel's struct tcp_info has the bytes of ours that were acknowledged, and those that came.
_COUNTS = struct.Struct("@QQ")
_COUNTS_AT = 120


class Connections:
    """What the connections of this process have brought since something was last asked on them."""

    def __init__(self, longest: int = LONGEST) -> None:
        self.longest = longest  # bytes of one answer
        self.cut = 0  # connections that were shut
        # By connection: what was sent and had come when something was last asked on it, and what memory was in use.
        self._asked: dict[str, tuple[int, int, int]] = {}
        self._looked = 0.0
        self._lock = threading.Lock()

    def allow(self, nbytes: int) -> None:
        """Expect answers of up to so many bytes, if decoding may take as many."""
        self.longest = max(self.longest, min(nbytes, memory.limit_bytes()))

    def look(self) -> None:
        """Shut those whose answer is too long; any number of threads may ask, one looks."""
        if time.monotonic() - self._looked < SECONDS or not self._lock.acquire(blocking=False):
            return
        try:
            self._asked = dict(self._watched())
            self._looked = time.monotonic()
        finally:
            self._lock.release()

    def _watched(self) -> Iterator[tuple[str, tuple[int, int, int]]]:
        """The entries of `_asked`, of all connections; those that bring too much are shut."""
        used, growth = memory.used_bytes(), max(AT_ONCE * self.longest, memory.limit_bytes() // PART)
        for name, connection in _connections():
            with connection, suppress(OSError, AttributeError, struct.error):
                info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
                sent, come = _COUNTS.unpack_from(info, _COUNTS_AT)
                before = self._asked.get(name, (sent, 0, used))
                since = before if before[0] == sent else (sent, come, used)
                if come - since[1] > self.longest or (come > since[1] and used - since[2] > growth):
                    self.cut += 1
                    connection.shutdown(socket.SHUT_RDWR)
                    while connection.recv(LONGEST, socket.MSG_DONTWAIT):  # what has come would still be unpacked
                        pass
                yield name, since


def _connections() -> Iterator[tuple[str, socket.socket]]:
    """Every socket of this process by its name, as a handle of its own."""
    with suppress(OSError):
        for entry in _DESCRIPTORS.iterdir():
            with suppress(OSError):
                name = str(entry.readlink())
                if name.startswith("socket:"):
                    yield name, socket.socket(fileno=os.dup(int(entry.name)))


CONNECTIONS = Connections()


T = TypeVar("T")

# Set by Ctrl-C: threads that wait for a server would otherwise hold the program until their time-out.
_interrupted = threading.Event()


class StalledError(TimeoutError):
    """The server stopped answering."""


class ForbiddenError(OSError):
    """The server refused access (401 or 403)."""

    def __init__(self, message: str, voxels: int = 0) -> None:
        super().__init__(message)
        self.voxels = voxels  # of a box, that it would not give


class RedirectError(OSError):
    """The server sends elsewhere."""

    def __init__(self, message: str, target: str = "") -> None:
        super().__init__(message)
        self.target = target  # a folder; empty where it sends to something else than the file that was asked for


class ThrottledError(OSError):
    """The server asks to be left alone for a while (429 or 503)."""


class GoneError(ForbiddenError):
    """The server says that something was there once (410)."""


class EndlessError(OSError):
    """A file is longer than anything here may be."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}: comes without end, or is longer than any file here ({CONNECTIONS.longest >> 20} MB)")


def wait(future: "Future[T]", timeout: float, what: str) -> T:
    """The result of a tensorstore future; an error when no request was answered for the whole time-out.

    A deadline for the whole read would end slow but living transfers, so the clock starts again with every answer.

    Raises
    ------
    StalledError, ForbiddenError, EndlessError, OSError
        With a sentence that names `what`.
    """
    answered, since, cut = _answers(), time.monotonic(), CONNECTIONS.cut
    while True:
        left = timeout - (time.monotonic() - since)
        try:
            return future.result(timeout=max(0.01, min(left, SECONDS)))
        except TimeoutError as error:
            CONNECTIONS.look()
            if _interrupted.is_set():
                future.cancel()
                raise StalledError(f"{what}: interrupted") from error
            if _answers() != answered:
                answered, since = _answers(), time.monotonic()
            elif time.monotonic() - since >= timeout:
                future.cancel()
                raise StalledError(
                    f"{what}: no answer for {timeout:g} s; try again later or with a longer --timeout"
                ) from error
        except (ValueError, NotImplementedError) as error:  # the latter for HTTP's 501, and what a store cannot
            if CONNECTIONS.cut > cut and re.search("CURL error|Error reading", str(error)):
                raise EndlessError(what) from error
            raise explain(error, what) from error


def _answers() -> float:
    """A number that grows with every request that ended well or was answered with 'no such key'."""
    import tensorstore as ts

    total = 0.0
    for metric in ts.experimental_collect_matching_metrics("/tensorstore/kvstore/"):
        if metric["name"].endswith("/bytes_read"):
            total += sum(value["value"] for value in metric["values"])
    for metric in ts.experimental_collect_matching_metrics("/tensorstore/http/response_codes"):
        total += sum(value["value"] for value in metric["values"] if value["code"] in ("403", "404"))
    return total


def explain(error: Exception, what: str) -> OSError:
    """Turn tensorstore's report into one sentence of the right kind."""
    text = redacted(" ".join(str(error).split()))
    code = re.search(r"(?:HTTP code |http_response_code=')(\d+)", text)
    if code and code[1] == "410":
        return GoneError(f"{what}: is gone (410)")
    if code and code[1] in ("429", "503"):
        return ThrottledError(f"{what}: {text}")
    if "PERMISSION_DENIED" in text:
        return ForbiddenError(f"{what}: access is forbidden ({code[1] if code else 'no permission to read'})")
    if code and code[1].startswith("3"):
        advice = "give the bucket's --region" if what.startswith("s3://") else "give the address that it redirects to"
        return OSError(f"{what}: the server redirects ({code[1]}); {advice}")
    if "Timeout was reached" in text:
        return StalledError(f"{what}: the server stalled; try again later or with a longer --timeout")
    if "Error reading" in text and re.search(r"DATA_LOSS|FAILED_PRECONDITION|OUT_OF_RANGE|INVALID_ARGUMENT", text):
        return OSError(f"{what}: a chunk cannot be decoded (truncated, damaged or not a chunk): {text}")
    return OSError(f"{what}: {text}")


def is_silence(error: OSError) -> bool:
    """Whether a server gave no answer at all: stalled, not to be reached, or unknown."""
    return isinstance(error, StalledError) or bool(re.search(r"(?i)could ?n.t (connect|resolve)", str(error)))


def interrupted(seconds: float) -> bool:
    """Wait, and tell whether Ctrl-C came meanwhile."""
    return _interrupted.wait(seconds)


@contextmanager
def interruptible() -> Iterator[None]:
    """Within the block Ctrl-C also ends the waiting of other threads.

    Raises
    ------
    KeyboardInterrupt
        When it was.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        _interrupted.set()
        raise KeyboardInterrupt

    _interrupted.clear()  # not at the end: threads may outlive the block by a moment
    previous = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
