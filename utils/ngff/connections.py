"""The connections of this process: those that bring more than was asked for are shut, on Linux, which tells of them.

tensorstore gathers the whole of an answer before anything can look at it. So its connections are looked at while
`utils.ngff.waiting` waits: one whose answer is longer than any that was asked for is shut, and tensorstore takes it for
one that broke off. So is one while whose answer came this process grew by more than all answers at once may be, and by
more than a part of the memory: a small answer may unpack itself into a large one (``Content-Encoding``).
"""

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from utils import memory

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

    def shut_endless(self) -> None:
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
