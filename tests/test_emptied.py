"""utils/collection/emptied.py: what was made of a collection of which nothing is left."""

import argparse

import pytest

from utils.cli import UsageError
from utils.collection.emptied import NothingLeftError, run_or_take_back
from utils.collection.ledger import Ledger


@pytest.fixture
def args(tmp_path):
    """An output folder with one unit of a file, run with --prune."""
    with Ledger(tmp_path / "out").making("unit", ["sub/a.txt"], "print") as scratch:
        (scratch / "sub").mkdir()
        (scratch / "sub" / "a.txt").write_text("a")
    return argparse.Namespace(filtered=tmp_path / "in", output=tmp_path / "out", prune=True, quiet=False)


def fail(args):
    raise NothingLeftError("in: no tables")


def test_what_runs_is_left_alone(args):
    assert run_or_take_back(lambda args: 3, args, "shards") == 3
    assert (args.output / "sub" / "a.txt").is_file()


def test_with_prune_all_that_is_ours_goes(args, capsys):
    assert run_or_take_back(fail, args, "shards") == 0
    assert not args.output.exists()
    said = capsys.readouterr()
    assert said.out == "shards: 0 done, 0 done before, 1 without their input removed, 0 failed\n"
    assert said.err == "in: no tables; what was made before is removed\n"


def test_what_is_not_ours_stays(args, capsys):
    (args.output / "notes.txt").touch()
    args.quiet = True
    assert run_or_take_back(fail, args, "shards") == 0
    assert [path.name for path in args.output.iterdir()] == ["notes.txt"] and not capsys.readouterr().out


@pytest.mark.parametrize("why", ["not asked for", "nothing there"])
def test_otherwise_it_is_bad_usage(args, tmp_path, why):
    if why == "not asked for":
        args.prune = False
    else:
        args.output = tmp_path / "empty"
    with pytest.raises(NothingLeftError, match="in: no tables"):
        run_or_take_back(fail, args, "shards")
    assert (tmp_path / "out" / "sub" / "a.txt").is_file() and not (tmp_path / "empty").exists()


def test_an_output_within_what_is_read_is_refused(args, tmp_path):
    args.filtered = tmp_path
    with pytest.raises(UsageError, match="out lies in what is read; name another folder"):
        run_or_take_back(lambda args: 0, args, "shards")
