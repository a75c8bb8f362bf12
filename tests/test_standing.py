"""utils/records/standing.py: whether a result is what its recipe would make now; fingerprints beside the work."""

import os
import threading
from dataclasses import replace

import pytest

from remembered import changed, remembered
from utils.records import standing as own_room
from utils.records.fingerprints import NO_FILE, fingerprint
from utils.records.recipes import (
    Recipe,
    discard,
    fingerprints,
    glances,
    inputs_of,
    load_record,
    orphans,
    record_of,
    record_path,
    refuse_changed,
    save_record,
)
from utils.records.standing import (
    fingerprints_in_background,
    holds_at_a_glance,
    is_replaced,
    outdated,
    same_but_for,
    standing,
)


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


def test_a_result_belongs_to_the_folder_that_its_inputs_are_listed_from_now(made, tmp_path):
    recipe, result = made
    renamed = replace(recipe, root=tmp_path.with_name("renamed"))
    before = load_record(result)
    assert before is not None and not holds_at_a_glance(renamed, result, before)
    assert standing(renamed, result) == "" and holds_at_a_glance(renamed, result, load_record(result))
    found = {folder: [*orphans(result.parent, "test", folder, set())] for folder in (tmp_path, renamed.root)}
    assert found == {tmp_path: [], renamed.root: [result]}
    for unlisted in (replace(recipe, root=None), replace(renamed, root=None)):
        assert holds_at_a_glance(unlisted, result, load_record(result))


def test_an_older_file_of_the_same_size_is_a_change(made, tmp_path):
    recipe, result = made
    (tmp_path / "a.tif").write_text("A.tif")
    os.utime(tmp_path / "a.tif", ns=(1, 1))
    for _ in range(2):
        assert standing(recipe, result) == "a.tif has changed", "however often it is asked"


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


def test_fingerprints_beside_the_work_are_those_of_its_begin(made, tmp_path, monkeypatch):
    recipe, _ = made
    known = fingerprints(recipe)
    for large in (1 << 20, 0):
        monkeypatch.setattr(own_room, "LARGE_BYTES", large)
        assert fingerprints_in_background(recipe)() == known
    begun = threading.Event()
    monkeypatch.setattr(own_room, "fingerprints", lambda asked: begun.wait() and fingerprints(asked))
    taken = fingerprints_in_background(recipe)
    (tmp_path / "b.tif").write_text("another")
    begun.set()
    with pytest.raises(ValueError, match=r"b\.tif changed while it was read"):
        refuse_changed(recipe, taken())


def test_memory_that_lacks_beside_the_work_is_told(made, monkeypatch):
    def lacking(_recipe):
        raise MemoryError("no more")

    monkeypatch.setattr(own_room, "LARGE_BYTES", 0)
    monkeypatch.setattr(own_room, "fingerprints", lacking)
    with pytest.raises(MemoryError, match="no more"):
        fingerprints_in_background(made[0])()


@pytest.mark.parametrize(("more", "threads"), [(0, [True]), (1, [])])
def test_large_inputs_have_a_thread_that_keeps_no_process_alive(made, monkeypatch, more, threads):
    recipe, look, found = made[0], own_room._set_fingerprints, []
    size = sum(entry.size for entry in glances(recipe).values())
    monkeypatch.setattr(own_room, "LARGE_BYTES", size + more)
    monkeypatch.setattr(
        own_room, "_set_fingerprints", lambda *given: found.append(threading.current_thread().daemon) or look(*given)
    )
    assert fingerprints_in_background(recipe)() == fingerprints(recipe)
    assert found == threads
