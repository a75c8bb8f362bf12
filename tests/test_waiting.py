"""What tensorstore reports as one sentence of the right kind, and waiting that ends."""

import os
import signal
import threading

import pytest

from loopback import serving
from utils.ngff import waiting
from utils.ngff.waiting import (
    ForbiddenError,
    GoneError,
    StalledError,
    ThrottledError,
    explain,
    interrupted,
    interruptible,
    is_silence,
    wait,
)


@pytest.mark.parametrize(
    ("report", "kind", "sentence"),
    [
        ("NOT_FOUND: HTTP code 410 gone", GoneError, "x: is gone (410)"),
        ("HTTP code 429 slow down", ThrottledError, "x: HTTP code 429 slow down"),
        ("UNAVAILABLE [http_response_code='503']", ThrottledError, "x: UNAVAILABLE [http_response_code='503']"),
        ("PERMISSION_DENIED [http_response_code='403']", ForbiddenError, "x: access is forbidden (403)"),
        ("PERMISSION_DENIED: open failed", ForbiddenError, "x: access is forbidden (no permission to read)"),
        ("HTTP code 301", OSError, "x: the server redirects (301); give the address that it redirects to"),
        ("CURL Timeout was reached", StalledError,
         "x: the server stalled; try again later or with a longer --timeout"),
        ("Error reading 1/0: DATA_LOSS", OSError,
         "x: a chunk cannot be decoded (truncated, damaged or not a chunk): Error reading 1/0: DATA_LOSS"),
        ("Error reading c/0: FAILED_PRECONDITION: Requested byte range [0, 16) was ignored by server", OSError,
         "x: its server sends whole files only (it ignores Range), but shards are read in parts"),
        ("DATA_LOSS", OSError, "x: DATA_LOSS"),
        ("Error reading: NOT_FOUND", OSError, "x: Error reading: NOT_FOUND"),
        ("HTTP code 500 at\n  http://me:pw@h/a?sig=1", OSError, "x: HTTP code 500 at http://***@h/a?sig=***"),
    ],
)  # fmt: skip
def test_reports_as_sentences(report, kind, sentence):
    found = explain(ValueError(report), "x")
    assert type(found) is kind
    assert str(found) == sentence


def test_a_bucket_that_lies_elsewhere_needs_its_region():
    assert str(explain(ValueError("HTTP code 307"), "s3://b/x")).endswith("(307); give the bucket's --region")


@pytest.mark.parametrize(
    ("error", "silence"),
    [
        (StalledError("x"), True),
        (OSError("cannot connect"), False),
        (OSError("CURL: Couldn't connect to server"), True),
        (OSError("Couldn't resolve host name"), True),
        (OSError("404"), False),
        (ForbiddenError("403"), False),
    ],
)
def test_no_answer_at_all(error, silence):
    assert is_silence(error) is silence


def test_what_a_refusal_costs():
    assert ForbiddenError("x").voxels == 0
    assert ForbiddenError("x", 9).voxels == 9 and str(ForbiddenError("x", 9)) == "x"


class Future:
    """A tensorstore future that answers when it has been asked so often."""

    def __init__(self, after, outcome=7):
        self.after, self.outcome, self.asked, self.cancelled = after, outcome, [], False

    def result(self, timeout):
        self.asked.append(timeout)
        if len(self.asked) <= self.after:
            raise TimeoutError
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    def cancel(self):
        self.cancelled = True


def test_an_answer_in_time(monkeypatch):
    monkeypatch.setattr(waiting, "_answers", lambda: 0.0)
    future = Future(2)
    assert wait(future, 60.0, "x") == 7
    assert not future.cancelled
    assert future.asked == [0.1] * 3
    with pytest.raises(GoneError, match="x: is gone"):
        wait(Future(0, ValueError("HTTP code 410")), 60.0, "x")


def test_every_answer_counts_also_that_nothing_is_there(tmp_path):
    import tensorstore as ts

    (tmp_path / "a").write_bytes(b"abc")
    with serving(tmp_path) as server:
        store = ts.KvStore.open({"driver": "http", "base_url": server.url, "path": "/"}).result()
        before = waiting._answers()
        store.read("a").result()
        first = waiting._answers()
        store.read("gone").result()
        assert before < first < waiting._answers()


def test_silence_ends(monkeypatch):
    monkeypatch.setattr(waiting, "_answers", lambda: 0.0)
    future = Future(10**9)
    with pytest.raises(StalledError, match=r"x: no answer for 0.02 s; try again later or with a longer --timeout"):
        wait(future, 0.02, "x")
    assert future.cancelled
    assert 0.01 <= future.asked[-1] <= 0.02


def test_whatever_comes_starts_the_clock_again(monkeypatch):
    answers, clock = iter(range(100)), iter(range(0, 10**6, 10))
    monkeypatch.setattr(waiting, "_answers", lambda: float(next(answers)))
    monkeypatch.setattr(waiting.time, "monotonic", lambda: float(next(clock)))
    assert wait(Future(20), 15.0, "x") == 7


def test_ctrl_c_ends_the_waiting_of_other_threads(monkeypatch):
    monkeypatch.setattr(waiting, "_answers", lambda: 0.0)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), interruptible():
        assert not interrupted(0)
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait(5)
    assert signal.getsignal(signal.SIGINT) is before
    assert interrupted(0)
    future = Future(10**9)
    with pytest.raises(StalledError, match="x: interrupted"):
        wait(future, 60.0, "x")
    assert future.cancelled
    with interruptible():
        assert not interrupted(0)


def test_other_threads_are_left_alone():
    found = []

    def work():
        with interruptible():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    before = signal.getsignal(signal.SIGINT)
    thread.start()
    thread.join()
    assert found == [before]
