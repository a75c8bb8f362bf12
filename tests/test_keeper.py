"""The children of a worker: frames, places, what is given back, when they go."""

import io
import os
import pickle
import signal
import time
from dataclasses import astuple
from types import SimpleNamespace

import pytest

from conftest import ROOT
from utils.cluster import keeper


def test_children_at_work_have_places_of_their_own():
    held = keeper._Keeper()
    order = keeper.Order("run", "key", (str(ROOT),), {}, b"")
    first, second = held.acquire(order), held.acquire(order)
    assert held._watching
    held.release("run", first, alive=False)
    third = held.acquire(order)
    assert (first.place, second.place, third.place) == (0, 1, 0)
    for child_process in (second, third):
        held.release("run", child_process, alive=False)


def test_frames():
    pipe = io.BytesIO()
    for content in (b"", b"abc", bytes(70000)):
        keeper.write_frame(pipe, content)
    end = pipe.tell()
    pipe.seek(0)
    assert [len(keeper.read_frame(pipe) or b"") for _ in range(3)] == [0, 3, 70000]
    assert keeper.read_frame(pipe) is None
    for cut in (end - 1, end - 70001, 4):
        short = io.BytesIO(pipe.getvalue()[:cut])
        found = [keeper.read_frame(short) for _ in range(3)]
        assert found[-1] is None


def test_a_child_knows_one_order_at_a_time_and_goes_when_nobody_waits(tmp_path, monkeypatch):
    monkeypatch.setattr(keeper, "LOOK_SECONDS", 0.05)
    hello = {"versions": {}, "folder": str(tmp_path), "relative": False, "script": None, "settings": {}}
    upper, lower, sleep = (
        keeper.Order("run", f"{work.__name__}", (str(ROOT),), hello, pickle.dumps(work))
        for work in (str.upper, str.lower, time.sleep)
    )
    child = keeper.Child((str(ROOT),), place=3)
    assert child.place == 3 and os.getpgid(child._process.pid) == child._process.pid  # no Ctrl-C of the terminal
    answers = [child.ask(order, pickle.dumps("aB"), lambda: True) for order in (upper, upper, lower, upper)]
    assert [pickle.loads(answer)[1] for answer in answers] == ["AB", "AB", "ab", "AB"]
    assert child.ask(sleep, pickle.dumps(60), lambda: False) is None
    assert child._process.returncode == 143


def test_a_child_that_does_not_go_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(keeper, "GRACE_SECONDS", 0.05)
    script = "import signal\ndef stay(_):\n    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    (tmp_path / "script.py").write_text(script)
    hello = {"versions": {}, "folder": str(tmp_path), "relative": False, "settings": {}}
    hello["script"] = str(tmp_path / "script.py")
    child = keeper.Child((str(ROOT),))
    assert child.ask(keeper.Order("run", "key", (), hello, b"c__main__\nstay\n."), pickle.dumps(0), lambda: True)
    child.end()
    assert child._process.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("task", "status", "wanted"),
    [("executing", "running", True), ("cancelled", "running", False), (None, "running", False),
     ("executing", "closing", False), ("executing", "closed", False)],
)  # fmt: skip
def test_an_answer_is_wanted_while_task_and_worker_live(monkeypatch, task, status, wanted):
    distributed = pytest.importorskip("distributed")
    tasks = {"key": SimpleNamespace(state=task)} if task else {}
    worker = SimpleNamespace(
        get_current_task=lambda: "key", state=SimpleNamespace(tasks=tasks), status=SimpleNamespace(name=status)
    )
    monkeypatch.setattr(distributed, "get_worker", lambda: worker)
    monkeypatch.setattr(keeper, "answer", lambda order, items, wanted: ([None], wanted()))
    if wanted:  # then it was the item that killed its child
        assert keeper.answer_in_dask(astuple(ORDER), [b"a"]) == ([None], True)
    else:
        with pytest.raises(distributed.Reschedule):
            keeper.answer_in_dask(astuple(ORDER), [b"a"])


class Child:
    """A child that answers in capitals, and dies of one word."""

    def __init__(self, paths, place=0):
        self.place, self.ended, self.told, self.idle_since = place, False, False, 0.0

    def ask(self, order, item, wanted):
        return None if item == b"die" else item.upper()

    def tell_to_go(self):
        self.told = True

    def end(self):
        self.ended = True


@pytest.fixture
def held(monkeypatch):
    """A keeper of such children."""
    monkeypatch.setattr(keeper, "Child", Child)
    held = keeper._Keeper()
    held._watching = True
    monkeypatch.setattr(keeper, "keeper", held)
    return held


ORDER = keeper.Order("run", "key", (), {}, b"")


def test_one_child_for_a_row_of_items_and_another_after_a_death(held):
    answers, seconds = keeper.answer(ORDER, [b"a", b"die", b"b"], lambda: True)
    assert answers == [b"A", None, b"B"] and seconds >= 0
    assert held._busy["run"] == [] and len(held._idle["run"]) == 1
    assert keeper.answer(ORDER, [b"die", b"b"], lambda: False)[0] == [None]  # nobody wants the rest
    assert held._idle["run"] == []


def test_children_end_with_their_run(held):
    idle, busy = held.acquire(ORDER), held.acquire(ORDER)
    held.release("run", idle, alive=True)
    assert held.acquire(ORDER) is idle and held.end_run("other") == 0
    held.release("run", idle, alive=True)
    assert held.end_run("run") == 1
    assert idle.ended and not idle.told and busy.told and not busy.ended
    held.release("run", busy, alive=True)
    assert busy.ended and held.end_run("run") == 0


def test_children_that_nobody_asked_for_long_end(held, monkeypatch):
    old, young = held.acquire(ORDER), held.acquire(ORDER)
    for child in (old, young):
        held.release("run", child, alive=True)
    old.idle_since -= keeper.IDLE_SECONDS + 1
    young.idle_since -= keeper.IDLE_SECONDS / 2
    slept = []

    def sleep(seconds: float) -> None:
        if slept:
            raise InterruptedError
        slept.append(seconds)

    monkeypatch.setattr(keeper.time, "sleep", sleep)
    with pytest.raises(InterruptedError):
        held._watch()
    assert (old.ended, young.ended, held._idle["run"]) == (True, False, [young])
    assert slept == [keeper.IDLE_SECONDS / 4]
