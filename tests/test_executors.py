"""A pool of spawned processes: their places, how they end, what they leave to their parent."""

import os
import signal

import pytest

from utils import executors
from utils.executors import BrokenProcessPool, executor
from utils.interrupts import is_deferred
from utils.settings import place


def test_processes_of_a_pool_have_places_that_follow_each_other():
    with executor(2) as pool:
        found = {pool.submit(place).result() for _ in range(40)}
    assert len(found) == 1 or max(found) - min(found) == 1


def test_signals_and_exceptions_come_back():
    with executor(1) as pool:
        assert pool.submit(signal.getsignal, signal.SIGINT).result() == signal.SIG_IGN  # Ctrl-C is the parent's
        with pytest.raises(ZeroDivisionError):
            pool.submit(divmod, 1, 0).result()
        assert pool.submit(int, "7", base=8).result() == 7
        pids = {pool.submit(os.getpid).result() for _ in range(3)}
    assert len(pids) == 1 and os.getpid() not in pids


def test_a_process_that_dies_breaks_the_pool():
    with executor(1) as pool, pytest.raises(BrokenProcessPool):
        pool.submit(os._exit, 3).result()


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_every_pool_is_like_the_first_and_hears_of_signals(monkeypatch, method):
    monkeypatch.setattr(executors, "_start_method", lambda: method)
    for _ in range(2):
        with executor(1) as pool:
            assert not pool.submit(is_deferred, signal.SIGTERM).result()


def test_the_method_is_not_what_python_settles_on():
    executors._start_method.cache_clear()
    method = executors._start_method()
    with executor(1) as pool:
        pool.submit(int).result()
    assert executors._start_method() == method


def test_what_goes_wrong_in_the_block_ends_the_workers():
    with pytest.raises(KeyError), executor(1) as pool:
        pid = pool.submit(os.getpid).result()
        raise KeyError
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_processes_of_one_pool_are_bounded(monkeypatch):
    monkeypatch.setattr(executors, "MOST_PROCESSES", 1)
    with executor(100) as pool:
        assert pool._max_workers == 1
