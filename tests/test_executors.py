"""A pool of spawned processes: their places, how they end, what they leave to their parent."""

import multiprocessing
import os
import signal
import sys
from types import SimpleNamespace

import pytest

from utils import executors
from utils.executors import BrokenProcessPool, executor
from utils.interrupts import is_deferred
from utils.settings import place


def test_processes_have_places_that_follow_each_other():
    found = []
    for _ in range(2):  # of one pool none can be told to do a job
        with executor(1) as pool:
            found.append(pool.submit(place).result())
    assert found[1] == found[0] + 1


def test_signals_and_exceptions_come_back():
    with executor(1) as pool:
        assert pool.submit(signal.getsignal, signal.SIGINT).result() == signal.SIG_IGN  # Ctrl-C is the parent's
        assert signal.SIGINT not in pool.submit(signal.pthread_sigmask, signal.SIG_BLOCK, []).result()
        assert pool.submit(signal.getsignal, signal.SIGTERM).result() is executors._exit_on_sigterm
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
    assert method == (multiprocessing.get_start_method(allow_none=True) or "spawn")
    with executor(1) as pool:
        pool.submit(int).result()
    assert executors._start_method() == method


def test_what_goes_wrong_in_the_block_ends_the_workers():
    with pytest.raises(KeyError), executor(1) as pool:
        pid = pool.submit(os.getpid).result()
        pool.submit(signal.pause)
        raise KeyError
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_worker_begins_deaf_to_ctrl_c_and_nothing_is_begun_that_nobody_waits_for(monkeypatch):
    monkeypatch.setattr(executors, "_start_worker", int)
    with executor(1) as pool:
        assert signal.SIGINT in pool.submit(signal.pthread_sigmask, signal.SIG_BLOCK, []).result()
        left = [pool.submit(sum, range(10**6)) for _ in range(9)]
    assert left[-1].cancelled()


def test_processes_of_one_pool_are_bounded(monkeypatch):
    monkeypatch.setattr(executors, "MOST_PROCESSES", 1)
    with executor(100) as pool:
        assert pool._max_workers == 1


class Ended(BaseException):
    """Where a process would have ended."""


@pytest.fixture
def ended(monkeypatch):
    """The exit codes of processes that end at once."""
    codes: list[int] = []

    def end(code):
        codes.append(code)
        raise Ended

    monkeypatch.setattr(os, "_exit", end)
    return codes


def test_a_worker_ends_when_its_parent_has(monkeypatch, ended):
    executors._end_with_parent()
    assert ended == []  # this process is nobody's worker
    joined: list[bool] = []
    parent = SimpleNamespace(join=lambda: joined.append(ended == []))
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: parent)
    with pytest.raises(Ended):
        executors._end_with_parent()
    assert (joined, ended) == ([True], [1])


def test_sigterm_tidies_up_after_a_job_and_has_nothing_to_tidy_besides(ended):
    tidied = []

    def job():
        try:
            executors._exit_on_sigterm(signal.SIGTERM, None)
        finally:
            tidied.append(len(ended))

    with pytest.raises(Ended):
        executors._run_job(job)
    with pytest.raises(Ended):
        executors._exit_on_sigterm(signal.SIGTERM, None)
    assert (tidied, ended) == ([0], [143, 143])


def test_what_python_drops_of_a_signal_ends_the_worker_and_the_rest_is_told(monkeypatch, ended):
    told: list[object] = []
    monkeypatch.setattr(sys, "__unraisablehook__", told.append)
    executors._exit_on_lost_sigterm(lost := SimpleNamespace(exc_value=ValueError()))
    with pytest.raises(Ended):
        executors._exit_on_lost_sigterm(SimpleNamespace(exc_value=SystemExit(143)))
    assert told == [lost] and ended == [143]


@pytest.mark.parametrize("busy", [False, True])
def test_workers_that_a_library_keeps_busy_are_killed(busy):
    done: list[object] = []
    worker = SimpleNamespace(
        terminate=lambda: done.append("told"),
        join=done.append,
        is_alive=lambda: busy,
        kill=lambda: done.append("killed"),
    )
    executors._end_workers([worker])
    assert done == ["told", executors.GRACE_SECONDS, *["killed"] * busy]
