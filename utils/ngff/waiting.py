"""Waiting for tensorstore: never longer than the time-out without an answer, and what went wrong in one sentence."""

import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, TypeVar

from utils.ngff.connections import CONNECTIONS, SECONDS
from utils.redaction import redacted

if TYPE_CHECKING:
    from tensorstore import Future

Result = TypeVar("Result")

# HTTP's answers that tensorstore takes for 'no such key', which none of them says.
MISREAD = (204, 304, 412)
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


def wait(future: "Future[Result]", timeout: float, what: str) -> Result:
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
            CONNECTIONS.shut_endless()
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

    total = _responses("403", "404")
    for metric in ts.experimental_collect_matching_metrics("/tensorstore/kvstore/"):
        if metric["name"].endswith("/bytes_read"):
            total += sum(value["value"] for value in metric["values"])
    return total


def count_misread() -> float:
    """How many answers of `MISREAD` all threads have had."""
    return _responses(*map(str, MISREAD))


def _responses(*codes: str) -> float:
    import tensorstore as ts

    metrics = ts.experimental_collect_matching_metrics("/tensorstore/http/response_codes")  # none before the first
    values = [value for metric in metrics for value in metric["values"]]
    return float(sum(value["value"] for value in values if value["code"] in codes))


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
    if "was ignored by server" in text:
        return OSError(f"{what}: its server sends whole files only (it ignores Range), but shards are read in parts")
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
