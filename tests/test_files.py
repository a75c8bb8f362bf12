"""utils/files.py: names, listings, complete targets, locks."""

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import on_linux
from utils import files
from utils.files import (
    atomic_path,
    expanded,
    flush_all,
    is_there,
    list_entries,
    list_files,
    natural_key,
    remove,
    remove_if_empty,
    resolved,
    safe_name,
    sha256_of,
    stem,
    suffix,
    walk,
)


def test_listing_ignores_litter_and_counts(tmp_path):
    for name in ("s10.png", "s9.png", ".DS_Store", "._s9.png", "Thumbs.db", "desktop.ini", "~$notes.doc", "a.TXT"):
        (tmp_path / name).touch()
    for name in ("group", ".hidden", "@eaDir", "__MACOSX"):
        (tmp_path / name).mkdir()
    assert [f.name for f in list_files(tmp_path)] == ["a.TXT", "s9.png", "s10.png"]
    assert [f.name for f in list_files(tmp_path, {".txt"})] == ["a.TXT"]
    assert [d.name for d in list_entries(tmp_path).folders] == ["group"]
    (tmp_path / "nowhere.png").symlink_to(tmp_path / "absent")
    (tmp_path / "itself.png").symlink_to(tmp_path / "itself.png")
    assert [f.name for f in list_files(tmp_path, {".png"})] == ["itself.png", "nowhere.png", "s9.png", "s10.png"]


@pytest.mark.parametrize("flush", [False, True])
def test_a_digest_of_what_is_on_the_disk(tmp_path, monkeypatch, flush):
    (tmp_path / "a").write_bytes(b"abc")
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", flushed.append)
    assert sha256_of(tmp_path / "a", flush=flush) == hashlib.sha256(b"abc").hexdigest()
    assert len(flushed) == flush
    assert sha256_of(tmp_path / "a") and len(flushed) == flush


@pytest.mark.parametrize(
    ("name", "expected_stem", "expected_suffix"),
    [
        ("vol.nii.gz", "vol", ".nii.gz"),
        ("a.mrc_b.mrc", "a.mrc_b", ".mrc"),
        ("brain.v1.2.MRC.BZ2", "brain.v1.2", ".mrc.bz2"),
        ("cell_1.5um", "cell_1.5um", ""),
        ("scan.ome.tiff", "scan", ".ome.tiff"),
        ("x.map.gz", "x", ".map.gz"),
        (".nrrd", ".nrrd", ""),
        ("archive.gz", "archive", ".gz"),
        ("tif.tif.tif", "tif.tif", ".tif"),
    ],
)
def test_stem_and_suffix(name, expected_stem, expected_suffix):
    assert (stem(Path(name)), suffix(Path(name))) == (expected_stem, expected_suffix)


def test_stem_of_folders_keeps_dots(tmp_path):
    for name, expected in (("cell_v1.2_10nm", "cell_v1.2_10nm"), ("em.ome.zarr", "em"), ("x.n5", "x")):
        (tmp_path / name).mkdir()
        assert stem(tmp_path / name) == expected


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=20))
def test_natural_order_is_numeric(numbers):
    names = [f"s2_slice{n}.png" for n in numbers]
    assert sorted(names, key=natural_key) == [f"s2_slice{n}.png" for n in sorted(numbers)]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "/etc/passwd", "C:evil", "nul\0"])
def test_unsafe_names_are_refused(name):
    with pytest.raises(ValueError, match="cannot become a file name"):
        safe_name(name)


def test_names_that_no_disk_takes_are_refused():
    assert safe_name("ü" * 110) == "ü" * 110
    with pytest.raises(ValueError, match="of 222 bytes is too long"):
        safe_name("ü" * 111)


def test_a_name_with_half_of_a_character_is_named():
    with pytest.raises(ValueError, match=r"the name 'a\\ud800b' cannot become a file name \(it holds half of a"):
        safe_name("a\ud800b")


def test_safe_names_pass():
    assert safe_name("vol..1-LOC-2d-0-9_0-9") == "vol..1-LOC-2d-0-9_0-9"


def test_atomic_path_leaves_all_or_nothing(tmp_path):
    target = tmp_path / "new" / "volume.nii.gz"
    with pytest.raises(OSError, match="disk full"), atomic_path(target) as scratch:
        assert scratch.name.endswith(".nii.gz")
        scratch.write_bytes(b"half")
        raise OSError("disk full")
    assert list(target.parent.iterdir()) == []
    with atomic_path(target) as scratch:
        scratch.write_bytes(b"whole")
        assert not target.exists()
    assert target.read_bytes() == b"whole"
    assert list(target.parent.iterdir()) == [target]


def test_atomic_path_makes_folders_and_clears_leftovers(tmp_path):
    target = tmp_path / "folder"
    (tmp_path / ".folder.part").mkdir()
    (tmp_path / ".folder.part" / "stale").touch()
    with atomic_path(target) as scratch:
        scratch.mkdir()
        (scratch / "page").write_text("text")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]
    assert [p.name for p in target.iterdir()] == ["page"]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@on_linux
def test_everything_is_handed_to_the_disk_before_it_takes_its_name(tmp_path, monkeypatch):
    flushed = []

    def fsync(descriptor):
        os.fstat(descriptor)
        flushed.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)

    monkeypatch.setattr(os, "fsync", fsync)
    with atomic_path(tmp_path / "in/a.bin") as scratch:
        scratch.write_bytes(b"a")
        assert flushed == []
    assert flushed == [".a.bin.part.bin", "in"]
    flushed.clear()
    with atomic_path(tmp_path / "b") as scratch:
        scratch.mkdir()
        (scratch / "page").touch()
    assert flushed == [".b.part", "page", tmp_path.name]
    flushed.clear()
    monkeypatch.setattr(files, "_sync_file_system", lambda folder: False)
    flush_all(tmp_path / "b")
    assert flushed == ["page"]
    opened = open_files()
    for _ in range(5):
        files._flush(tmp_path / "b")
    assert open_files() == opened


@on_linux
def test_one_call_hands_all_of_a_file_system_over(tmp_path):
    opened = open_files()
    assert files._sync_file_system(tmp_path) is True
    assert open_files() == opened
    with pytest.raises(FileNotFoundError):
        files._sync_file_system(tmp_path / "gone")


def test_paths_that_lead_nowhere(tmp_path):
    """Names come from headers, and links from anybody: neither may end a run."""
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert is_there(tmp_path)
    assert not any(is_there(tmp_path / name) for name in ("a", "a" * 5000, "a\0b", "loop"))
    assert resolved(tmp_path / "loop").name == "loop"
    assert expanded("~nobody-of-this-name/a") == Path("~nobody-of-this-name/a") and expanded("~").is_absolute()


def test_folders_that_hold_nothing_go(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "b/c").touch()
    for name in ("a", "b", "gone"):
        remove_if_empty(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    remove(tmp_path / "gone")
    (tmp_path / "link").symlink_to(tmp_path / "b")
    remove(tmp_path / "link")
    assert (tmp_path / "b/c").exists()
    remove(tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_folders_below_in_natural_order_without_rounds(tmp_path):
    for name in ("b10/inner", "b9", "left out/inner", ".hidden"):
        (tmp_path / "a" / name).mkdir(parents=True)
    if hasattr(os, "symlink"):
        (tmp_path / "a/b9/up").symlink_to(tmp_path, target_is_directory=True)
    found = walk(tmp_path / "a", lambda inner: inner.name != "left out")
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["a", "a/b9", "a/b10", "a/b10/inner"]
