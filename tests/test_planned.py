"""Rows planned side by side: what is quick comes first, a silent server holds up none of the others."""

import threading

import pytest

from loopback import serving
from ngff_images import pyramid, write_ome_zarr
from utils.ngff.access import Access
from utils.ngff.table import Dataset
from utils.sampling import planned as room
from utils.sampling.plan import SamplingOptions
from utils.sampling.planned import PlannedRow, plan_rows

pytestmark = pytest.mark.usefixtures("fresh_hosts")
OPTIONS = SamplingOptions(access=Access(timeout=20, retries=0))


def test_plans_and_reasons_in_the_rows_order(tmp_path):
    rows = [Dataset(str(write_ome_zarr(tmp_path / f"{name}.zarr", pyramid())), name) for name in "abc"]
    rows.insert(1, Dataset(str(tmp_path / "none.zarr"), "none"))
    rows.insert(0, Dataset("ftp://host/x", "ftp"))
    planned = plan_rows(rows, OPTIONS, None)
    assert [one.row.name for one in planned] == ["ftp", "a", "none", "b", "c"]
    assert [one.plan is not None for one in planned] == [False, True, False, True, True]
    assert planned[2].reason == "no such folder" and "ftp:// are not known" in planned[0].reason
    assert str(planned[1]) == rows[1].url and planned[1].result(OPTIONS) is planned[1].plan
    with pytest.raises(ValueError, match=r"^no such folder$"):
        planned[2].result(OPTIONS)


def test_what_is_said_of_a_row_is_said_when_it_is_worked_on(tmp_path, recwarn):
    levels = pyramid()
    rows = [Dataset(str(write_ome_zarr(tmp_path / f"{name}.zarr", levels)), name) for name in "ab"]
    (tmp_path / "b.zarr/2/.zarray").unlink()
    a, b, again = plan_rows([*rows, rows[1]], OPTIONS, None)
    assert again.said == b.said  # of every row, be it the same sentence
    assert a.said == () and len(b.said) == 1 and "level '2' is left out" in b.said[0]
    assert not recwarn.list
    with pytest.warns(UserWarning, match="level '2' is left out"):
        assert b.result(OPTIONS) is b.plan


def test_rows_of_a_silent_server_come_last_and_are_planned_when_it_is_their_turn(tmp_path):
    write_ome_zarr(tmp_path / "x.zarr", pyramid())
    stalled = {"at": True}
    with serving(tmp_path, lambda path, nth: "stall" if stalled["at"] else None) as silent, serving(tmp_path) as quick:
        rows = [Dataset(f"{server.url}/x.zarr", name) for server, name in ((silent, "a"), (silent, "b"), (quick, "c"))]
        planned = plan_rows(rows, OPTIONS, 0.5)
        assert [one.row.name for one in planned] == ["c", "a", "b"]
        assert [one.plan is not None for one in planned] == [True, False, False]
        assert planned[1].reason == planned[2].reason == "" and len(silent.log) < 20  # the first row's requests only
        stalled["at"] = False
        silent.released.set()
        assert planned[2].result(OPTIONS).name == "b_s0"


def test_rows_that_were_not_begun_in_time_are_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "THREADS", 1)
    write_ome_zarr(tmp_path / "x.zarr", pyramid())
    before = set(threading.enumerate())
    with serving(tmp_path, lambda path, nth: "stall") as silent, serving(tmp_path) as quick:
        planned = plan_rows([Dataset(f"{server.url}/x.zarr", "x") for server in (silent, quick)], OPTIONS, 0.2)
        assert [one.plan for one in planned] == [None, None]
        workers = [thread for thread in set(threading.enumerate()) - before if "ThreadPool" in thread.name]
        silent.released.set()
        for worker in workers:
            worker.join()
        assert len(workers) == 1 and quick.log == []


def test_nothing_to_plan():
    assert plan_rows([], OPTIONS) == []
    assert str(PlannedRow(Dataset("http://me:secret@host/x", "x"))) == "http://host/x" or "secret" not in str(
        PlannedRow(Dataset("http://me:secret@host/x", "x"))
    )
