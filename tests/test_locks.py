"""utils/locks.py: one writer of a target at a time; a dead one never blocks."""

import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conftest import ROOT
from utils.locks import BusyError, locked, sweep


def test_lock_of_a_killed_process_does_not_block(tmp_path):
    target = tmp_path / "target"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK, str(ROOT), str(target)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "locked\n"
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    with locked(target):
        target.touch()
    assert [p.name for p in tmp_path.iterdir()] == ["target"]


HOLD_LOCK = """
import sys; sys.path.insert(0, sys.argv[1])
from pathlib import Path
from utils.locks import BusyError, locked, sweep
with locked(Path(sys.argv[2])):
    print("locked", flush=True)
    sys.stdin.read()
    import signal; signal.pause()
"""


def lock_often(target):
    for _ in range(300):
        with locked(target):
            pass


def test_many_locks_in_one_folder_that_comes_and_goes(tmp_path):
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lock_often, [tmp_path / str(i) for i in range(6)]))
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_folder_of_locks_is_said(tmp_path):
    (tmp_path / ".recipes").touch()
    with pytest.raises(FileExistsError), locked(tmp_path / "a"):
        pass


@pytest.mark.skipif(os.name != "posix", reason="elsewhere the folder that one works in cannot go")
def test_where_no_folder_can_be_made_there_is_no_lock(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tmp_path.rmdir()
    with pytest.raises(FileNotFoundError), locked(Path("out") / "a"):
        pass
    tmp_path.mkdir()  # pytest wants to see it


def test_who_does_not_wait_is_told(tmp_path):
    with (
        locked(tmp_path / "a"),
        locked(tmp_path / "b", wait=False),
        pytest.raises(BusyError, match="a: another run is at work on it"),
        locked(tmp_path / "a", wait=False),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_who_waits_has_it_when_it_is_free(tmp_path):
    with ThreadPoolExecutor(1) as pool:
        with locked(tmp_path / "a"):
            waiting = pool.submit(locked(tmp_path / "a").__enter__)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.1)
        waiting.result()


def test_an_output_folder_that_was_removed_meanwhile_is_no_error(tmp_path):
    with locked(tmp_path / "out" / "a"):
        shutil.rmtree(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_what_dead_processes_left_goes(tmp_path):
    (tmp_path / ".recipes").mkdir()
    names = [".a.csv.part", ".b.tif.part.tif", ".c.part", ".recipes/.d.json.part.json", ".recipes/e.csv.lock"]
    others = ["a.csv", ".part", "x.part", ".hidden", ".recipes/a.csv.json"]
    for name in [*names, *others]:
        (tmp_path / name).touch()
    (tmp_path / ".f.part").mkdir()
    (tmp_path / ".f.part/inside").touch()
    with locked(tmp_path / "c"):
        sweep(tmp_path)
        left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
        assert left == {*others, ".c.part", ".recipes", ".recipes/c.lock"}
    sweep(tmp_path)
    assert not (tmp_path / ".c.part").exists()
    sweep(tmp_path / "gone")
    assert not (tmp_path / "gone").exists()
