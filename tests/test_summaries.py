"""utils/summaries.py: what is said of jobs as they end, and at the end."""

import sys
import threading
from pathlib import Path

import pytest
from tqdm import tqdm

from utils.outcomes import Job, Outcome, failed
from utils.summaries import lines_of, progress, say_failures, summarize

JOB = Job("s3://key:secret@bucket/a.zarr", Path("a.pkl"))


def of(status: str, message: str = "") -> Outcome:
    return Outcome(JOB, status, message)


@pytest.mark.parametrize(
    ("outcome", "said", "at_length"),
    [
        (of("done", "9 patches"), [], ["9 patches"]),
        (of("skipped"), [], ["skipped"]),
        (of("outdated", "its input changed"), ["outdated: its input changed"], None),
        (of("passed over", "too small"), ["passed over: too small"], None),
        (failed(JOB, "damaged", "Traceback"), ["damaged"], ["damaged", "Traceback"]),
        (failed(JOB, "damaged"), ["damaged"], None),
        (
            Outcome(JOB, "done", warnings=("no voxel size",)),
            ["warning: no voxel size"],
            ["warning: no voxel size", "done"],
        ),
    ],
)
def test_lines_of_a_job(outcome, said, at_length):
    """Addresses come without their secrets; tracebacks stand by themselves."""
    shown = "s3://***@bucket/a.zarr"
    for verbose, wanted in ((False, said), (True, said if at_length is None else at_length)):
        lines = lines_of(outcome, verbose)
        assert lines == [line if line == "Traceback" else f"{shown}: {line}" for line in wanted]


def test_names_obey_no_terminal(capsys):
    job = Job(Path("a\nb: 9 done\x1b[2J.png"), Path("a"))
    shown = r"a\nb: 9 done\x1b[2J.png"
    assert lines_of(failed(job, "damaged", "Traceback\n  x"), True) == [f"{shown}: damaged", "Traceback\n  x"]
    summarize([], "files", [job.source], prune=True, quiet=True)
    assert capsys.readouterr().err == f"results without their input (1; removed): {shown}\n"


def test_one_line_sums_up(capsys):
    outcomes = [of("done"), of("done"), of("skipped"), of("passed over"), of("outdated"), failed(JOB, "damaged")]
    assert summarize(outcomes, "volumes", [], prune=False, quiet=False) == 1
    out, err = capsys.readouterr()
    assert out == "volumes: 2 done, 1 done before, 1 outdated, 1 passed over, 1 failed\n"
    assert err == "outdated results are kept; --update redoes them\n"
    assert summarize([], "files", [], prune=False, quiet=False) == 0
    assert capsys.readouterr().out == "files: 0 done, 0 done before, 0 failed\n"
    assert summarize([of("outdated")], "files", [], prune=False, quiet=True) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("prune", "said", "counted"),
    [(False, "--prune removes them", "without their input"), (True, "removed", "without their input removed")],
)
def test_results_without_input_are_named(capsys, prune, said, counted):
    assert summarize([], "files", [Path("a.pkl"), Path("b.pkl")], prune=prune, quiet=False) == 0
    out, err = capsys.readouterr()
    assert out == f"files: 0 done, 0 done before, 2 {counted}, 0 failed\n"
    assert err == f"results without their input (2; {said}): a.pkl, b.pkl\n"


@pytest.mark.parametrize(
    ("terminal", "quiet", "bar"), [(False, False, False), (True, True, False), (True, False, True)]
)
def test_a_bar_is_for_terminals_alone(capsys, monkeypatch, terminal, quiet, bar):
    steps = []
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    monkeypatch.setattr("tqdm.tqdm.update", lambda _: steps.append(1))
    with progress(2, "files", quiet) as step:
        step(["a: damaged", "b: empty"])
        step([])
        shown = capsys.readouterr().err
    assert "a: damaged\n" in shown and "b: empty\n" in shown
    assert ("0/2" in shown) is bar and (shown == "a: damaged\nb: empty\n") is not bar
    assert len(steps) == (2 if bar else 0)
    if bar:  # no lock of processes, which would settle how they are started
        assert isinstance(tqdm.get_lock(), type(threading.RLock()))


def test_failures_are_named_and_count(capsys):
    assert say_failures({}) == 0 and capsys.readouterr().err == ""
    assert say_failures({"a.csv": "gone", "b.csv": "damaged"}) == 1
    assert capsys.readouterr().err == "a.csv: gone\nb.csv: damaged\n"
