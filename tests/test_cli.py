"""The command line that all scripts share: argument types, exit codes, shares of job arrays."""

import argparse
from pathlib import Path

import pytest

from utils import cli
from utils.cli import (
    UnavailableError,
    UsageError,
    add_run_options,
    as_usage_errors,
    existing_dir,
    existing_file,
    fraction,
    input_dir,
    make_parser,
    natural_int,
    output_dir,
    positive_float,
    positive_int,
    run_script,
    shard,
)
from utils.interrupts import TerminatedError


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


@pytest.mark.parametrize(
    ("kind", "good", "bad", "expected"),
    [
        (positive_int, {"1": 1, "20": 20}, ["0", "-1", "1.5", "x", ""], "a whole number of at least 1"),
        (natural_int, {"0": 0, "7": 7}, ["-1", "0.5"], "a whole number of at least 0"),
        (positive_float, {"0.1": 0.1, "3": 3.0}, ["0", "-1", "inf", "nan", "x"], "a number above 0"),
        (fraction, {"0": 0.0, "1": 1.0, ".5": 0.5}, ["-0.1", "1.1", "nan"], "a number from 0 to 1"),
    ],
)
def test_numbers(kind, good, bad, expected):
    assert {text: kind(text) for text in good} == good
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError, match=f"^{text!r} is not {expected}$"):
            kind(text)


def test_paths(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    file, gone = tmp_path / "f", tmp_path / "gone"
    file.touch()
    assert existing_dir(str(tmp_path)) == input_dir(str(tmp_path)) == output_dir(str(tmp_path)) == tmp_path
    assert existing_file("~/f") == file and input_dir(str(gone)) == output_dir(str(gone)) == gone
    for kind, path, reason in (
        (existing_dir, gone, "no such folder"), (existing_dir, file, r"no such folder \(it is a file\)"),
        (existing_file, tmp_path, r"no such file \(it is a folder\)"), (existing_file, gone, "no such file"),
        (input_dir, file, r"no such folder \(it is a file\)"),
        (output_dir, file, r"no folder to write to \(it is a file\)"),
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


def test_options_of_all_scripts(monkeypatch):
    parser = make_parser("Text.")
    add_run_options(parser, seed=True)
    monkeypatch.setattr(cli.sys, "argv", ["script.py", "--max_gb", "2"])
    assert parser.parse_args().max_gb == 2.0
    said = parser.parse_args(["--dask_timeout=5", "--max_gb", "2", "--shard", "1/3", "-p", "3"])
    assert (said.dask_timeout, said.max_gb, said.shard, said.processes) == (5.0, 2.0, (1, 3), 3)
    assert (said.seed, said.update, said.prune, said.dask, said.verbose, said.quiet) == (
        0,
        False,
        False,
        None,
        False,
        False,
    )
    bare = make_parser("Text.")
    add_run_options(bare, dask=False)
    for option in ("--dask", "--seed"):
        assert option not in bare.format_help()


@pytest.mark.parametrize(("allotted", "affinity", "quota", "cpus"), [
    ("", 8, 1 << 16, 8), ("3", 8, 1 << 16, 3), ("16", 8, 1 << 16, 8), ("0", 8, 1 << 16, 8), ("x", 8, 2, 2),
    ("3", 8, 2, 2),
])  # fmt: skip
def test_cpus_that_may_be_used(monkeypatch, allotted, affinity, quota, cpus):
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", allotted)
    monkeypatch.setattr(cli.os, "sched_getaffinity", lambda pid: set(range(affinity if pid == 0 else 1)), raising=False)
    monkeypatch.setattr(cli, "_quota", lambda: quota)
    assert cli.usable_cpus() == cpus
    monkeypatch.delattr(cli.os, "sched_getaffinity")
    monkeypatch.setattr(cli.os, "cpu_count", lambda: affinity)
    assert cli.usable_cpus() == cpus
    monkeypatch.setattr(cli.os, "cpu_count", lambda: None)
    assert cli.usable_cpus() == 1


@pytest.mark.parametrize(("content", "cpus"), [
    ({}, 1 << 16), ({"cpu.max": "max 100000"}, 1 << 16), ({"cpu.max": "200000 100000"}, 2),
    ({"cpu.max": "1 100000"}, 1), ({"cpu.max": "150000 100000"}, 2), ({"cpu.max": "3 0"}, 1 << 16),
    ({"cpu.max": "3 1"}, 3), ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 1 << 16),
    ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3), ({"cpu.max": "7"}, 1 << 16),
])  # fmt: skip
def test_a_container_s_quota(tmp_path, content, cpus):
    (tmp_path / "cpu").mkdir()
    for name, text in content.items():
        (tmp_path / name).write_text(f"{text}\n")
    assert cli._quota(tmp_path) == cpus


def test_what_lies_beside_is_named_once(capsys):
    paths = [Path("a"), Path("b")]
    cli.say_passed_over(paths, "image")
    cli.say_nested(paths, "images", "in/x.tif")
    for say in (cli.say_passed_over, lambda p, e, quiet: cli.say_nested(p, e, "x", quiet)):
        say(paths, "image", quiet=True)
        say([], "image", quiet=False)
    assert capsys.readouterr().err.splitlines() == [
        "passed over, no image: a, b",
        "passed over, nested deeper than in/x.tif: 2 images, such as a; --recursive takes them",
    ]


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UnavailableError("no weights"), 1, "error: no weights"),
        (ValueError("https://me:pw@h/x"), 1, "error: https://***@h/x"),
        (TerminatedError(), 143, "terminated; the same command goes on from here"),
        (KeyboardInterrupt(), 130, "interrupted; the same command goes on from here"),
    ],
)
def test_what_goes_wrong_is_one_sentence(error, code, said, capsys):
    def fail(args):
        raise error

    parser = parser_for_test()
    assert run_script(fail, parser, []) == code
    assert capsys.readouterr().err == f"{parser.prog}: {said}\n"
    if code == 1:
        run_script(fail, parser, ["--verbose"])
        assert "Traceback" in capsys.readouterr().err


def test_what_cannot_be_read_is_bad_usage_in_a_sentence(tmp_path):
    with pytest.raises(UsageError, match=f"^{tmp_path / 'a.csv'}: No such file or directory$"), as_usage_errors():
        (tmp_path / "a.csv").read_text()
    with pytest.raises(UsageError, match=r"^the server is silent$"), as_usage_errors():
        raise OSError("the server is silent")
    with pytest.raises(UsageError, match=r"^no table$"), as_usage_errors():
        raise ValueError("no table")
