"""utils/records/recipes.py: what a result was made from, and when that no longer holds."""

import pytest

from utils.records.fingerprints import fingerprint
from utils.records.recipes import (
    Recipe,
    fingerprints,
    orphans,
    record_of,
    record_path,
    refuse_changed,
    save_record,
)
from utils.records.standing import standing


@pytest.fixture
def made(tmp_path):
    """A result of two inputs, and its recipe."""
    for name in ("a.tif", "b.tif"):
        (tmp_path / name).write_text(name)
    inputs = {name: (tmp_path / name,) for name in ("a.tif", "b.tif")}
    recipe = Recipe("test", inputs, {"crop-size": 224, "dedupe": True, "limit": None, "axes": (0, 1)}, tmp_path)
    return remember(recipe, tmp_path / "out" / "x.pkl")


def remember(recipe, result, content="made"):
    result.parent.mkdir(exist_ok=True)
    result.write_text(content)
    save_record(result, record_of(recipe, result, fingerprints(recipe), fingerprint([result])))
    return recipe, result


def changed(recipe, **options):
    return Recipe(recipe.stage, recipe.inputs, {**recipe.options, **options}, recipe.root)


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
