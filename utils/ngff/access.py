"""How servers are reached (time-outs, credentials, what tensorstore is told), and what a run learns of them.

Some do not answer, some ask to be left alone for a while.
"""

import base64
import functools
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from email.message import Message
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import quote, unquote, urlsplit

from utils.foreign_text import retry_seconds
from utils.ngff.address import Address
from utils.ngff.connections import LONGEST
from utils.ngff.waiting import StalledError, ThrottledError, interrupted

if TYPE_CHECKING:
    import tensorstore as ts

# A server that sends less than this counts as stalled, so that a byte now and then cannot hold a run up for ever.
SLOWEST_BYTES_PER_SECOND = 256
# A server that names no time is not waited for; one that names a very long one is asked again after this many seconds.
LONGEST_WAIT = 60.0
# What its answer to when may take.
ASK_SECONDS = 10.0

Result = TypeVar("Result")


@dataclass(frozen=True)
class Access:
    """How to reach a store."""

    timeout: float = 60.0  # seconds without any answer after which the server counts as stalled
    retries: int = 5  # tries after the first one
    requests: int = 64  # in flight
    endpoint: str | None = None  # a custom S3 or GCS server, and
    region: str | None = None  # its region
    cache_bytes: int = 0  # of decoded chunks kept for neighbouring boxes
    patience: float = 300.0  # seconds without anything from a server that asks to come back later
    credentials: bool = False  # requests to S3 and GCS are signed with the keys in the usual environment and files
    requester_pays: bool = False
    headers: tuple[str, ...] = field(default=(), repr=False)  # for HTTP servers; secrets, and written nowhere
    image: str | None = None  # the path of one inside of a container of several
    layer: str | None = None  # the image layer of a Neuroglancer link that shows several


def kvstore_spec(address: Address, access: Access) -> dict[str, Any]:
    """The tensorstore key-value store of an address, inside of its zip file where it lies in one."""
    if address.archive is None:
        return _plain_spec(address, address.path + "/", access)
    base = _plain_spec(address, address.archive, access)
    return {"driver": "zip", "base": base, "path": f"{address.path}/".lstrip("/")}


def _plain_spec(address: Address, path: str, access: Access) -> dict[str, Any]:
    """A path (a folder ends in a slash) of a store; anonymous by default: no instance metadata server is asked."""
    if address.driver == "file":
        return {"driver": "file", "path": path}
    if address.driver == "http":
        spec: dict[str, Any] = {"driver": "http", "base_url": address.root, "path": path}
        if address.query:
            spec |= {"base_url": f"{address.root}/?{address.query}", "path": path.lstrip("/")}
        headers = http_headers(address, access)
        return spec | ({"headers": headers} if headers else {})
    if address.driver == "gcs":
        if access.endpoint:
            os.environ["TENSORSTORE_GCS_HTTP_URL"] = access.endpoint.rstrip("/")  # its driver knows no other way
        if access.endpoint or access.credentials:
            return {"driver": "gcs", "bucket": address.root, "path": path.lstrip("/")}
        # Google's own driver looks for a user's keys first; public data needs none.
        return {"driver": "http", "base_url": "https://storage.googleapis.com", "path": f"/{address.root}/{path}"}
    spec = {"driver": "s3", "bucket": address.root, "path": path.lstrip("/")}
    spec["aws_credentials"] = {"type": "default" if access.credentials else "anonymous"}
    endpoint = access.endpoint or address.endpoint
    region = access.region or address.region or ("us-east-1" if endpoint else None)
    spec |= ({"endpoint": endpoint.rstrip("/")} if endpoint else {}) | ({"aws_region": region} if region else {})
    return spec | ({"requester_pays": True} if access.requester_pays else {})


def http_headers(address: Address, access: Access) -> list[str]:
    """What an HTTP server is sent with every request: what the user says, and the credentials of a ``.netrc``."""
    import netrc

    if address.driver != "http":
        return []
    server = urlsplit(address.root)
    try:
        found = netrc.netrc().authenticators(server.hostname or "")
    except (OSError, netrc.NetrcParseError):
        found = None
    if not found or not found[0] or "@" in server.netloc:
        return [*access.headers]
    return [*access.headers, _basic_authorization(found[0], found[2] or "")]


def _basic_authorization(user: str, password: str) -> str:
    """The header of a user's name and password."""
    return f"Authorization: Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


@functools.lru_cache(maxsize=8)
def context(access: Access) -> "ts.Context":
    """The tensorstore context of an `Access`: bounded retries, bounded requests, time-outs for every connection."""
    # A stalled request is given up early enough for another try before the whole wait ends. tensorstore reads these
    # before its first request only, hence the environment.
    patience = str(max(1, int(access.timeout / 2)))
    os.environ["TENSORSTORE_CURL_CONNECT_TIMEOUT_SECONDS"] = patience
    os.environ["TENSORSTORE_CURL_LOW_SPEED_TIME_SECONDS"] = patience
    os.environ["TENSORSTORE_CURL_LOW_SPEED_LIMIT_BYTES"] = str(SLOWEST_BYTES_PER_SECOND)
    import tensorstore as ts

    longest = max(0.1, min(8.0, access.timeout / 8))
    retries = {
        "max_retries": access.retries,
        "initial_delay": f"{min(0.25, longest):.3f}s",
        "max_delay": f"{longest:.3f}s",
    }
    settings: dict[str, Any] = {"cache_pool": {"total_bytes_limit": access.cache_bytes}}
    for kind in ("http", "s3", "gcs"):
        settings[f"{kind}_request_retries"] = retries
        settings[f"{kind}_request_concurrency"] = {"limit": access.requests}
    return ts.Context(settings)


class Hosts:
    """Servers of one run, shared by its threads: each change is one step."""

    def __init__(self) -> None:
        self._silent: dict[str, str] = {}
        self._gave: dict[str, float] = {}

    def forget(self) -> None:
        """Begin a run."""
        self._silent.clear()
        self._gave.clear()

    def require_answering(self, address: Address) -> None:
        """Refuse, at once, a server that did not answer before.

        Raises
        ------
        StalledError
            With what it did then.
        """
        reason = self._silent.get(host(address))
        if reason:
            raise StalledError(f"{address}: left out, its server did not answer before ({reason})")

    def note_silent(self, address: Address, error: OSError) -> None:
        """Remember that a server answered nothing at all, if it never gave anything in this run."""
        if address.driver != "file" and not self.last_answer(address):
            self._silent.setdefault(host(address), str(error))

    def note_answer(self, address: Address) -> None:
        """Remember that a server gave something."""
        self._gave[host(address)] = time.monotonic()

    def last_answer(self, address: Address) -> float:
        """When a server last gave something, by the monotonic clock; 0 for never."""
        return self._gave.get(host(address), 0.0)


HOSTS = Hosts()


def host(address: Address) -> str:
    """The server of an address, as its fate is shared."""
    return address.endpoint or (urlsplit(address.root).netloc if address.driver == "http" else address.driver)


def with_patience(ask: Callable[[], Result], address: Address, key_url: str, access: Access) -> Result:
    """Ask a server that says when to come back (429 or 503 with Retry-After), for as long as anything comes.

    The header of `key_url`, of what is asked for, tells how long to wait; it is empty where that is not known. After
    the access' seconds of patience without anything from this server a refusal counts.

    Raises
    ------
    OSError
        What `ask` raises, where the server names no time or patience ends.
    """
    started = time.monotonic()
    while True:
        try:
            result = ask()
        except ThrottledError:
            delay = retry_after(key_url, http_headers(address, access))
            idle = time.monotonic() + (delay or 0) - max(started, HOSTS.last_answer(address))
            if delay is None or idle > access.patience or interrupted(delay):
                raise
            continue
        HOSTS.note_answer(address)
        return result


def retry_after(url: str, headers: Iterable[str] = ()) -> float | None:
    """Seconds that a server asks to wait; 0 where it answers again, None where it names no time."""
    answer = ask(url, ASK_SECONDS, headers)
    if answer is None or answer.status not in (429, 503):
        return None if answer is None else 0.1
    seconds = retry_seconds(answer.headers.get("Retry-After"))
    return None if seconds is None else min(LONGEST_WAIT, seconds)


class Answer(NamedTuple):
    """What an HTTP server says; the names of headers count in any case."""

    status: int
    headers: Message
    body: bytes


def ask(url: str, timeout: float, headers: Iterable[str] = (), *, body: bool = False) -> Answer | None:
    """Ask an HTTP server, following no redirect; None where nothing answers. The body comes only if it is wanted."""
    from http.client import HTTPConnection, HTTPException, HTTPSConnection

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=timeout)
    if parts.username:
        headers = [*headers, _basic_authorization(unquote(parts.username), unquote(parts.password or ""))]
    sent = {name.strip(): value.strip() for name, _, value in (header.partition(":") for header in headers)}
    place = quote(parts.path or "/", safe="/%") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("GET", place, headers=sent)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read(LONGEST) if body else b"")
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
