"""A run's side of a cluster: how many items go together, what is packed, what the workers need."""

from collections import deque
from pathlib import Path
from types import SimpleNamespace

import pytest

from utils.cli import UnavailableError
from utils.cluster import child, client


def test_batches_take_a_quarter_of_a_second():
    size = client._BatchSize(100)
    assert size.next(1000, 2) == 1
    size.learn(1, 0.001)
    assert size.next(1000, 2) == 4
    size.learn(4, 0.004)
    assert size.next(1000, 2) == 16
    assert size.next(8, 2) == 2
    size.learn(16, 16.0)
    assert size.next(1000, 2) == 1


@pytest.mark.parametrize(
    ("largest", "count", "seconds", "following"),
    [(100, 1, 0.25, 1), (100, 1, 0.05, 4), (3, 1, 0.01, 3), (100, 8, 0.5, 4)],
)
def test_what_the_last_batch_teaches(largest, count, seconds, following):
    size = client._BatchSize(largest)
    size.learn(count, seconds)
    assert size.next(10**6, 1) == following and size.next(1, 8) == 1


@pytest.mark.parametrize(
    ("value", "relative"),
    [(Path("a/b"), True), (Path("/a"), False), ({"x": [Path("a")]}, True), ("a/b", False), (3, False)],
)
def test_relative_paths_are_noticed(value, relative):
    packed, found = client._pack(value)
    assert client.pickle.loads(packed) == value and found is relative


def test_where_code_is_looked_for(monkeypatch):
    root = str(client.CHECKOUT)
    monkeypatch.setattr(
        client.sys, "path", ["", "/usr/lib/python3", f"{root}/tests", root, f"{root}/.venv/lib/site-packages"]
    )
    assert client._paths() == (root, f"{root}/tests")


class Future:
    def __init__(self, answers, seconds=0.1):
        self.status, self._answers = "finished", (answers, seconds)

    def result(self, timeout):
        return self._answers


def connected(**known):
    """A client that is told nothing by a scheduler."""
    cluster = client.Cluster(SimpleNamespace(status="running", nthreads=lambda: {"w": 2}, **known), "tcp://at", 5.0)
    assert cluster._look_after()
    return cluster


def test_answers_are_unpacked():
    cluster, size = connected(), client._BatchSize(9)
    pack = client.pickle.dumps
    good, raised = pack((child.RETURNED, 7, ("an odd input",))), pack((child.RAISED, ValueError("bad"), ()))
    with pytest.warns(UserWarning, match="an odd input"):
        found = cluster._results(Future([good, None]), [(0, b""), (1, b"")], size, deque())
    assert found[0] == 7 and isinstance(found[1], client.WorkerDied)
    with pytest.raises(ValueError, match=r"^bad$"):
        cluster._results(Future([raised]), [(0, b"")], size, deque())
    with pytest.raises(UnavailableError, match=r"^a Dask worker has no disk$"):
        cluster._results(Future([pack((child.REFUSED, "has no disk", ()))]), [(0, b"")], size, deque())


@pytest.mark.parametrize(("count", "again"), [(1, 0), (2, 2)])
def test_items_beside_one_that_kills_a_worker_are_tried_again(count, again):
    distributed = pytest.importorskip("distributed")
    error = distributed.KilledWorker("task", SimpleNamespace(address="w"), 3)
    future = SimpleNamespace(status="error", exception=lambda timeout: error)
    left: deque = deque()
    found = connected()._results(future, [(i, b"") for i in range(count)], client._BatchSize(9), left)
    assert len(left) == again and [type(each) for each in found] == [client.WorkerDied] * (count == 1)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (FileNotFoundError("x"), "has to lie on a file system that all workers share"),
        (OSError("y"), "cannot work .*: y"),
    ],
)
def test_workers_that_cannot(error, sentence):
    future = SimpleNamespace(status="error", exception=lambda timeout: error)
    with pytest.raises(UnavailableError, match=sentence):
        connected()._results(future, [(0, b"")], client._BatchSize(9), deque())


def test_a_scheduler_that_is_gone_and_one_without_workers():
    cluster = connected()
    cluster._client.nthreads = lambda: {}
    assert not cluster._look_after()
    cluster._workers_seen -= 6
    with pytest.raises(UnavailableError, match=r"at tcp://at had no worker for 5 s \(--dask-timeout\)"):
        cluster._look_after()
    cluster._client.status = "closed"
    with pytest.raises(UnavailableError, match="the Dask scheduler at tcp://at is gone; what is done is kept"):
        cluster._look_after()
