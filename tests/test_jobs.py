"""utils/jobs.py and utils/cli.py: exit codes, failures, locks, dying workers."""

import argparse
import os
import signal
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import ROOT
from utils.cli import UsageError, add_run_options, fraction, make_parser, positive_int, run_script
from utils.jobs import SKIPPED, Job, Run, SomeFailed, describe, run_jobs
from utils.records.recipes import Recipe


def copy_upper(job: Job, scratch: Path, log: Path | None = None) -> str:
    text = Path(job.source).read_text()
    if "bad" in text:
        raise ValueError(f"cannot use {text!r}")
    if "die" in text:
        os.kill(os.getpid(), signal.SIGKILL)
    if "odd" in text:
        warnings.warn("an odd input", stacklevel=1)
    if "parts" in text:
        raise SomeFailed({f"{job.source}#2": "the second part is broken"})
    if log:
        with log.open("a") as f:
            f.write(f"{job.target.name}\n")
    scratch.write_text(text.upper())
    return "copied"


def job_of(base: Path, name: str, **options: object) -> Job:
    return Job(base / name, base / "out" / name, Recipe("test", {name: (base / name,)}, options, base))


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
from test_jobs import copy_upper, job_of
from utils.jobs import run_jobs
base = Path(sys.argv[2])
jobs = [job_of(base, f"f{i}") for i in range(12)]
sys.exit(run_jobs(partial(copy_upper, log=base / "log"), jobs))
"""


def endless(job: Job, scratch: Path, alive: Path) -> str:
    with alive.open("w") as pipe:
        print("started", file=pipe, flush=True)
        while True:
            signal.pause()


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
from test_jobs import endless, job_of
from utils.jobs import Run, run_jobs
base = Path(sys.argv[2])
if __name__ == "__main__":
    run_jobs(partial(endless, alive=base / "alive"), [job_of(base, n) for n in "ab"], Run(2))
"""


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (KeyError("x"), "KeyError: 'x'"),
        (ValueError(""), "ValueError"),
        (
            OSError("9 requested and 4 written"),
            "could not be written whole (9 requested and 4 written bytes); is the disk full?",
        ),
    ],
)
def test_describe_says_something(error, sentence):
    assert describe(error) == sentence


def test_describe_names_the_file(tmp_path):
    with pytest.raises(OSError) as caught:
        (tmp_path / "absent").read_text()
    assert describe(caught.value) == f"No such file or directory ({tmp_path / 'absent'})"


def body(args: argparse.Namespace) -> int:
    if args.p == 7:
        raise UsageError("seven is not supported")
    if args.p == 8:
        raise KeyboardInterrupt
    if args.p == 9:
        raise OSError("the disk is gone")
    return 0


def parser_for_test() -> argparse.ArgumentParser:
    parser = make_parser("Do a thing.\n\nExample:\n    thing -p 3\n")
    parser.add_argument("-p", type=positive_int, default=1)
    parser.add_argument("--verbose", action="store_true")
    return parser


@pytest.mark.parametrize(("value", "code"), [(1, 0), (7, 2), (8, 130), (9, 1)])
def test_exit_codes(value, code, capsys):
    assert run_script(body, parser_for_test(), ["-p", str(value)]) == code
    assert "Traceback" not in capsys.readouterr().err


def test_bad_arguments_exit_2(capsys):
    with pytest.raises(SystemExit) as caught:
        run_script(body, parser_for_test(), ["-p", "0"])
    assert caught.value.code == 2
    assert "'0' is not a whole number of at least 1" in capsys.readouterr().err
    with pytest.raises(argparse.ArgumentTypeError, match="from 0 to 1"):
        fraction("1.5")


def test_help_shows_the_example(capsys):
    parser = parser_for_test()
    add_run_options_parser = make_parser("Text.")
    add_run_options(add_run_options_parser, seed=True)
    assert "--seed" in add_run_options_parser.format_help()
    assert parser.format_help().rstrip().endswith("thing -p 3")


def test_dask_cluster_runs_the_same_jobs(make_jobs, tmp_path):
    """Through a script of its own: a cluster leaves threads behind that outlive a test."""
    pytest.importorskip("distributed")
    make_jobs(a="one", b="bad")
    done = subprocess.run([sys.executable, "-c", DASK, str(ROOT), str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert done.stdout == "files: 1 done, 0 done before, 1 failed\n"
    assert (tmp_path / "out" / "a").read_text() == "ONE"


DASK = """
import sys; sys.path[:0] = [sys.argv[1], sys.argv[1] + "/tests"]
from pathlib import Path
from distributed import LocalCluster
from test_jobs import copy_upper, job_of
from utils.jobs import Run, run_jobs
if __name__ == "__main__":
    base = Path(sys.argv[2])
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster:
        code = run_jobs(copy_upper, [job_of(base, n) for n in "ab"], Run(dask=cluster.scheduler_address))
    sys.exit(code)
"""


def test_an_absent_cluster_is_bad_usage():
    pytest.importorskip("distributed")
    done = subprocess.run([sys.executable, "-c", NO_DASK, str(ROOT)], capture_output=True, text=True)
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in done.stdout


NO_DASK = """
import sys; sys.path.insert(0, sys.argv[1])
from pathlib import Path
from utils import executors, jobs
executors.DASK_TIMEOUT = "1s"
try:
    jobs.run_jobs(str, [jobs.Job("a", Path("never"))], jobs.Run(dask="tcp://127.0.0.1:9"))
except jobs.UsageError as error:
    print(error)
"""
