"""utils/records/standing.py: whether a result is what its recipe would make now."""

import os

import pytest

from remembered import changed, remembered
from utils.records.fingerprints import NO_FILE, fingerprint
from utils.records.recipes import (
    Recipe,
    discard,
    fingerprints,
    inputs_of,
    load_record,
    record_of,
    record_path,
    save_record,
)
from utils.records.standing import holds_at_a_glance, is_replaced, outdated, same_but_for, standing


@pytest.fixture
def made(tmp_path):
    return remembered(tmp_path)


def test_what_was_made_stands(made):
    recipe, result = made
    record = load_record(result)
    assert record is not None and record.result.stamp == 0
    assert holds_at_a_glance(recipe, result, record)
    assert standing(recipe, result) == ""
    assert inputs_of(result) == ("a.tif", "b.tif")


def test_a_result_without_a_record_is_done_and_none_is_open(made, tmp_path):
    recipe, result = made
    record_path(result).unlink()
    assert standing(recipe, result) == "" and inputs_of(result) == ()
    assert standing(recipe, tmp_path / "absent") is None


def test_another_date_is_no_change_and_the_next_look_is_quick(made, tmp_path):
    recipe, result = made
    os.utime(tmp_path / "a.tif", ns=(1, 1))
    record = load_record(result)
    assert not holds_at_a_glance(recipe, result, record)
    assert standing(recipe, result) == ""
    assert holds_at_a_glance(recipe, result, load_record(result))


def test_an_older_file_of_the_same_size_is_a_change(made, tmp_path):
    recipe, result = made
    (tmp_path / "a.tif").write_text("A.tif")
    os.utime(tmp_path / "a.tif", ns=(1, 1))
    assert standing(recipe, result) == "a.tif has changed"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"crop-size": 128}, "made with --crop-size 224, now 128"),
        ({"dedupe": False}, "made with --dedupe, now without it"),
        ({"limit": 3}, "made without --limit, now with --limit 3"),
        ({"crop-size": 0}, "made with --crop-size 224, now 0"),
        ({"axes": [0, 1]}, ""),
        ({"axes": [0]}, "made with --axes 0 1, now 0"),
        ({"a-later-option": 1}, ""),
    ],
)
def test_options(made, options, reason):
    recipe, result = made
    assert standing(changed(recipe, **options), result) == reason


def test_inputs_that_come_and_go_are_counted(made, tmp_path):
    recipe, result = made
    inputs = {"b.tif": (tmp_path / "b.tif",), "c.tif": (tmp_path / "b.tif",), "d.tif": (tmp_path / "b.tif",)}
    (tmp_path / "b.tif").write_text("longer than before")
    reason = standing(Recipe("test", inputs, recipe.options), result)
    assert reason == "2 added (c.tif, d.tif), 1 gone (a.tif), 1 changed (b.tif)"


def test_a_result_that_is_not_what_was_made(made):
    recipe, result = made
    result.write_text("MADE")
    os.utime(result, ns=(2**62, 2**62))
    assert standing(recipe, result) == "it is not what was made"
    result.write_text("other size")
    os.utime(result, ns=(1, 1))
    assert standing(recipe, result) == "it is not what was made"


def test_a_copied_result_is_the_same(made):
    recipe, result = made
    os.utime(result, ns=(2**62, 2**62))
    assert not holds_at_a_glance(recipe, result, load_record(result))
    assert standing(recipe, result) == ""


def test_a_folder_that_was_made_is_not_told_by_its_date(made):
    recipe, result = made
    folder = result.with_name("x.zarr")
    folder.mkdir()
    (folder / "0").write_text("made")
    save_record(folder, record_of(recipe, folder, fingerprints(recipe), fingerprint([folder])))
    os.utime(folder, ns=(2**62, 2**62))
    assert holds_at_a_glance(recipe, folder, load_record(folder))


def test_what_holds_but_for_some_options(made, tmp_path):
    recipe, result = made
    record = load_record(result)
    other = changed(recipe, **{"crop-size": 9})
    assert same_but_for(other, result, record, {"crop-size"}) and not same_but_for(other, result, record, {"limit"})
    made_of, written = result.read_bytes(), result.stat().st_mtime_ns
    result.write_bytes(made_of[::-1])
    os.utime(result, ns=(2**62, 2**62))
    assert not same_but_for(other, result, record, {"crop-size"}), "it was edited"
    result.write_bytes(made_of)
    os.utime(result, ns=(2**62, 2**62))
    assert same_but_for(other, result, record, {"crop-size"}), "the same under another date"
    os.utime(result, ns=(written, written))
    (tmp_path / "a.tif").write_text("changed")
    assert not same_but_for(other, result, record, {"crop-size"})


def test_replaced_inputs(made, tmp_path):
    recipe, result = made
    assert not is_replaced(recipe, result)
    (tmp_path / "a.tif").unlink()
    assert not is_replaced(recipe, result), "what cannot be read may come back"
    (tmp_path / "a.tif").write_text("another")
    assert is_replaced(recipe, result)
    discard(result)
    assert not result.exists() and not record_path(result).exists()
    assert not is_replaced(recipe, result)


def test_an_input_that_is_gone_has_changed(made, tmp_path):
    recipe, result = made
    (tmp_path / "a.tif").unlink()
    assert outdated(recipe, result, load_record(result)) == "a.tif has changed"
    assert fingerprints(recipe)["a.tif"] == NO_FILE
