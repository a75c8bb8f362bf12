"""The command line that all scripts share: help, options, exit codes."""

import argparse
from pathlib import Path

import pytest

from conftest import wrong_defaults
from utils import cli
from utils.argument_types import positive_int
from utils.cli import UnavailableError, UsageError, add_run_options, as_usage_errors, make_parser, run_script
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


@pytest.mark.parametrize("argv", [["-p", ""], [""], ["-p", "3", ""], ["--processes="]])
def test_an_empty_word_is_no_folder(argv, capsys):
    with pytest.raises(SystemExit, match="2"):
        run_script(body, parser_for_test(), argv)
    assert "an argument is empty" in capsys.readouterr().err


def test_help_shows_the_example(capsys):
    parser = parser_for_test()
    add_run_options_parser = make_parser("Text.")
    add_run_options(add_run_options_parser, seed=True)
    assert "--seed" in add_run_options_parser.format_help()
    assert parser.format_help().rstrip().endswith("thing -p 3")


def test_options_of_all_scripts(monkeypatch):
    parser = make_parser("Text.")
    add_run_options(parser, seed=True)
    monkeypatch.setattr(cli.sys, "argv", ["script.py", "--max_gb", "2"])
    assert parser.parse_args().max_gb == 2.0
    assert wrong_defaults(parser) == {}
    said = parser.parse_args(["--dask_timeout=5", "--max_gb", "2", "--shard", "1/3", "-p", "3"])
    assert (said.dask_timeout, said.max_gb, said.shard, said.processes) == (5.0, 2.0, (1, 3), 3)
    assert said.seed == 0 and said.dask is None
    with pytest.raises(SystemExit, match="2"):  # no generator takes it: each volume failed, after its work
        parser.parse_args(["--seed", "-1"])
    assert not any((said.update, said.prune, said.verbose, said.quiet))
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
        (OSError(30, "Read-only file system", "a.png"), 1, "error: a.png: Read-only file system"),
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
        verbose = capsys.readouterr().err
        assert "Traceback" in verbose and "me:pw" not in verbose


def test_what_cannot_be_read_is_bad_usage_in_a_sentence(tmp_path):
    with pytest.raises(UsageError, match=f"^{tmp_path / 'a.csv'}: No such file or directory$"), as_usage_errors():
        (tmp_path / "a.csv").read_text()
    with pytest.raises(UsageError, match=r"^the server is silent$"), as_usage_errors():
        raise OSError("the server is silent")
    with pytest.raises(UsageError, match=r"^no table$"), as_usage_errors():
        raise ValueError("no table")


def test_pipes_that_are_called_like_inputs_are_named(tmp_path, capsys):
    (tmp_path / "b.mrc").touch()
    (tmp_path / "a.txt").touch()
    (tmp_path / "zero.MRC").symlink_to("/dev/zero")
    (tmp_path / "zero.txt").symlink_to("/dev/zero")
    assert cli.list_inputs(tmp_path, {".mrc"}, "MRC files") == [tmp_path / "b.mrc"]
    assert capsys.readouterr().err == f"passed over, no MRC files: {tmp_path / 'zero.MRC'}\n"
