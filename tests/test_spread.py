"""Parts of one job: in order, over threads here, or over a cluster that answers as it pleases."""

import threading

import pytest

from utils.cluster.client import WorkerDied
from utils.spread import breadth, spread_map, spreading_over


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
