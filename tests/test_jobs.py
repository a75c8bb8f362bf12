"""utils/jobs.py and utils/cli.py: exit codes, failures, locks, dying workers."""

import os
import signal
import subprocess
import sys
import warnings
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import ROOT
from little_work import copy_upper, job_of
from utils.jobs import SKIPPED, Job, Outdated, PassedOver, Run, WorkResult, run_jobs
from utils.locks import locked
from utils.records.recipes import load_record, record_path
from utils.results import Scope


@pytest.fixture
def make_jobs(tmp_path):
    def make(**texts: str) -> list[Job]:
        jobs = []
        for name, text in texts.items():
            (tmp_path / name).write_text(text)
            jobs.append(job_of(tmp_path, name))
        return jobs

    return make


@pytest.mark.parametrize("processes", [1, 2])
def test_good_jobs(make_jobs, processes, capsys):
    jobs = make_jobs(a="one", b="two", c="three")
    assert run_jobs(copy_upper, jobs, Run(processes)) == 0
    assert [job.target.read_text() for job in jobs] == ["ONE", "TWO", "THREE"]
    assert capsys.readouterr().out == "files: 3 done, 0 done before, 0 failed\n"
    assert run_jobs(copy_upper, jobs, Run(processes)) == 0
    assert capsys.readouterr().out == "files: 0 done, 3 done before, 0 failed\n"
    assert sorted(p.name for p in (jobs[0].target.parent).iterdir()) == [".recipes", "a", "b", "c"]


@pytest.mark.parametrize("processes", [1, 2])
def test_failures_are_named_once_and_stop_no_other(make_jobs, processes, capsys):
    jobs = make_jobs(a="one", b="bad", c="odd", d="parts")
    assert run_jobs(copy_upper, jobs, Run(processes)) == 1
    out, err = capsys.readouterr()
    assert out == "files: 2 done, 0 done before, 2 failed\n"
    assert err.count(f"{jobs[1].source}: cannot use 'bad'") == 1
    assert err.count(f"{jobs[3].source}#2: the second part is broken") == 1
    assert f"{jobs[2].source}: warning: an odd input" in err
    assert "Traceback" not in err
    assert jobs[0].target.exists()
    assert not jobs[1].target.exists()


def test_verbose_shows_tracebacks_and_quiet_no_summary(make_jobs, capsys):
    assert run_jobs(copy_upper, make_jobs(b="bad"), Run(verbose=True)) == 1
    assert "Traceback" in capsys.readouterr().err
    assert run_jobs(copy_upper, make_jobs(a="one"), Run(quiet=True)) == 0
    assert capsys.readouterr() == ("", "")


def test_a_dying_worker_takes_only_its_own_job_down(make_jobs, capsys):
    jobs = make_jobs(a="one", b="die", c="three", d="four")
    assert run_jobs(copy_upper, jobs, Run(2)) == 1
    out, err = capsys.readouterr()
    assert ", 1 failed" in out
    assert [job.target.exists() for job in jobs] == [True, False, True, True]
    assert f"{jobs[1].source}: the process working on it died" in err


def test_jobs_that_share_a_target_fail_by_name_and_the_others_are_done(make_jobs, tmp_path, capsys):
    jobs = make_jobs(a="one", b="two", c="three")
    shared = [replace(job, target=tmp_path / "out" / name) for job, name in zip(jobs, ("x", "X", "c"), strict=True)]
    assert run_jobs(copy_upper, shared) == 1
    out, err = capsys.readouterr()
    assert out == "files: 1 done, 0 done before, 2 failed\n"
    assert f"{jobs[0].source}: would share {tmp_path / 'out' / 'x'} with {jobs[1].source}" in err
    assert f"{jobs[1].source}: would share" in err
    assert sorted(p.name for p in (tmp_path / "out").glob("*")) == [".recipes", "c"]


def decide(job: Job) -> str:
    if job.target.exists():
        return SKIPPED
    job.target.write_text("made")
    return "made"


def test_work_without_a_recipe_decides_by_itself(tmp_path, capsys):
    jobs = [Job("a", tmp_path / "a")]
    assert run_jobs(decide, jobs) == run_jobs(decide, jobs) == 0
    assert capsys.readouterr().out.splitlines() == [
        "files: 1 done, 0 done before, 0 failed",
        "files: 0 done, 1 done before, 0 failed",
    ]


def leave(job: Job) -> Outdated:
    warnings.warn("a voxel size is missing", stacklevel=1)
    warnings.warn("a voxel size is  missing", RuntimeWarning, stacklevel=1)
    warnings.warn("no business of users", DeprecationWarning, stacklevel=1)
    return Outdated("its input has changed")


def test_work_without_a_recipe_may_leave_its_result_and_warn(tmp_path, capsys):
    assert run_jobs(leave, [Job("a", tmp_path / "a")]) == 0
    out, err = capsys.readouterr()
    assert out == "files: 0 done, 0 done before, 1 outdated, 0 failed\n"
    assert err.splitlines() == [
        "a: warning: a voxel size is missing",
        "a: outdated: its input has changed",
        "outdated results are kept; --update redoes them",
    ]


def test_what_is_done_is_known_at_a_glance(make_jobs, monkeypatch, capsys):
    jobs = make_jobs(a="one", b="two")
    assert run_jobs(copy_upper, jobs) == 0
    monkeypatch.setattr("utils.jobs.locked", None)  # nothing is held for it
    assert run_jobs(copy_upper, jobs) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "files: 0 done, 2 done before, 0 failed"
    monkeypatch.undo()
    jobs[0].target.unlink()
    assert run_jobs(copy_upper, jobs) == 0 and jobs[0].target.read_text() == "ONE"


def test_large_jobs_run_alone(make_jobs):
    jobs = make_jobs(a="one", b="two", c="three")
    assert run_jobs(copy_upper, jobs, Run(2), alone=lambda job: job.source.name == "b") == 0
    assert all(job.target.exists() for job in jobs)


def test_two_runs_do_the_work_once(make_jobs, tmp_path):
    jobs = make_jobs(**{f"f{i}": "text" for i in range(12)})
    log = tmp_path / "log"
    runs = [
        subprocess.Popen([sys.executable, "-c", TWO_RUNS, str(ROOT), str(tmp_path)], stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    assert [run.wait() for run in runs] == [0, 0]
    for run in runs:
        assert run.stdout is not None
        run.stdout.close()
    assert sorted(log.read_text().split()) == sorted(job.target.name for job in jobs)


TWO_RUNS = """
import sys; sys.path[:0] = [sys.argv[1], sys.argv[1] + "/tests"]
from functools import partial
from pathlib import Path
from little_work import copy_upper, job_of
from utils.jobs import run_jobs
base = Path(sys.argv[2])
jobs = [job_of(base, f"f{i}") for i in range(12)]
sys.exit(run_jobs(partial(copy_upper, log=base / "log"), jobs))
"""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_workers_end_with_a_killed_parent(make_jobs, tmp_path):
    make_jobs(a="one", b="two")
    os.mkfifo(tmp_path / "alive")
    parent = subprocess.Popen([sys.executable, "-c", ENDLESS, str(ROOT), str(tmp_path)])
    with (tmp_path / "alive").open() as pipe:  # waits for a worker to open it, too
        assert pipe.readline() == "started\n"
        parent.kill()
        parent.wait()
        assert set(pipe) <= {"started\n"}  # ends when no worker holds the pipe any more


ENDLESS = """
import sys; sys.path[:0] = [sys.argv[1], sys.argv[1] + "/tests"]
from functools import partial
from pathlib import Path
from little_work import endless, job_of
from utils.jobs import Run, run_jobs
base = Path(sys.argv[2])
if __name__ == "__main__":
    run_jobs(partial(endless, alive=base / "alive"), [job_of(base, n) for n in "ab"], Run(2))
"""


def test_what_was_made_of_another_input_or_option_is_outdated_until_update(make_jobs, tmp_path, capsys):
    [job] = make_jobs(a="one")
    assert run_jobs(copy_upper, [job]) == 0
    (tmp_path / "a").write_text("two")
    capsys.readouterr()
    assert run_jobs(copy_upper, [job]) == 0
    out, err = capsys.readouterr()
    assert out == "files: 0 done, 0 done before, 1 outdated, 0 failed\n"
    assert err == f"{job.source}: outdated: a has changed\noutdated results are kept; --update redoes them\n"
    assert job.target.read_text() == "ONE"
    assert run_jobs(copy_upper, [job], Run(update=True)) == 0
    assert job.target.read_text() == "TWO"
    other = job_of(tmp_path, "a", level=2)
    assert run_jobs(copy_upper, [other]) == 0
    assert "done before" in capsys.readouterr().out, "an option that the record does not know had no say"


def test_an_update_that_fails_keeps_the_old_result_unless_pruned(make_jobs, tmp_path):
    [job] = make_jobs(a="one")
    scope = Scope("test", tmp_path, tmp_path / "out")
    assert run_jobs(copy_upper, [job], scope=scope) == 0
    (tmp_path / "a").write_text("bad")
    assert run_jobs(copy_upper, [job], Run(update=True), scope=scope) == 1
    assert job.target.read_text() == "ONE"
    assert run_jobs(copy_upper, [job], Run(update=True, prune=True), scope=scope) == 1
    assert not job.target.exists(), "its input is gone: another stands in its place"


def test_results_without_their_input_are_named_and_pruned(make_jobs, tmp_path, capsys):
    jobs = make_jobs(a="one", b="two")
    scope = Scope("test", tmp_path, tmp_path / "out")
    assert run_jobs(copy_upper, jobs, scope=scope) == 0
    capsys.readouterr()
    assert run_jobs(copy_upper, jobs[:1], scope=scope) == 0
    out, err = capsys.readouterr()
    assert out == "files: 0 done, 1 done before, 1 without their input, 0 failed\n"
    assert err == f"results without their input (1; --prune removes them): {jobs[1].target}\n"
    assert run_jobs(copy_upper, jobs[:1], Run(prune=True), scope=scope) == 0
    assert not jobs[1].target.exists() and jobs[0].target.exists()


def pass_over(job: Job, scratch: Path) -> str:
    text = Path(job.source).read_text()
    if "small" in text:
        raise PassedOver(f"{text} is too small")
    return copy_upper(job, scratch)


def test_what_gives_no_result_is_passed_over_by_name_and_remembered(make_jobs, tmp_path, capsys):
    jobs = make_jobs(a="small", b="two")
    for count in ("1 done, 0 done before", "0 done, 1 done before"):
        assert run_jobs(pass_over, jobs) == 0
        out, err = capsys.readouterr()
        assert out == f"files: {count}, 1 passed over, 0 failed\n"
        assert err == f"{jobs[0].source}: passed over: small is too small\n"
    (tmp_path / "b").write_text("small, now")
    assert run_jobs(pass_over, jobs, Run(update=True)) == 0
    assert not jobs[1].target.exists()
    (tmp_path / "a").write_text("large")
    assert run_jobs(pass_over, jobs) == 0
    assert jobs[0].target.read_text() == "LARGE"


def lacking(job: Job, scratch: Path) -> WorkResult:
    scratch.write_text("made")
    return WorkResult("made", {job.source.name: "it cannot be read"})


def test_a_target_that_lacks_inputs_stays_failed_until_they_can_be_read(make_jobs, capsys):
    [job] = make_jobs(a="one")
    readable: list[str] = []
    still = lambda job, failures: {name: reason for name, reason in failures.items() if name not in readable}  # noqa: E731
    for work in (lacking, copy_upper):
        assert run_jobs(work, [job], still_fails=still) == 1
        assert capsys.readouterr().err == f"{job.source}: it cannot be read\n"
    record = load_record(job.target)
    assert record is not None and record.failures == {"a": "it cannot be read"}
    readable.append("a")
    assert run_jobs(copy_upper, [job], still_fails=still) == 0
    assert job.target.read_text() == "ONE"


def slow_writer(job: Job, scratch: Path) -> None:
    Path(job.source).write_text("changed while it is read")
    scratch.write_text("mixed")


def test_an_input_that_changes_while_it_is_read_is_no_result(make_jobs, capsys):
    [job] = make_jobs(a="one")
    assert run_jobs(slow_writer, [job]) == 1
    assert "a changed while it was read" in capsys.readouterr().err
    assert not job.target.exists() and not record_path(job.target).exists()


def test_shards_share_all_jobs(make_jobs):
    jobs = make_jobs(**{f"f{i}": "text" for i in range(30)})
    shares = [[job for job in jobs if Run(shard=(i, 3)).owns(job.target)] for i in (1, 2, 3)]
    assert sorted(job.target for share in shares for job in share) == sorted(job.target for job in jobs)
    assert all(5 < len(share) < 16 for share in shares)


def test_what_another_run_holds_is_left_until_the_end(make_jobs, tmp_path):
    first, second = make_jobs(a="one", b="two")
    with ExitStack() as another:
        another.enter_context(locked(first.target))

        def work(job: Job, scratch: Path) -> str:
            another.close()  # it ends once this run is at its other job
            return copy_upper(job, scratch, tmp_path / "log")

        assert run_jobs(work, [first, second]) == 0
    assert (tmp_path / "log").read_text().split() == ["b", "a"]


def refuse_to_work(job: Job) -> None:
    raise AssertionError


def test_jobs_without_recipe_may_be_known_to_be_done(tmp_path, capsys):
    """Nobody is asked about these, and no lock is taken; what the others say of their work comes back."""
    jobs = [Job(name, tmp_path / "out" / name) for name in "ab"]
    assert run_jobs(refuse_to_work, jobs, is_done=lambda job: True) == 0
    assert capsys.readouterr().out == "files: 0 done, 2 done before, 0 failed\n"
    assert not (tmp_path / "out").exists()
    assert run_jobs(refuse_to_work, jobs, is_done=lambda job: job.source == "a") == 1
    assert "b: AssertionError" in capsys.readouterr().err


def tell(job: Job, scratch: Path) -> WorkResult:
    scratch.write_text("made")
    return WorkResult("", account=job.source.name)


@pytest.mark.parametrize("processes", [1, 2])
def test_accounts_come_back_from_wherever_work_is_done(make_jobs, processes):
    jobs = make_jobs(a="one", b="two", c="three")
    told: list[str] = []
    assert run_jobs(tell, jobs, Run(processes=processes), on_account=told.append) == 0
    assert sorted(told) == ["a", "b", "c"]
    assert run_jobs(tell, jobs, on_account=told.append) == 0
    assert len(told) == 3


def test_leftovers_of_dead_processes_go(make_jobs, tmp_path):
    jobs = make_jobs(a="one")
    out = tmp_path / "out"
    (out / ".recipes").mkdir(parents=True)
    for leftover in (".gone.tif.part.tif", ".recipes/gone.tif.lock", ".recipes/.gone.tif.json.part", ".gone.csv.part"):
        (out / leftover).touch()
    (out / ".somebody's").touch()
    assert run_jobs(copy_upper, jobs) == 0
    left = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert left == [".recipes/a.json", ".somebody's", "a"]


@pytest.mark.parametrize("processes", [1, 3])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_run_with_nothing_left_behind(make_jobs, tmp_path, processes, number, code):
    make_jobs(**{f"f{i}": "text" for i in range(3)})
    os.mkfifo(tmp_path / "alive")
    command = [sys.executable, "-c", SIGNALLED, str(ROOT), str(tmp_path), str(processes)]
    run = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    with (tmp_path / "alive").open() as pipe:
        assert pipe.readline() == "started\n"
        os.killpg(run.pid, number)  # as Ctrl-C does, and schedulers
        _, err = run.communicate()
        assert set(pipe) <= {"started\n"}  # ends when no worker holds the pipe any more
    assert run.returncode == code, err
    assert len(err.splitlines()) == 1 and "the same command goes on from here" in err
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


SIGNALLED = """
import sys; sys.path[:0] = [sys.argv[1], sys.argv[1] + "/tests"]
from functools import partial
from pathlib import Path
from little_work import endless, job_of
from utils.cli import make_parser, run_script
from utils.jobs import Run, run_jobs
base = Path(sys.argv[2])
if __name__ == "__main__":
    work = partial(endless, alive=base / "alive")
    body = lambda args: run_jobs(work, [job_of(base, f"f{i}") for i in range(3)], Run(int(sys.argv[3])))
    sys.exit(run_script(body, make_parser("Test."), []))
"""
