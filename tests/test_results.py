"""utils/results.py: a stage's results, and those whose input is gone."""

from pathlib import Path

import pytest

from utils.cli import UsageError
from utils.records.fingerprints import fingerprint
from utils.records.recipes import Recipe, fingerprints, record_of, save_record
from utils.results import Scope, discard_orphans, list_orphans, refuse_nothing_to_do


@pytest.fixture
def scope(tmp_path):
    (tmp_path / "in").mkdir()
    return Scope("stage", tmp_path / "in", tmp_path / "out", nested=True)


def make(scope, name, input_name="a"):
    source, result = scope.root / input_name, scope.folder / name
    source.touch()
    result.parent.mkdir(parents=True, exist_ok=True)
    result.touch()
    recipe = scope.recipe({input_name: (source,)}, {})
    save_record(result, record_of(recipe, result, fingerprints(recipe), fingerprint([result])))
    return result


def test_orphans_of_all_subfolders_go_with_the_folders_that_they_leave_empty(scope):
    kept, gone = make(scope, "a/x.tif"), make(scope, "b/x.tif")
    foreign = scope.folder / "c.tif"
    foreign.touch()
    assert list_orphans(scope, {kept}) == [gone]
    discard_orphans([gone], scope)
    assert kept.exists() and foreign.exists() and not (scope.folder / "b").exists()
    assert list_orphans(scope, {kept}) == []


def test_a_folder_with_other_files_stays(scope):
    gone = make(scope, "b/x.tif")
    (scope.folder / "b" / "notes.txt").touch()
    discard_orphans([gone], scope)
    assert [path.name for path in (scope.folder / "b").iterdir()] == ["notes.txt"]


def test_nothing_to_do_is_bad_usage_unless_there_is_something_to_remove(scope):
    refuse_nothing_to_do(["an input"], scope, False, "images")
    for prune in (False, True):
        with pytest.raises(UsageError, match="in: no images"):
            refuse_nothing_to_do([], scope, prune, "images")
    make(scope, "a/x.tif")
    refuse_nothing_to_do([], scope, True, "images")
    with pytest.raises(UsageError):
        refuse_nothing_to_do([], scope, False, "images")
    gone = Scope("stage", scope.root / "absent", scope.folder)
    with pytest.raises(UsageError, match="absent: no such folder"):
        refuse_nothing_to_do([], gone, False, "images")


def test_of_a_folder_that_is_not_nested_only_its_own(scope):
    own, deeper = make(scope, "x.tif"), make(scope, "b/x.tif")
    flat = Scope("stage", scope.root, scope.folder)
    assert list_orphans(flat, set()) == [own] and sorted(list_orphans(scope, set())) == [deeper, own]
    discard_orphans([own], flat)
    assert not own.exists() and deeper.exists() and scope.folder.exists()
    discard_orphans([deeper], scope)
    assert scope.folder.exists() and list(scope.folder.iterdir()) == []  # the folder of the results stays
    discard_orphans([make(scope, "y.tif")], flat)
    assert list(scope.folder.iterdir()) == []


def test_the_job_of_a_file_and_of_a_source_of_several(tmp_path):
    scope = Scope("stage", tmp_path / "in", tmp_path / "out")
    file, others = tmp_path / "in" / "a.tif", {"b": (tmp_path / "b.tif", tmp_path / "c.tif")}
    job = scope.job(file, Path("x") / "a.png", {"factor": 2})
    assert (job.source, job.target) == (file, tmp_path / "out" / "x" / "a.png")
    assert job.recipe == Recipe("stage", {"a.tif": (file,)}, {"factor": 2}, tmp_path / "in")
    assert scope.job("a group", "g.pkl", {}, others).recipe == scope.recipe(others, {})
