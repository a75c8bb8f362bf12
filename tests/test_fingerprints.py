"""utils/records/fingerprints.py: what tells whether files still hold what they held."""

import os
from pathlib import Path

import pytest

import utils.records.fingerprints as fingerprints
from utils.records.fingerprints import NO_FILE, digest, fingerprint, glance


def test_a_file(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    found = fingerprint([path])
    assert (found.size, found.stamp) == (3, path.stat().st_mtime_ns + path.stat().st_ctime_ns)
    assert found.digest == "06b05ab6733a618578af5f94892f3950"  # XXH3's own test value of b"abc"
    assert glance([path]) == found._replace(digest="") and glance([path]).looks_like(found)
    os.utime(path, ns=(5, 5))
    assert not glance([path]).looks_like(found) and fingerprint([path]).digest == found.digest


@pytest.mark.skipif(os.name == "nt", reason="Windows tells no change from the making of a file")
def test_another_file_of_the_same_size_and_date_is_noticed(tmp_path):
    """Tiles have one size, and what is unpacked has the archive's dates, in whole seconds."""
    one, other = tmp_path / "a", tmp_path / "b"
    for path in (one, other):
        path.write_text(path.name)
        os.utime(path, ns=(5, 5))
    before = [glance([one]), glance([tmp_path])]
    wait_for_a_tick(tmp_path)
    other.replace(one)
    other.write_text("a")
    os.utime(other, ns=(5, 5))
    assert not glance([one]).looks_like(before[0]) and not glance([tmp_path]).looks_like(before[1])


def wait_for_a_tick(folder):
    """Until the file system's clock, of some milliseconds a tick, says another time."""
    first = folder.stat().st_ctime_ns
    while folder.stat().st_ctime_ns == first:
        (folder / "clock").touch()
        (folder / "clock").unlink()


def test_what_is_not_there(tmp_path):
    assert glance([tmp_path / "a"]) == NO_FILE and digest([tmp_path / "a"]) == ""
    assert fingerprint([]) == fingerprint([]) and fingerprint([]).size == 0


@pytest.mark.parametrize("change", ["content", "name", "added", "removed", "hidden metadata"])
def test_a_folder_changes_with_its_files(tmp_path, change):
    folder = tmp_path / "image.zarr"
    (folder / "0").mkdir(parents=True)
    for name in ("0/0.0", ".zattrs", "b"):
        (folder / name).write_text(name)
    before = fingerprint([folder])
    assert before.size == len("0/0.0" + ".zattrs" + "b")
    if change == "content":
        (folder / "0" / "0.0").write_text("0/0.1")
    elif change == "name":
        (folder / "b").rename(folder / "c")
    elif change == "added":
        (folder / "0" / "0.1").touch()
    elif change == "removed":
        (folder / "b").unlink()
    else:
        (folder / ".zattrs").write_text(".zattr2")
    now = fingerprint([folder])
    assert now.digest != before.digest and not now.looks_like(before)


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_folders_that_are_linked_count(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "a" / "b").symlink_to(tmp_path / "elsewhere")
    before = fingerprint([tmp_path / "a"])
    (tmp_path / "elsewhere" / "0.png").write_text("0")
    assert fingerprint([tmp_path / "a"]).size == 1 != before.size


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_that_go_round_are_followed_once(tmp_path):
    """Two of them would be 2^40 folders before the system gives up."""
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").write_text("0")
    for name in ("x/a", "x/b"):
        (tmp_path / name).symlink_to(tmp_path / "y")
    for name in ("y/a", "y/b", "up", "again"):
        (tmp_path / name).symlink_to(tmp_path / "x")
    (tmp_path / "x" / "up").symlink_to(tmp_path)
    assert fingerprint([tmp_path]).size == 2


def test_litter_in_a_folder_is_no_change(tmp_path):
    (tmp_path / "0.png").write_text("0")
    before = fingerprint([tmp_path])
    for name in (".DS_Store", "Thumbs.db", "._0.png", "~$x"):
        (tmp_path / name).touch()
    (tmp_path / ".recipes").mkdir()
    (tmp_path / ".recipes" / "x.json").touch()
    assert fingerprint([tmp_path]) == before


def test_several_files_count_with_their_names_and_order(tmp_path):
    for name in "ab":
        (tmp_path / name).write_text("same")
    one, other = tmp_path / "a", tmp_path / "b"
    assert fingerprint([one, other]).digest != fingerprint([other, one]).digest
    assert fingerprint([one, other]).size == 8 == glance([one, tmp_path / "gone", other]).size


def test_of_a_huge_file_blocks_are_read_from_the_first_to_the_last(tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprints, "WHOLE_BYTES", 1000)
    monkeypatch.setattr(fingerprints, "BLOCKS", 4)
    monkeypatch.setattr(fingerprints, "BLOCK_BYTES", 100)
    path = tmp_path / "a"
    path.write_bytes(bytes(2000))
    before = digest([path])
    for place, noticed in ((0, True), (1999, True), (633, True), (300, False)):
        content = bytearray(2000)
        content[place] = 1
        path.write_bytes(content)
        assert (digest([path]) != before) is noticed
    path.write_bytes(bytes(1000))
    before = digest([path])
    path.write_bytes(bytes(150) + b"1" + bytes(849))
    assert digest([path]) != before  # no larger than what is read whole


def test_a_folder_that_may_not_be_looked_into_has_no_content(tmp_path, lock_folder):
    (tmp_path / "a" / "inner").mkdir(parents=True)
    (tmp_path / "a" / "0.png").touch()
    lock_folder(tmp_path / "a" / "inner")
    assert glance([tmp_path / "a"]) == NO_FILE and digest([tmp_path / "a"]) == ""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")
def test_devices_and_pipes_have_no_content(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for special in (Path("/dev/zero"), tmp_path / "pipe", tmp_path):
        assert digest([special]) == ""
