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
    cluster = client.Cluster(SimpleNamespace(status="running", nthreads=lambda **_: {"w": 2}, **known), "tcp://at", 5.0)
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
    cluster._client.nthreads = lambda **_: {}
    assert not cluster._look_after()
    cluster._workers_seen -= 6
    with pytest.raises(UnavailableError, match=r"at tcp://at had no worker for 5 s \(--dask-timeout\)"):
        cluster._look_after()
    cluster._client.status = "closed"
    with pytest.raises(UnavailableError, match="the Dask scheduler at tcp://at is gone or silent; what is"):
        cluster._look_after()


def test_a_scheduler_that_stands_still_is_waited_for_no_longer_than_the_timeout():
    def nthreads(callback_timeout):
        raise TimeoutError(callback_timeout)

    cluster = connected()
    cluster._client.nthreads = nthreads
    with pytest.raises(UnavailableError, match="gone or silent") as silent:
        cluster._look_after()
    assert str(silent.value.__cause__) == "5.0"


class Dask:
    """What a run asks of a scheduler; the work is done when it is submitted, or never."""

    status = "running"

    def __init__(self, busy=(), answers=True):
        self.busy, self.answers, self.cancelled, self.closed, self.sizes = list(busy), answers, [], None, []

    def nthreads(self, callback_timeout=None):
        return {"w": 2}

    def submit(self, ask, path, order, items, key):
        self.sizes.append(len(items))
        future = Future([client.pickle.dumps((child.RETURNED, client.pickle.loads(item), ())) for item in items])
        future.add_done_callback = lambda put: put(future) if self.answers else None
        return future

    def cancel(self, futures, force):
        self.cancelled.append((len(futures), force))

    def run(self, function, *args, on_error, callback_timeout):
        return {"w": self.busy.pop(0)}

    def close(self, timeout):
        self.closed = timeout


def test_two_batches_for_each_thread_are_under_way():
    cluster = client.Cluster(Dask(answers=False), "tcp://at", 5.0)
    assert cluster._look_after() and cluster.threads == 2
    item = client.pickle.dumps("a")
    batches, left = {}, deque((i, item) for i in range(9))
    list(cluster._send(client.Order("", "", (), {}, b""), left, batches, client._BatchSize(1)))
    assert list(batches.values()) == [[(i, item)] for i in range(4)] and len(left) == 5


def test_what_is_under_way_is_cancelled_when_nobody_reads_on():
    for read, cancelled in ((1, True), (6, False)):
        cluster = client.Cluster(Dask(), "tcp://at", 5.0)
        cluster._look_after()
        answers = cluster.map(str.upper, range(6), largest=1)
        assert sorted(next(answers) for _ in range(read)) == [(i, i) for i in range(read)]
        assert read == 1 or next(answers, None) is None
        answers.close()
        assert cluster._client.cancelled == ([(3, True)] if cancelled else [])


def test_a_run_ends_when_its_children_have():
    cluster = client.Cluster(Dask(busy=[2, 1, 0]), "tcp://at", 5.0)
    cluster.close()
    assert cluster._client.busy == [] and cluster._client.closed == 2


def test_a_script_travels_only_where_the_work_is_its_own(monkeypatch, tmp_path):
    monkeypatch.setitem(client.sys.modules["__main__"].__dict__, "__file__", str(tmp_path / "script.py"))
    cluster = client.Cluster(Dask(), "tcp://at", 5.0)
    order, items = cluster._order(str.upper, ["a", Path("b")])
    assert order.hello["script"] is None and order.hello["relative"] and len(items) == 2
    monkeypatch.setattr(client, "_pack", lambda value: (b"c__main__\nwork\n.", False))  # of the script's own
    order, _ = cluster._order(str.upper, [])
    assert order.hello["script"] == str(tmp_path / "script.py") and not order.hello["relative"]


@pytest.mark.parametrize("reachable", ["w", "x"])
def test_a_cluster_is_known_before_it_is_used_and_left_behind(monkeypatch, reachable):
    dask = Dask(busy=[0])
    monkeypatch.setattr(dask, "nthreads", lambda **_: {"w": 1, "x": 1})
    monkeypatch.setattr(client, "connect", lambda address, timeout: dask)
    monkeypatch.setattr(client, "reaches", lambda worker: worker == reachable)
    with client.cluster("tcp://at", 5.0) as connected:
        assert connected.threads == 2 and dask.direct_to_workers is (reachable == "w")  # the first is asked
    assert dask.closed == 2


def test_batches_grow_while_they_are_quick():
    dask = Dask()
    assert sorted(client.Cluster(dask, "tcp://at", 5.0).map(str, range(400))) == [(i, i) for i in range(400)]
    assert dask.sizes[0] == 1 and max(dask.sizes) > 1


def test_a_scheduler_that_goes_meanwhile_is_noticed(monkeypatch):
    monkeypatch.setattr(client, "LOOK_SECONDS", 0.01)
    cluster = client.Cluster(Dask(answers=False), "tcp://at", 5.0)
    cluster._client.status = "closed"
    with pytest.raises(UnavailableError, match="is gone"):
        list(cluster.map(str.upper, ["a"]))


def test_of_a_scheduler_that_is_gone_nobody_is_waited_for(monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr(client.time, "sleep", waits.append)
    dask = Dask(busy=[2, 0])
    client.Cluster(dask, "tcp://at", 5.0).close()
    assert waits == [0.05] and dask.closed == 2
    dask.status = "closed"
    client.Cluster(dask, "tcp://at", 5.0).close()
    assert waits == [0.05]
