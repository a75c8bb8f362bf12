"""Argument types: numbers, paths and shares, and what is refused."""

import argparse

import pytest

from utils.argument_types import (
    existing_dir,
    existing_file,
    fraction,
    input_dir,
    int_from,
    natural_float,
    natural_int,
    output_dir,
    positive_float,
    positive_int,
    shard,
)


@pytest.mark.parametrize(
    ("kind", "good", "bad", "expected"),
    [
        (positive_int, {"1": 1, "20": 20}, ["0", "-1", "1.5", "x", ""], "a whole number of at least 1"),
        (natural_int, {"0": 0, "7": 7}, ["-1", "0.5"], "a whole number of at least 0"),
        (int_from(-2), {"-2": -2}, ["-3"], "a whole number of at least -2"),
        (natural_float, {"0": 0.0, "3": 3.0}, ["-1", "inf", "nan"], "a number of at least 0"),
        (positive_float, {"0.1": 0.1, "3": 3.0}, ["0", "-1", "inf", "nan", "x"], "a number above 0"),
        (fraction, {"0": 0.0, "1": 1.0, ".5": 0.5}, ["-0.1", "1.1", "nan"], "a number from 0 to 1"),
    ],
)
def test_numbers(kind, good, bad, expected):
    assert {text: kind(text) for text in good} == good
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError, match=f"^{text!r} is not {expected}$"):
            kind(text)


def test_a_share_by_what_a_scheduler_says(monkeypatch):
    monkeypatch.setattr("os.environ", {})
    with pytest.raises(argparse.ArgumentTypeError, match=r"^auto: no job array here"):
        shard("auto")
    monkeypatch.setattr("os.environ", {"SGE_TASK_ID": "2", "SGE_TASK_FIRST": "1", "SGE_TASK_LAST": "3"})
    assert shard("auto") == (2, 3)


def test_paths(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    file, gone, ring = tmp_path / "f", tmp_path / "gone", tmp_path / "ring"
    file.touch()
    ring.symlink_to(ring)
    assert existing_dir(str(tmp_path)) == input_dir(str(tmp_path)) == output_dir(str(tmp_path)) == tmp_path
    assert existing_file("~/f") == file and input_dir(str(gone)) == output_dir(str(gone)) == gone
    for kind, path, reason in (
        (existing_dir, gone, "no such folder"), (existing_dir, file, r"no such folder \(it is a file\)"),
        (existing_file, tmp_path, r"no such file \(it is a folder\)"), (existing_file, gone, "no such file"),
        (input_dir, file, r"no such folder \(it is a file\)"),
        (output_dir, file, r"no folder to write to \(it is a file\)"),
        (input_dir, ring, r"no such folder \(a link to nowhere\)"),
        (input_dir, ring / "in", r"no such folder \(a link to nowhere\)"),
        (output_dir, ring, r"no folder to write to \(a link to nowhere\)"),
        (output_dir, tmp_path / ("n" * 300), r"no folder to write to \(File name too long\)"),
    ):  # fmt: skip
        with pytest.raises(argparse.ArgumentTypeError, match=f"^{path}: {reason}$"):
            kind(str(path))


@pytest.mark.parametrize("text", ["1/2", "2/2", "7/10"])
def test_shares(text):
    assert shard(text) == tuple(map(int, text.split("/")))


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "/2", "1/", "a/2", "-1/2", "1/0", "1.0/2", ""])
def test_what_is_no_share(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is no share; expected I/N with 1 <= I <= N, or auto"):
        shard(text)
