"""utils/records/recipes.py: what a result was made from, and when that no longer holds."""

import pytest

from remembered import remembered
from utils.records.recipes import (
    fingerprints,
    orphans,
    record_path,
    refuse_changed,
)
from utils.records.standing import standing


@pytest.fixture
def made(tmp_path):
    return remembered(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1}', '{"version": 1, "stage": 3, "root": 5}'])
def test_a_damaged_record_is_outdated(made, text):
    recipe, result = made
    record_path(result).write_text(text)
    assert "record" in (standing(recipe, result) or "")


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
    assert list(orphans(tmp_path / "nowhere", "test", tmp_path, set())) == []
    moved = tmp_path.with_name(f"{tmp_path.name}-moved")
    tmp_path.rename(moved)
    assert list(orphans(moved / "out", "test", moved, set())) == [moved / "out" / "x.pkl"]
