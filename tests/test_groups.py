"""utils/groups.py: which images of a folder belong together."""

from argparse import Namespace
from pathlib import Path

import pytest

from utils.cli import UsageError
from utils.groups import groups_of, list_groups
from utils.results import Scope
from utils.sources import nested_volumes


def made(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def listed(folder: Path, **options) -> dict[str, list[str]]:
    return {group.name: [path.name for path in group.images] for group in list_groups(folder, **options).groups}


def test_subfolders_and_loose_images_are_groups(tmp_path):
    folder = made(tmp_path / "in", "c.tif", "a10/x.png", "a9/y.jpg", "a9/z.jpg")
    assert listed(folder) == {"in": ["c.tif"], "a9": ["y.jpg", "z.jpg"], "a10": ["x.png"]}
    assert [str(group) for group in list_groups(folder).groups][1] == str(folder / "a9")


def test_what_is_nested_deeper_is_named_or_taken(tmp_path, capsys):
    folder = made(tmp_path / "in", "a/x.png", "a/b/y.png", "a/b/c/z.png", "a/notes.txt")
    found = list_groups(folder)
    assert [group.name for group in found.groups] == ["a"]
    assert found.nested == [folder / "a/b/y.png", folder / "a/b/c/z.png"]
    assert listed(folder, recursive=True) == {"a": ["x.png"], "a-b": ["y.png"], "a-b-c": ["z.png"]}
    given = Namespace(dir=folder, recursive=False, quiet=False, prune=False)
    assert groups_of(given, Scope("stage", folder, tmp_path / "out")) == found
    said = capsys.readouterr().err
    assert "nested deeper than DIR/GROUP/IMAGE: 2 images, such as" in said
    assert f"passed over, no images: {folder / 'a/notes.txt'}\n" in said


def test_what_is_no_image_is_passed_over(tmp_path):
    folder = made(tmp_path / "in", "notes.txt", "a/x.png", "a/readme.md", "empty/none.txt", "deep/er/y.png")
    (folder / "bare").mkdir()
    found = list_groups(folder)
    assert sorted(path.relative_to(folder).as_posix() for path in found.passed_over) == [
        "a/readme.md", "bare", "empty", "empty/none.txt", "notes.txt",
    ]  # fmt: skip


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "in").mkdir()
    given = Namespace(dir=tmp_path / "in", recursive=False, quiet=False, prune=False)
    with pytest.raises(UsageError, match="no image in it"):
        groups_of(given, Scope("stage", tmp_path / "in", tmp_path / "out"))


def test_an_output_folder_inside_is_no_group(tmp_path):
    folder = made(tmp_path / "in", "a/x.png", "out/y.png")
    assert listed(folder, without=folder / "out") == {"a": ["x.png"]}
    assert listed(folder, without=folder / "a" / ".." / "out") == {"a": ["x.png"]}


def test_a_link_to_a_folder_above_ends_the_listing(tmp_path):
    folder = made(tmp_path / "in", "a/x.png", "b/y.png")
    (folder / "a" / "up").symlink_to(folder)
    for name in "cd":  # two folders that lead to each other, twice: 2^40 before the system gives up
        for one, other in ("ab", "ba"):
            (folder / one / name).symlink_to(folder / other)
    assert listed(folder) == {"a": ["x.png"], "b": ["y.png"]}
    assert list(listed(folder, recursive=True)) == ["a", "a-c", "a-d", "b", "b-c", "b-d"]
    assert nested_volumes(folder) == []


def test_a_folder_that_may_not_be_looked_into_stops_no_other(tmp_path, lock_folder):
    folder = made(tmp_path / "in", "a/x.png", "b/y.png", "c/d/z.png")
    lock_folder(folder / "b")
    lock_folder(folder / "c" / "d")
    assert listed(folder) == {"a": ["x.png"]}
    assert list_groups(folder).unlisted == {folder / "b": "Permission denied"}
    assert set(list_groups(folder, recursive=True).unlisted) == {folder / "b", folder / "c" / "d"}
    lock_folder(folder)
    with pytest.raises(PermissionError):
        list_groups(folder)
