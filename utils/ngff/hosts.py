"""What a run learns of servers: which do not answer, and which ask to be left alone for a while."""

import email.utils
import time
from collections.abc import Callable, Iterable
from email.message import Message
from typing import NamedTuple, TypeVar
from urllib.parse import quote, unquote, urlsplit

from utils.ngff.access import Access, basic_authorization, http_headers
from utils.ngff.address import Address
from utils.ngff.endless import LONGEST
from utils.ngff.errors import StalledError, ThrottledError, interrupted

Result = TypeVar("Result")
# A server that names no time is not waited for; one that names a very long one is asked again after this many seconds.
LONGEST_WAIT = 60.0
# What its answer to when may take.
ASK_SECONDS = 10.0


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
    said = answer.headers.get("Retry-After", "").strip()
    if said.isdecimal():
        return min(LONGEST_WAIT, float(said))
    when = email.utils.parsedate_tz(said)
    return min(LONGEST_WAIT, max(0.0, email.utils.mktime_tz(when) - time.time())) if when else None


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
        headers = [*headers, basic_authorization(unquote(parts.username), unquote(parts.password or ""))]
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
