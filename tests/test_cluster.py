"""utils/cluster, utils/runs.py: plain `dask scheduler` and `dask worker` processes that know nothing of this suite."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TextIO

import numpy as np
import pytest
import SimpleITK as sitk

import classify_patches
import patchify3d
from clusters import scheduler, worker
from conftest import ROOT, results, smooth_volume
from little_work import astray, copy_upper, job_of, kill_once, warn_of_itself
from utils.cluster import client, connection
from utils.dictionaries import save_patches
from utils.jobs import Job, Run, run_jobs

pytestmark = pytest.mark.skipif(find_spec("distributed") is None, reason="Dask is not installed")


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    """A scheduler with a worker of two threads, started in other folders."""
    base = tmp_path_factory.mktemp("cluster")
    with scheduler(base / "scheduler") as at, worker(base / "worker", at, threads=2):
        yield at


@pytest.fixture
def make_jobs(tmp_path, monkeypatch) -> Callable[..., list[Job]]:
    """Jobs of texts, by relative paths."""
    monkeypatch.chdir(tmp_path)

    def make(**texts: str) -> list[Job]:
        for name, text in texts.items():
            Path(name).write_text(text)
        return [job_of(Path(), name) for name in texts]

    return make


def test_jobs_are_done_as_locally(address, make_jobs, capsys):
    jobs = make_jobs(a="one", b="bad", c="odd", d="parts", e="five")
    said = []
    for run in (Run(verbose=True), Run(verbose=True, dask=address)):
        assert run_jobs(copy_upper, jobs, run) == 1
        out, err = capsys.readouterr()
        said.append((out, sorted(line for line in err.splitlines() if not line.startswith((" ", "Traceback")))))
        assert [job.target.exists() for job in jobs] == [True, False, True, False, True]
        for job in jobs:
            job.target.unlink(missing_ok=True)
            (job.target.parent / ".recipes" / f"{job.target.name}.json").unlink(missing_ok=True)
    assert said[0] == said[1]


def test_what_kills_its_process_is_one_failed_job(address, make_jobs, capsys):
    jobs = make_jobs(a="one", b="die", c="three", d="four")
    assert run_jobs(copy_upper, jobs, Run(dask=address)) == 1
    out, err = capsys.readouterr()
    assert out == "files: 3 done, 0 done before, 1 failed\n"
    assert err == "b: the process working on it died (killed, or out of memory)\n"


def test_warnings_belong_to_their_own_job_in_a_worker_of_threads(address, make_jobs, capsys):
    jobs = make_jobs(**{f"f{i}": "text" for i in range(40)})
    assert run_jobs(warn_of_itself, jobs, Run(dask=address)) == 0
    assert sorted(capsys.readouterr().err.splitlines()) == sorted(f"f{i}: warning: about f{i}" for i in range(40))


def test_a_worker_that_is_killed_takes_nothing_with_it(address, make_jobs, tmp_path, capsys):
    """One of two that hold jobs is killed from outside: its jobs are done by the other."""
    jobs = make_jobs(**{f"f{i}": "text" for i in range(8)})
    with worker(tmp_path / "w", address) as killed:
        work = partial(kill_once, worker=killed.pid, said=tmp_path / "said")
        assert run_jobs(work, jobs, Run(dask=address)) == 0
        assert killed.wait() == -signal.SIGKILL
    assert capsys.readouterr().out == "files: 8 done, 0 done before, 0 failed\n"


def test_what_is_made_on_a_disk_of_the_workers_own_is_not_done(address, make_jobs, tmp_path):
    make_jobs(a="one", b="two")
    jobs = [replace(job_of(tmp_path, name), target=Path("out", name)) for name in "ab"]
    (tmp_path / "elsewhere" / "out" / ".recipes").mkdir(parents=True)
    with pytest.raises(client.UnavailableError, match=r"a Dask worker made out/[ab], but nothing is there"):
        run_jobs(partial(astray, elsewhere=tmp_path / "elsewhere"), jobs, Run(dask=address))


def run_here(tmp_path: Path, code: str, *args: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PRELUDE + code, str(ROOT), *map(str, args)]
    return subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


PRELUDE = """
import sys; sys.path[:0] = [sys.argv[1], sys.argv[1] + "/tests"]
from functools import partial
from pathlib import Path
from little_work import copy_upper, endless, job_of
from utils.cli import make_parser, run_script
from utils.dictionaries import save_patches
from utils.jobs import Run, run_jobs
def run(work, timeout=60.0):
    body = lambda args: run_jobs(work, [job_of(Path(), n) for n in "abc"], Run(dask=sys.argv[2], dask_timeout=timeout))
    sys.exit(run_script(body, make_parser("Test."), []))
"""


@contextmanager
def endless_run(make_jobs, tmp_path: Path, address: str) -> Iterator[tuple[subprocess.Popen[str], TextIO]]:
    """A run whose work has begun and does not end, and the pipe that its processes hold."""
    make_jobs(a="one", b="two", c="three")
    os.mkfifo("alive")
    run = run_here(tmp_path, "run(partial(endless, alive=Path('alive')))", address)
    with Path("alive").open() as pipe:
        assert pipe.readline() == "started\n"
        yield run, pipe


def test_a_signal_ends_the_run_and_its_processes_everywhere(address, make_jobs, tmp_path):
    with endless_run(make_jobs, tmp_path, address) as (run, pipe):
        run.terminate()
        _, err = run.communicate()
        assert set(pipe) <= {"started\n"}  # ends when no process holds the pipe any more
    assert run.returncode == 143, err
    assert len(err.splitlines()) == 1 and "the same command goes on from here" in err
    assert not [path for path in Path("out").rglob("*") if path.is_file()]


def test_processes_end_with_a_killed_client(address, make_jobs, tmp_path):
    with endless_run(make_jobs, tmp_path, address) as (run, pipe):
        stop_client(run)
        assert set(pipe) <= {"started\n"}


def stop_client(run: subprocess.Popen[str]) -> None:
    run.kill()
    run.communicate()


def test_no_scheduler_is_a_sentence(make_jobs, tmp_path):
    make_jobs(a="one", b="two", c="three")
    nowhere = run_here(tmp_path, "run(copy_upper, .5)", "tcp://127.0.0.1:9")
    _, err = nowhere.communicate()
    assert nowhere.returncode == 2
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in err and len(err.splitlines()) == 1


def test_a_scheduler_without_workers_or_that_goes_is_a_sentence_and_the_same_command_goes_on(
    address, make_jobs, tmp_path, capsys
):
    jobs = make_jobs(a="one", b="two", c="three")
    os.mkfifo("alive")
    with scheduler(tmp_path / "s") as at:
        nobody = run_here(tmp_path, "run(copy_upper, 5)", at)
        _, err = nobody.communicate()
        assert nobody.returncode == 1 and len(err.splitlines()) == 1
        assert err.endswith(f"error: the Dask scheduler at {at} had no worker for 5 s (--dask-timeout)\n")
        with worker(tmp_path / "w", at):
            run = run_here(tmp_path, "run(partial(endless, alive=Path('alive')), 2)", at)
            with Path("alive").open() as pipe:
                assert pipe.readline() == "started\n"
    _, err = run.communicate()
    assert run.returncode == 1, err
    assert f"the Dask scheduler at {at} is gone" in err and len(err.splitlines()) == 1, err
    assert run_jobs(copy_upper, jobs, Run(dask=address)) == 0


def test_workers_with_other_code_are_refused(address, make_jobs, monkeypatch):
    jobs = make_jobs(a="one", b="two")
    monkeypatch.setattr(client, "versions", lambda: connection.versions() | {"numpy": "0.1"})
    with pytest.raises(client.UnavailableError, match=r"a Dask worker has numpy .*, the machine that asks has 0.1"):
        run_jobs(copy_upper, jobs, Run(dask=address))


def test_a_large_volume_is_spread_over_the_cluster(address, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("utils.sources.LARGE_BYTES", 0)
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    sitk.WriteImage(sitk.GetImageFromArray(smooth_volume((70, 64, 90)).astype(np.uint16) * 9), "in/v.nrrd")
    assert patchify3d.main(["in", "here", "-cs", "32"]) == 0
    assert patchify3d.main(["in", "there", "-cs", "32", "--dask", address]) == 0
    assert results(Path("here")) == results(Path("there"))
    assert (Path("here") / ".recipes" / "v.pkl.json").read_bytes() == Path("there/.recipes/v.pkl.json").read_bytes()
    assert "1 done" in capsys.readouterr().out


def test_patches_are_scored_on_a_cluster_as_here(address, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in "abc":
        patches = [smooth_volume((1, 224, 224), seed=seed + ord(name))[0] for seed in range(3)]
        save_patches(Path("in") / f"{name}.pkl", [f"{name}-LOC-0_{i}_0-224_0-224" for i in range(3)], patches)
    options = ["--weights", "lite", "--threshold", "0.3", "-p", "1"]
    assert classify_patches.main(["in", "here", *options]) == 0
    assert classify_patches.main(["in", "there", *options, "--dask", address]) == 0
    assert results(Path("here")) == results(Path("there"))
    out, err = capsys.readouterr()
    assert out.count("dictionaries: 3 done, 0 done before, 0 failed") == 2
    assert err.count("weights ") == 2 and err.count("(lite) on cpu\n") == 2  # of two workers' networks, too


def test_who_can_be_reached(address):
    assert connection.reaches(address)
    assert not connection.reaches("tcp://127.0.0.1:9") and not connection.reaches("inproc://1/2/3")
