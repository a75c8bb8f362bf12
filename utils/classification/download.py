"""Downloads that end: retries with back-off, Retry-After, dead and dripping connections, truncation."""

import base64
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

from utils.foreign_text import retry_seconds
from utils.redaction import say

if TYPE_CHECKING:
    from http.client import HTTPResponse

BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
CHUNK = 1 << 18
LARGEST = 2 << 30


class FetchError(OSError):
    """A download that did not succeed; the message says why."""


class _TryLaterError(Exception):
    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True)
class RetryPolicy:
    """How long to wait for a server."""

    attempts: int = 4  # tries per URL
    stall: float = 20.0  # seconds without a single byte after which a connection counts as dead
    slowest: float = 100.0  # bytes per second below which, over three stalls' time, it counts as dead too
    longest_wait: float = 180.0  # the longest Retry-After, in seconds, that is still waited for
    sleep: Callable[[float], None] = field(default=time.sleep)  # takes seconds


def download(url: str, target: Path, retries: RetryPolicy) -> tuple[str, int]:
    """Download one URL into a file, however often that has to be tried; the SHA-256 and size of what was written.

    Raises
    ------
    FetchError
        If the server refuses, or all tries failed.
    """
    tries = 0
    while True:
        try:
            return _try_once(url, target, retries)
        except _TryLaterError as error:
            tries += 1
            if tries == retries.attempts:
                raise FetchError(f"{error}, {tries} tries") from error
            wait = 2.0 ** (tries - 1) if error.wait is None else error.wait
            say(f"{url}: {error}; trying again in {wait:.0f} s")
            retries.sleep(wait)


def _try_once(url: str, target: Path, retries: RetryPolicy) -> tuple[str, int]:
    try:
        with urlopen(_request(url), timeout=retries.stall) as response:
            length = response.headers.get("Content-Length") or ""
            expected = int(length) if length.isdigit() else None
            say(f"fetching {url}" + (f" ({expected / 1e6:.1f} MB)" if expected else ""))
            digest, size = _copy(response, target, retries)
    except HTTPError as error:
        raise _refusal(error, retries) from error
    except (URLError, HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        raise _TryLaterError(f"no answer ({reason})") from error
    if expected is not None and size != expected:
        raise _TryLaterError(f"the download broke off after {size} of {expected} bytes")
    return digest, size


def _request(url: str) -> Request:
    """What the server is asked; a user and password in the address go to it alone, not to where it redirects."""
    parts = urlsplit(url)
    user, has_user, host = parts.netloc.rpartition("@")
    request = Request(
        parts._replace(netloc=host).geturl(),
        headers={"User-Agent": "em-patch-curation", "Accept-Encoding": "identity"},
    )
    if has_user:
        name, _, password = user.partition(":")
        words = base64.b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {words}")
    return request


def _copy(response: "HTTPResponse", target: Path, retries: RetryPolicy) -> tuple[str, int]:
    digest, size, start = hashlib.sha256(), 0, time.monotonic()
    with target.open("wb") as file:
        # read1 returns what has come; read would wait for a whole chunk and hide a trickle.
        while chunk := response.read1(CHUNK):
            file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
            elapsed = time.monotonic() - start
            if elapsed > 3 * retries.stall and size < retries.slowest * elapsed:
                raise TimeoutError(f"only {size} bytes in {elapsed:.0f} s")
            if size > LARGEST:
                raise FetchError(f"more than {LARGEST} bytes came, too many for any weights used here")
    return digest.hexdigest(), size


def _refusal(error: HTTPError, retries: RetryPolicy) -> Exception:
    reason = " ".join(f"HTTP {error.code} {error.reason}".split())  # urllib speaks in several lines of a redirect loop
    wait = retry_seconds(error.headers.get("Retry-After"))
    error.close()
    if error.code not in BUSY:
        return FetchError(reason)
    if wait is not None and wait > retries.longest_wait:
        return FetchError(f"{reason}, and the server asks to come back in {wait:.0f} s")
    return _TryLaterError(reason, wait)
