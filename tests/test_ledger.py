"""Units of an output folder: whole or not at all, known again, taken away, made by one run at a time."""

import json
import os
from pathlib import Path

import pytest

from utils.collection.ledger import Ledger, digest, unit_name
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
    make(tmp_path, "two", {"b/z": "z"})
    assert Ledger(tmp_path).drop_all_but(["one"]) == 1
    assert not (tmp_path / "b").exists() and Ledger(tmp_path).units() == ["one"]
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
