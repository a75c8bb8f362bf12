"""A loopback HTTP server over a folder, with faults, latency and a log; also stands in for S3 with path-style keys.

Its headers are in lower case, as many servers send them.
"""

import http.server
import re
import socket
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

# What a fault function may return for a path and how often it was asked for: a status code, a URL (a redirect by 302,
# or by a status before it: "308 http://...", "302 /path"), or one of "retry N" (503 with Retry-After: N), "stall",
# "reset", "short" (body shorter than promised), "truncate" (half of the body), "html", "gzip", "endless", "bomb" (900
# kB that unpack themselves to 900 MB).
Fault = str | int | None


# An object's address in the JSON interface of GCS.
_GCS = re.compile(r"^/storage/v1/b/([^/]+)/o/")


class Loopback:
    """Serves `root`; `fault(path, nth)` decides what goes wrong."""

    def __init__(self, root: Path, fault: Callable[[str, int], Fault] | None = None, latency: float = 0.0) -> None:
        self.root, self.latency = root, latency
        self.fault = fault or (lambda path, nth: None)
        self.log: list[str] = []
        self.queries: list[str] = []
        self.authorizations: list[str | None] = []
        self.active = self.most_active = 0
        self.lock = threading.Lock()
        self.released = threading.Event()
        self.url = ""

    def count(self, path: str) -> int:
        """How often a path was asked for, this time included."""
        with self.lock:
            self.log.append(path)
            return self.log.count(path)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    loopback: Loopback

    def log_message(self, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        served = self.loopback
        with served.lock:
            served.active += 1
            served.most_active = max(served.most_active, served.active)
        served.queries.append(self.path.partition("?")[2])
        served.authorizations.append(self.headers.get("Authorization"))
        try:
            if served.latency:
                served.released.wait(served.latency)
            path = _GCS.sub(r"/\1/", unquote(self.path.split("?")[0]))
            self._answer(path, served.fault(path, served.count(path)))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with served.lock:
                served.active -= 1

    def _answer(self, path: str, fault: Fault) -> None:
        if fault == "stall":
            self.loopback.released.wait(60)
            self.close_connection = True
        elif fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
        elif fault == "endless":
            self._send(200, b" " * (1 << 16), endless=True)
        elif fault == "bomb":
            self._send(200, _bomb(), {"Content-Encoding": "gzip"})
        elif isinstance(fault, int):
            self._send(fault, b"")
        elif fault and fault.startswith("retry "):
            self._send(503, b"", {"retry-after": fault.removeprefix("retry ")})
        elif fault and "/" in fault:
            status, _, target = fault.rpartition(" ")
            self._send(int(status or 302), b"", {"location": target})
        else:
            file = self.loopback.root / path.lstrip("/")
            if file.is_file():
                self._send_file(file.read_bytes(), fault)
            else:
                self._send(404, b"")

    def _send_file(self, body: bytes, fault: Fault) -> None:
        headers = {}
        if fault == "html":
            body = b"<!DOCTYPE html><html>Welcome</html>"
        if fault == "truncate":
            body = body[: len(body) // 2]
        if fault == "gzip":
            headers["Content-Encoding"] = "gzip"
        start, stop = self._range(len(body))
        status = 200
        if (start, stop) != (0, len(body)):
            status, headers["Content-Range"] = 206, f"bytes {start}-{stop - 1}/{len(body)}"
        self._send(status, body[start:stop], headers, short=fault == "short")

    def _range(self, length: int) -> tuple[int, int]:
        asked = self.headers.get("Range", "")
        if not asked.startswith("bytes="):
            return 0, length
        first, _, last = asked[len("bytes=") :].partition("-")
        if not first:
            return max(0, length - int(last)), length
        return int(first), min(length, int(last) + 1) if last else length

    def _send(
        self, status: int, body: bytes, headers: dict | None = None, *, short: bool = False, endless: bool = False
    ) -> None:
        self.send_response(status)
        self.send_header("ETag", '"loopback"')
        self.send_header("x-goog-generation", "1")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if not endless:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        while endless and not self.loopback.released.is_set():
            self.wfile.write(body)
        self.wfile.write(body[: len(body) // 2] if short else body)
        self.close_connection = self.close_connection or short or endless


def _bomb() -> bytes:
    """Zeros packed a megabyte at a time, each block alike."""
    packer = zlib.compressobj(9, wbits=31)
    first, second = (packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first + 900 * second


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    # With the default of 5 a burst of connections waits for TCP's retransmission.
    request_queue_size = 256


@contextmanager
def serving(root: Path, fault: Callable[[str, int], Fault] | None = None, latency: float = 0.0) -> Iterator[Loopback]:
    """Serve a folder for as long as the block lasts."""
    loopback = Loopback(root, fault, latency)
    handler = type("BoundHandler", (Handler,), {"loopback": loopback})
    server = Server(("127.0.0.1", 0), handler)
    loopback.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield loopback
    finally:
        loopback.released.set()
        server.shutdown()
        server.server_close()
