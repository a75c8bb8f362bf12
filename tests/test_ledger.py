"""Units of an output folder: whole or not at all, known again, taken away, made by one run at a time."""

import argparse
import json
import os
import shutil
from pathlib import Path

import pytest

from utils.cli import UsageError
from utils.collection.ledger import Ledger, NothingLeftError, digest, run_or_take_back, unit_name
from utils.files import OWN_FOLDER
from utils.locks import locked


def make(out: Path, unit: str, content: dict[str, str], fingerprint: str = "1", **facts: object) -> None:
    noted: dict[str, object] = {}
    with Ledger(out).making(unit, list(content), fingerprint, noted) as scratch:
        for name, text in content.items():
            (scratch / name).parent.mkdir(parents=True, exist_ok=True)
            (scratch / name).write_text(text)
        noted |= facts  # known when the unit is made only


def test_a_unit_is_current_until_its_inputs_or_its_files_change(tmp_path):
    make(tmp_path, "one", {"a/x": "x", "y": "y"}, failed={"p": "why"})
    ledger = Ledger(tmp_path)
    assert ledger.is_current("one", "1") and not ledger.is_current("one", "2") and not ledger.is_current("two", "1")
    assert ledger.record("one")["failed"] == {"p": "why"}
    (tmp_path / "y").write_text("z")
    assert not ledger.is_current("one", "1")
    (tmp_path / "y").write_text("y")  # younger, but the same
    assert ledger.is_current("one", "1")
    (tmp_path / "y").write_text("longer")
    os.utime(tmp_path / "y", ns=(1, 1))  # of before the unit was made, as a copied archive's
    assert not ledger.is_current("one", "1")
    (tmp_path / "y").write_text("y")
    (tmp_path / "a" / "x").unlink()
    assert not ledger.is_current("one", "1")


def test_what_a_unit_no_longer_has_goes_and_foreign_files_stay(tmp_path):
    make(tmp_path, "one", {"a/x": "x", "y": "y"})
    (tmp_path / "a" / "mine").write_text("mine")
    make(tmp_path, "one", {"y": "new"}, "2")
    assert not (tmp_path / "a" / "x").exists() and (tmp_path / "a" / "mine").exists()
    assert (tmp_path / "y").read_text() == "new"
    make(tmp_path, "two", {"b/z": "z", "c/d/z": "z"})
    shutil.rmtree(tmp_path / "c" / "d")  # as a kill may leave it
    assert Ledger(tmp_path).drop_all_but(["one"]) == 1
    assert not (tmp_path / "b").exists() and not (tmp_path / "c").exists() and Ledger(tmp_path).units() == ["one"]
    with pytest.raises(FileExistsError, match="was not made by this script"):
        make(tmp_path, "three", {"a/mine": "ours"})


def test_a_unit_that_was_interrupted_is_not_current_and_names_its_files(tmp_path):
    make(tmp_path, "one", {"x": "x"})
    with pytest.raises(RuntimeError), Ledger(tmp_path).making("one", ["x", "y"], "2") as scratch:
        (scratch / "x").write_text("half")
        raise RuntimeError
    assert (tmp_path / "x").read_text() == "x"
    record = Ledger(tmp_path).record("one")
    assert record["fingerprint"] == "" and record["files"].keys() == {"x", "y"}
    assert not list((tmp_path / OWN_FOLDER).glob("*.part"))


def test_what_a_killed_run_left_of_a_unit_is_no_part_of_it(tmp_path):
    (tmp_path / OWN_FOLDER / "one.part").mkdir(parents=True)
    (tmp_path / OWN_FOLDER / "one.part" / "y").write_text("half")
    with Ledger(tmp_path).making("one", ["x"], "1") as scratch:
        assert not list(scratch.iterdir())
        (scratch / "x").write_text("x")
    assert Ledger(tmp_path).is_current("one", "1")


def test_what_killed_runs_left_goes_and_what_others_are_making_stays(tmp_path):
    ledger = Ledger(tmp_path)
    for unit in ("dead", "alive"):
        (tmp_path / OWN_FOLDER / f"{unit}.part").mkdir(parents=True)
    with locked(tmp_path / OWN_FOLDER / "alive.json"), ledger.held():
        pass
    assert [path.name for path in (tmp_path / OWN_FOLDER).glob("*.part")] == ["alive.part"]


def test_a_lock_that_a_run_left_that_was_killed_when_its_unit_was_made_goes(tmp_path):
    left = tmp_path / OWN_FOLDER / OWN_FOLDER / "one.json.lock"
    left.parent.mkdir(parents=True)
    left.touch()
    with Ledger(tmp_path).held():
        assert left.exists()
    assert not left.exists()


def test_a_record_from_elsewhere_removes_nothing_outside(tmp_path):
    (tmp_path / "mine").write_text("mine")
    out = tmp_path / "out"
    make(out, "one", {"x": "x"})
    record = out / OWN_FOLDER / "one.json"
    record.write_text(json.dumps({"fingerprint": "1", "files": {"../mine": {}, "x": {}}}))
    Ledger(out).drop_all_but([])
    assert (tmp_path / "mine").exists() and not (out / "x").exists()


def test_names_that_are_no_text_are_remembered(tmp_path):
    make(tmp_path, "one", {"ü\udc80": "x"}, failed={"p\udc80": "why"})
    assert Ledger(tmp_path).is_current("one", "1")
    assert Ledger(tmp_path).record("one")["failed"] == {"p\udc80": "why"}


def test_names_of_units_are_short_and_apart():
    names = [unit_name("train", "x" * length) for length in (10, 200, 201)]
    assert len(set(names)) == 3 and max(map(len, names)) <= 120
    assert [len(name) for name in names] == [16, 41, 41] and len(digest(1)) == 32
    assert digest([1, "a"]) == digest([1, "a"]) != digest([1, "b"])


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
    assert run_or_take_back(lambda args: 3, "shards", args) == 3
    assert (args.output / "sub" / "a.txt").is_file()


def test_with_prune_all_that_is_ours_goes(args, capsys):
    assert run_or_take_back(fail, "shards", args) == 0
    assert not args.output.exists()
    said = capsys.readouterr()
    assert said.out == "shards: 0 done, 0 done before, 1 without their input removed, 0 failed\n"
    assert said.err == "in: no tables; what was made before is removed\n"


def test_what_is_not_ours_stays(args, capsys):
    (args.output / "notes.txt").touch()
    args.quiet = True
    assert run_or_take_back(fail, "shards", args) == 0
    assert [path.name for path in args.output.iterdir()] == ["notes.txt"] and not capsys.readouterr().out


@pytest.mark.parametrize("why", ["not asked for", "nothing there"])
def test_otherwise_it_is_bad_usage(args, tmp_path, why):
    if why == "not asked for":
        args.prune = False
    else:
        args.output = tmp_path / "empty"
    with pytest.raises(NothingLeftError, match="in: no tables"):
        run_or_take_back(fail, "shards", args)
    assert (tmp_path / "out" / "sub" / "a.txt").is_file() and not (tmp_path / "empty").exists()


def test_an_output_within_what_is_read_is_refused(args, tmp_path):
    args.filtered = tmp_path
    with pytest.raises(UsageError, match="out lies in what is read; name another folder"):
        run_or_take_back(lambda args: 0, "shards", args)
