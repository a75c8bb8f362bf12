"""Where jobs and their parts are done: here, side by side, on a cluster; what kills a process is one job's doing."""

import argparse
import os
import signal
import threading
from contextlib import nullcontext
from pathlib import Path

import pytest

from utils.cluster.client import WorkerDied
from utils.runs import _CLUSTER, Run, _split, breadth, results, spread_map, spreading_over


def square(number: int) -> int:
    if number == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def where(number: int) -> tuple[int, int]:
    return number, os.getpid()


def died(number):
    return -number


class Here:
    """A cluster whose only worker is this process; what comes back, comes back in any order."""

    def map(self, do, items):
        for index, item in reversed(list(enumerate(items))):
            yield index, WorkerDied() if item == 13 else do(item)


def where_parts_go(number: int) -> tuple[int, bool]:
    return number, _CLUSTER.get() is not None


def test_on_a_cluster_some_are_spread_after_the_others(monkeypatch):
    monkeypatch.setattr("utils.cluster.client.cluster", lambda address, timeout: nullcontext(Here()))
    run = Run(dask="tcp://here:1")
    assert list(results(square, [1, 2, 13, 3], run, died)) == [9, -13, 4, 1]
    assert list(results(where_parts_go, [1, 2, 3], run, died, spread=lambda number: number == 1)) == [
        (3, False), (2, False), (1, True),
    ]  # fmt: skip


def test_one_process_is_this_one():
    assert list(results(where, [1, 2], Run(), died)) == [(1, os.getpid()), (2, os.getpid())]
    assert list(results(where, [1], Run(4), died)) == [(1, os.getpid())]  # one job needs no others
    assert list(results(square, [], Run(4), died)) == list(results(square, [], Run(dask="nowhere"), died)) == []


def test_side_by_side_and_one_that_kills_its_process():
    assert sorted(results(square, [1, 2, 13, 3], Run(2), died)) == [-13, 1, 4, 9]


def test_those_that_take_all_processes_are_done_last_and_alone():
    found = list(results(where, [1, 2], Run(2), died, alone=lambda number: number == 1))
    numbers, places = zip(*found, strict=True)
    assert numbers == (2, 1)
    assert places[-1] not in places[:-1] and os.getpid() not in places


@pytest.mark.parametrize(
    ("chosen", "parts"),
    [(None, ([], [1, 2, 3])), (lambda n: n > 1, ([2, 3], [1])), (lambda n: True, ([1, 2, 3], []))],
)
def test_which_are_chosen(chosen, parts):
    assert _split([1, 2, 3], chosen) == parts


def test_a_run_is_one_process_of_this_machine_unless_it_says_otherwise():
    run = Run()
    assert (run.processes, run.dask, run.dask_timeout) == (1, None, 60.0)
    assert not (run.update or run.prune or run.verbose or run.quiet)


def test_the_command_line_s_say():
    said = argparse.Namespace(processes=3, shard=(1, 2), quiet=True, source="in")
    assert Run.of(said) == Run(processes=3, shard=(1, 2), quiet=True)


def test_shares_are_of_names_without_suffix():
    names = [f"v{number}.nrrd" for number in range(60)]
    shares = [{name for name in names if Run(shard=(index, 3)).owns(Path("a", name))} for index in (1, 2, 3)]
    assert set().union(*shares) == set(names) and sum(map(len, shares)) == 60 and min(map(len, shares)) > 9
    assert all(Run(shard=(1, 3)).owns(Path("b", name).with_suffix(".pkl")) == (name in shares[0]) for name in names)
    assert Run().owns(Path("a")) is True


class Cluster:
    """Answers in reverse order."""

    def __init__(self, dies=None):
        self.dies, self.largest, self.threads = dies, None, 40

    def map(self, work, items, *, largest):
        self.largest = largest
        for index in reversed(range(len(items))):
            yield index, WorkerDied() if index == self.dies else work(items[index])


def test_here_in_order():
    seen = set()

    def work(item):
        seen.add(threading.current_thread().name)
        return item * 2

    assert list(spread_map(work, range(20), 3)) == list(range(0, 40, 2))
    assert list(spread_map(work, [], 3)) == []


def test_over_a_cluster_in_order():
    cluster = Cluster()
    with spreading_over(cluster):
        assert list(spread_map(str, range(5), 1, largest=7)) == list("01234") and cluster.largest == 7
        assert breadth(3) == 40
        assert list(spread_map(str, range(2), 1)) == ["0", "1"] and cluster.largest == 1
        with spreading_over(None):
            assert list(spread_map(str, range(2), 1)) == ["0", "1"]
        assert cluster.largest == 1
    assert list(spread_map(str, range(2), 1)) == ["0", "1"] and breadth(3) == 3


def test_a_part_that_kills_its_process():
    with spreading_over(Cluster(dies=3)), pytest.raises(RuntimeError, match="a process working on a part of it died"):
        list(spread_map(str, range(5), 1))


def test_the_cluster_is_left_when_the_block_fails():
    cluster = Cluster()
    with pytest.raises(KeyError), spreading_over(cluster):
        raise KeyError
    assert list(spread_map(str, range(2), 1)) == ["0", "1"] and cluster.largest is None
