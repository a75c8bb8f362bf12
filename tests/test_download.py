"""Downloads that end, whatever the server does: retries, Retry-After, redirects, silence, a trickle."""

import base64
import hashlib
import io
import threading
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler

import pytest

from utils.classification.download import FetchError, RetryPolicy, _copy, download
from weights_server import CONTENT, Server, stalled, truncated, whole


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.httpd.shutdown()
    server.httpd.server_close()


@pytest.fixture
def fetch(server, tmp_path):
    """Downloads from the server; gives the content, notes waits."""

    def fetch(waits=None, **changes):
        target = tmp_path / "model.pth"
        digest, size = download(server.url, target, quick_retries([] if waits is None else waits, **changes))
        content = target.read_bytes()
        assert (digest, size) == (hashlib.sha256(content).hexdigest(), len(content))
        return content

    return fetch


def quick_retries(waits: list[float], **changes) -> RetryPolicy:
    return RetryPolicy(**{"stall": 5.0, "sleep": waits.append, **changes})


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_in_seconds_is_honoured(server, fetch, status):
    server.answers = [whole(b"later", status, Retry_After="7"), whole()]
    waits: list[float] = []
    assert fetch(waits) == CONTENT
    assert waits == [7]


def test_retry_after_as_a_date_is_honoured(server, fetch):
    server.answers = [whole(b"later", 429, Retry_After=formatdate(0, usegmt=True)), whole()]
    waits: list[float] = []
    assert fetch(waits) == CONTENT
    assert waits == [0]


def test_busy_without_retry_after_backs_off(server, fetch):
    server.answers = [whole(b"", 500), whole(b"", 502), whole()]
    waits: list[float] = []
    fetch(waits)
    assert waits == [1, 2]


def test_absurd_retry_after_is_said_not_waited_for(server, fetch):
    server.answers = [whole(b"", 429, Retry_After="86400")]
    waits: list[float] = []
    with pytest.raises(FetchError, match="86400 s"):
        fetch(waits)
    assert waits == []


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_followed(server, fetch, status):
    server.answers = [whole(b"", status, Location="/moved/there.pth"), whole()]
    assert fetch() == CONTENT
    assert server.paths[1] == "/moved/there.pth"


def test_a_user_is_known_to_the_server_that_was_asked_and_to_no_other(server, tmp_path):
    server.answers = [whole(b"", 302, Location="/moved/there.pth"), whole()]
    download(server.url.replace("://", "://me:p%40w@"), tmp_path / "model.pth", quick_retries([]))
    assert server.authorizations == ["Basic " + base64.b64encode(b"me:p@w").decode(), None]


def test_a_redirect_in_circles_ends_in_one_line(server, fetch):
    server.answers = [whole(b"", 301, Location="/moved/there.pth")]
    with pytest.raises(FetchError, match="HTTP 301") as caught:
        fetch()
    assert "\n" not in str(caught.value)


def test_a_stalled_server_ends(server, fetch):
    release = threading.Event()
    server.answers = [stalled(release)]
    waits: list[float] = []
    with pytest.raises(FetchError, match=r"timed out.*, 2 tries"):
        fetch(waits, attempts=2, stall=0.2)
    assert waits == [1]
    assert len(server.paths) == 2
    release.set()


def test_a_trickle_ends(server, fetch):
    done = threading.Event()

    def drip(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        while not done.wait(0.02):
            try:
                request.wfile.write(b"w")
            except OSError:
                return

    server.answers = [drip]
    with pytest.raises(FetchError, match="bytes in"):
        fetch(attempts=1, stall=0.1, slowest=1e6)
    done.set()


def test_what_comes_steadily_is_waited_for(tmp_path):
    """However little: 100 bytes within 100 s are as many as were asked for."""
    _, size = _copy(io.BytesIO(bytes(100)), tmp_path / "model.pth", RetryPolicy(stall=0.0, slowest=1.0))
    assert size == 100


def test_truncated_is_tried_again(server, fetch):
    server.answers = [truncated, whole()]
    waits: list[float] = []
    assert fetch(waits) == CONTENT
    assert waits == [1]


@pytest.mark.parametrize(("most", "refused"), [(len(CONTENT), False), (len(CONTENT) - 1, True)])
def test_more_than_any_weights_is_not_kept_on_coming(server, fetch, monkeypatch, most, refused):
    monkeypatch.setattr("utils.classification.download.LARGEST", most)
    server.answers = [whole()]
    if refused:
        with pytest.raises(FetchError, match=f"more than {most} bytes came"):
            fetch()
    else:
        assert fetch() == CONTENT


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 400, 403, 404, 501])
def test_which_refusals_may_pass(server, fetch, status):
    server.answers = [whole(b"", status), whole()]
    if status in (400, 403, 404, 501):
        with pytest.raises(FetchError, match=f"^HTTP {status} "):
            fetch()
    else:
        assert fetch() == CONTENT


@pytest.mark.parametrize(("asked", "waited"), [("180", [180]), ("181", [])])
def test_the_longest_wait(server, fetch, asked, waited):
    server.answers = [whole(b"", 503, Retry_After=asked), whole()]
    waits: list[float] = []
    if waited:
        assert fetch(waits) == CONTENT
    else:
        with pytest.raises(FetchError, match="the server asks to come back in 181 s"):
            fetch(waits)
    assert waits == waited


def test_what_is_said_meanwhile(server, fetch, capsys):
    server.answers = [whole(b"", 429), whole()]
    fetch()
    said = capsys.readouterr().err.splitlines()
    assert said == [f"{server.url}: HTTP 429 Too Many Requests; trying again in 1 s", f"fetching {server.url} (0.0 MB)"]
