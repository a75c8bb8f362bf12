"""utils/records/recipes.py: what a result was made from, and when that no longer holds."""

from dataclasses import replace

import pytest

from remembered import remembered
from utils.records.fingerprints import Fingerprint
from utils.records.recipes import (
    Recipe,
    discard,
    fingerprints,
    inputs_of,
    is_of,
    known_record,
    load_record,
    orphans,
    record_of,
    record_path,
    refuse_changed,
    save_record,
    stage_of,
)
from utils.records.standing import standing


@pytest.fixture
def made(tmp_path):
    return remembered(tmp_path)


DAMAGED = ["", "{", "[]", "[" * 1_000_000, '{"version": 1}', '{"version": 1, "stage": 3, "root": 5}']


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_record_is_outdated(made, text):
    recipe, result = made
    record_path(result).write_text(text)
    assert "record" in (standing(recipe, result) or "")


def test_a_record_that_cannot_be_read_is_outdated(made):
    recipe, result = made
    record_path(result).unlink()
    record_path(result).mkdir()
    assert "cannot be read" in standing(recipe, result) and known_record(result) is None


def test_a_record_that_cannot_be_written_leaves_nothing(made):
    _, result = made
    record = load_record(result)
    record_path(result).unlink()
    record_path(result).mkdir()
    with pytest.raises(OSError):
        save_record(result, record)
    assert list(record_path(result).parent.iterdir()) == [record_path(result)]


def test_a_record_of_a_later_version_is_said(made):
    recipe, result = made
    record_path(result).write_text('{"version": 99}')
    assert "version 99" in standing(recipe, result)


def test_inputs_that_change_while_they_are_read(made, tmp_path):
    recipe, _ = made
    before = fingerprints(recipe)
    refuse_changed(recipe, before)
    (tmp_path / "b.tif").write_text("another")
    with pytest.raises(ValueError, match=r"b\.tif changed while it was read"):
        refuse_changed(recipe, before)


def test_orphans_are_those_of_the_stage_and_the_folder(made, tmp_path):
    _, result = made
    out = result.parent
    assert list(orphans(out, "test", tmp_path, {result})) == []
    assert list(orphans(out, "test", tmp_path, set())) == [result]
    assert list(orphans(out, "other", tmp_path, set())) == []
    assert list(orphans(out, "test", tmp_path / "elsewhere", set())) == []
    record = load_record(result)
    assert is_of(record, tmp_path, tmp_path / "else" / "where" / "x.pkl")  # only the results have moved
    assert not is_of(record, tmp_path / "elsewhere", tmp_path / "else" / "where" / "x.pkl")
    assert list(orphans(tmp_path / "nowhere", "test", tmp_path, set())) == []
    moved = tmp_path.with_name(f"{tmp_path.name}-moved")
    tmp_path.rename(moved)
    assert list(orphans(moved / "out", "test", moved, set())) == [moved / "out" / "x.pkl"]


def test_records_both_ways(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.tif").write_text("a")
    recipe = Recipe("test", {"a.tif": (tmp_path / "in/a.tif",)}, {"level": (1, 2), "name": None}, tmp_path / "in")
    result = tmp_path / "out/x.pkl"
    record = record_of(recipe, result, fingerprints(recipe), Fingerprint(3, 77, "d"))
    assert record.result == Fingerprint(3, 0, "d")  # no time of the result: two runs leave the same
    assert record.root == (str(tmp_path / "in"), "../in") and record.options == {"level": [1, 2], "name": None}
    save_record(result, replace(record, failures={"b": "no"}, passed_over="flat"))
    assert load_record(result) == replace(record, failures={"b": "no"}, passed_over="flat")
    assert (inputs_of(result), stage_of(result)) == (("a.tif",), "test")
    assert (
        record_path(result) == tmp_path / "out/.recipes/x.pkl.json"
        and len(list((tmp_path / "out/.recipes").iterdir())) == 1
    )
    record_path(result).write_text("{")
    assert known_record(result) is None and inputs_of(result) == () and stage_of(result) == ""
    assert load_record(tmp_path / "none.pkl") is None and load_record(tmp_path / "in/a.tif/x") is None
    rootless = record_of(replace(recipe, root=None), result, {}, Fingerprint(3, 77, "d"))
    assert rootless.root == ("", "")


def test_a_result_goes_with_its_record(made):
    _, result = made
    discard(result)
    assert not result.exists() and not record_path(result).exists()
    discard(result)
