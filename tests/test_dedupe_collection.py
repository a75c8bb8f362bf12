"""collection/dedupe_collection.py: a collection's duplicates and leaks, whatever the order, and again."""

import csv
import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from PIL import Image

import dedupe_collection
from conftest import ROOT
from tissue import cut, dictionary, texture
from utils.dictionaries import load_patches
from utils.duplicates.embedding import view_of
from utils.files import list_files
from utils.formats.writers import write_nrrd
from utils.records.duplicates import LeftOut, read_duplicates


@pytest.fixture(scope="module")
def pictures():
    return [texture(seed, (460, 460)) for seed in range(3)]


@pytest.fixture
def collection(tmp_path, pictures):
    """Three dictionaries in two folders; `b` has copies of what is in `a`, and `c` of what is in `b`."""
    first, second, third = pictures
    a = {f"a-LOC-2d-0-224_{x}-{x + 224}": cut(first, 0, x) for x in (0, 230)}
    half = cv2.resize(cut(first, 0, 230), (112, 112), interpolation=cv2.INTER_AREA)
    b = {"copy": cut(first, 3, 0), "half": half, "own": cut(second, 0, 0), "flat": np.zeros((224, 224), np.uint8)}
    c = {"turned": np.ascontiguousarray(255 - view_of(cut(second, 0, 0), 6)), "last": cut(third, 0, 0)}
    dictionary(tmp_path / "2d" / "a.pkl", a, voxel_size=(1, 8, 8))
    dictionary(tmp_path / "2d" / "b.pkl", b, voxel_size=(1, 4, 4))
    dictionary(tmp_path / "3d" / "c.pkl", c)
    return tmp_path


def dedupe(collection, *options, out="duplicates.csv"):
    folders = [collection / "2d", collection / "3d"]
    return dedupe_collection.main([*map(str, folders), "-o", str(collection / out), *map(str, options)])


def pairs(path):
    return {(row.dictionary, row.name): (row.its_dictionary, row.duplicate_of) for row in read_duplicates(path)}


def test_copies_are_found_and_verified(collection, capsys):
    assert dedupe(collection) == 0
    table = collection / "duplicates.csv"
    assert pairs(table) == {
        ("b", "copy"): ("a", "a-LOC-2d-0-224_0-224"),
        ("b", "half"): ("a", "a-LOC-2d-0-224_230-454"),
        ("c", "turned"): ("b", "own"),
    }
    rows = {row.name: row for row in read_duplicates(table)}
    assert rows["copy"].orientation == "same" and rows["turned"].orientation == "rot270 inverted"
    assert rows["turned"].correlation < -0.99 and rows["turned"].similarity > 0.99
    assert capsys.readouterr().out.endswith(f"patches: 8, 3 duplicates, 0 excluded -> {table}\n")
    with Image.open(collection / "duplicates.png") as sheet:
        assert sheet.size[1] > 100
    with table.open() as file:
        assert next(csv.reader(file)) == [
            *("name", "dictionary", "duplicate_of", "its_dictionary", "similarity", "correlation", "orientation"),
        ]
    assert LeftOut(read_duplicates(table)).reasons(collection / "2d" / "b.pkl") == {
        "copy": "duplicate",
        "half": "duplicate",
    }


def test_order_and_processes_do_not_matter(collection):
    assert dedupe(collection) == 0
    folders = [str(collection / "3d"), str(collection / "2d")]
    assert dedupe_collection.main([*folders, "-o", str(collection / "other.csv"), "-p", "3"]) == 0
    assert (collection / "other.csv").read_bytes() == (collection / "duplicates.csv").read_bytes()
    assert (collection / "other.png").read_bytes() == (collection / "duplicates.png").read_bytes()


def test_the_preferred_one_is_kept(collection, capsys):
    assert dedupe(collection, "--prefer", "finer") == 0
    assert ("a", "a-LOC-2d-0-224_0-224") in pairs(collection / "duplicates.csv")
    order = collection / "order.csv"
    order.write_text("name,doi\nc,1\nb,2\n")
    assert dedupe(collection, "--prefer", order) == 0
    assert pairs(collection / "duplicates.csv")["b", "own"] == ("c", "turned")
    capsys.readouterr()
    order.write_text("dataset;name\nc;nobody\n")  # the column that counts names none
    assert dedupe(collection, "--prefer", order) == 0
    assert "order.csv names no dataset of this collection" in capsys.readouterr().err
    order.write_text("name\nnobody\nb\n")
    assert dedupe(collection, "--prefer", order) == 0
    assert ("a", "a-LOC-2d-0-224_0-224") in pairs(collection / "duplicates.csv")
    assert "warning" not in capsys.readouterr().err


def test_a_new_dataset_is_compared_and_nothing_is_indexed_twice(collection, pictures):
    assert dedupe(collection) == 0
    index = collection / "2d" / ".duplicates" / "a" / "codes.bin"
    before = index.stat().st_mtime_ns
    dictionary(collection / "3d" / "aa.pkl", {"new": cut(pictures[2], 1, 1)})
    assert dedupe(collection) == 0
    assert index.stat().st_mtime_ns == before
    grown = (collection / "duplicates.csv").read_bytes()
    assert pairs(collection / "duplicates.csv")["c", "last"] == ("aa", "new")
    for folder in ("2d", "3d"):
        subprocess.run(["rm", "-r", str(collection / folder / ".duplicates")], check=True)
    assert dedupe(collection) == 0
    assert (collection / "duplicates.csv").read_bytes() == grown


def test_a_replaced_dictionary_is_seen_and_one_that_goes_leaves_no_trace(collection, pictures):
    assert dedupe(collection) == 0
    dictionary(collection / "2d" / "a.pkl", {"else": texture(9, (224, 224))})
    assert dedupe(collection) == 0
    assert set(pairs(collection / "duplicates.csv")) == {("c", "turned")}
    (collection / "2d" / "b.pkl").unlink()
    assert dedupe(collection) == 0
    assert pairs(collection / "duplicates.csv") == {}


def test_what_stands_is_not_written_again(collection, capsys):
    assert dedupe(collection) == 0
    before = {name: (collection / name).stat().st_mtime_ns for name in ("duplicates.csv", "duplicates.png")}
    capsys.readouterr()
    assert dedupe(collection) == 0
    assert "tables: 0 done, 1 done before, 0 failed" in capsys.readouterr().out
    assert {name: (collection / name).stat().st_mtime_ns for name in before} == before
    (collection / "duplicates.png").unlink()
    assert dedupe(collection) == 0
    assert (collection / "duplicates.png").is_file()


def test_pruning_takes_what_is_gone(collection, capsys):
    bench = collection / "bench"
    bench.mkdir()
    Image.fromarray(texture(8, (300, 300))).save(bench / "x.png")
    assert dedupe(collection, "--exclude", bench) == 0
    indexes = collection / "2d" / ".duplicates"
    assert {path.name for path in indexes.iterdir()} >= {"a", "b", "a.leaks.json", "a.duplicates.json"}
    (collection / "2d" / "a.pkl").rename(collection / "3d" / "a.pkl")
    assert dedupe(collection) == 0
    assert (indexes / "a").is_dir() and (collection / ".duplicates.excluded").is_dir()
    assert dedupe(collection, "--prune") == 0
    assert "without their input (2; removed): a, x-" in capsys.readouterr().err
    assert {path.name.split(".")[0] for path in indexes.iterdir()} == {"b"}
    assert not (collection / ".duplicates.excluded").exists()
    for path in collection.glob("?d/*.pkl"):
        path.unlink()
    assert dedupe(collection) == 2  # nothing to read
    assert dedupe(collection, "--prune") == 0
    assert list_files(collection) == [] and not indexes.exists()


def test_a_damaged_dictionary_costs_itself_only(collection, capsys):
    (collection / "2d" / "broken.pkl").write_bytes(b"no pickle")
    assert dedupe(collection) == 1
    assert len(pairs(collection / "duplicates.csv")) == 3
    assert "broken.pkl: not a readable patch dictionary" in capsys.readouterr().err
    for path in collection.glob("?d/*.pkl"):
        path.write_bytes(b"no pickle")
    assert dedupe(collection) == 1 and len(pairs(collection / "duplicates.csv")) == 3  # of none there is no table
    assert capsys.readouterr().out == "dictionaries: 0 done, 0 done before, 4 failed\n"


def test_within_compares_the_patches_of_one_dictionary(tmp_path, pictures):
    patches = {name: cut(pictures[0], y, 0) for name, y in (("one", 0), ("two", 4), ("three", 8), ("far", 230))}
    dictionary(tmp_path / "2d" / "a.pkl", patches)
    arguments = [str(tmp_path / "2d"), "-o", str(tmp_path / "t.csv")]
    assert dedupe_collection.main(arguments) == 0
    assert pairs(tmp_path / "t.csv") == {}
    assert dedupe_collection.main([*arguments, "--within"]) == 0
    assert pairs(tmp_path / "t.csv") == {("a", "two"): ("a", "one"), ("a", "three"): ("a", "one")}


def test_similarity_moves_the_threshold(collection, pictures):
    noisy = cut(pictures[2], 0, 0) + np.random.default_rng(0).normal(0, 25, (224, 224))
    dictionary(collection / "3d" / "d.pkl", {"noisy": np.clip(noisy, 0, 255).astype(np.uint8)})
    assert dedupe(collection) == 0
    [row] = [row for row in read_duplicates(collection / "duplicates.csv") if row.name == "noisy"]
    assert dedupe(collection, "--similarity", row.similarity + 0.02) == 0
    assert ("d", "noisy") not in pairs(collection / "duplicates.csv")


def test_excluded_images_are_kept_out(collection, pictures, capsys):
    bench = collection / "bench" / "deep"
    bench.mkdir(parents=True)
    Image.fromarray(255 - pictures[1][20:, 10:]).save(bench / "test.png")
    (bench / "bad.png").write_bytes(b"no image")
    assert dedupe(collection, "--exclude", collection / "bench") == 1
    assert "bad.png: " in capsys.readouterr().err
    rows = {(row.dictionary, row.name): row for row in read_duplicates(collection / "duplicates.csv")}
    own = rows["b", "own"]
    assert own.its_dictionary == "excluded:bench/deep/test.png" and own.reason == "excluded"
    assert own.duplicate_of == "test-LOC-2d-0-204_0-214" and own.orientation == "same inverted"
    assert rows["c", "turned"].reason == "excluded"
    assert (
        LeftOut(read_duplicates(collection / "duplicates.csv")).reasons(collection / "2d" / "b.pkl")["own"]
        == "excluded"
    )
    index = next((collection / ".duplicates.excluded").iterdir())
    before = (index / "codes.bin").stat().st_mtime_ns
    (bench / "bad.png").unlink()
    table = (collection / "duplicates.csv").read_bytes()
    assert dedupe(collection, "--exclude", collection / "bench") == 0
    assert (index / "codes.bin").stat().st_mtime_ns == before
    assert (collection / "duplicates.csv").read_bytes() == table


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--deep"], "--deep compares with excluded images"),
        (["--prefer", "coarser"], "neither name nor finer"),
        (["--similarity", "2"], "a number from 0 to 1"),
        (["--exclude", "nowhere"], "no such folder"),
    ],
)
def test_bad_usage_is_refused_before_any_work(collection, capsys, options, said):
    try:
        code = dedupe(collection, *options)
    except SystemExit as stop:
        code = stop.code
    assert code == 2 and said in capsys.readouterr().err
    assert not (collection / "duplicates.csv").exists() and not (collection / "2d" / ".duplicates").exists()


def test_the_output_is_a_csv(collection):
    assert dedupe(collection, out="table.txt") == 2


def test_other_stages_do_not_see_the_indexes(collection):
    assert dedupe(collection) == 0
    assert [path.name for path in list_files(collection / "2d")] == ["a.pkl", "b.pkl"]
    assert len(load_patches(collection / "2d" / "a.pkl")["names"]) == 2


def test_a_killed_run_leaves_whole_indexes_or_none(collection):
    assert dedupe(collection) == 0
    expected = (collection / "duplicates.csv").read_bytes()
    subprocess.run(["rm", "-r", *(str(collection / f / ".duplicates") for f in ("2d", "3d"))], check=True)
    (collection / "duplicates.csv").unlink()
    script = ROOT / "collection" / "dedupe_collection.py"
    command = [sys.executable, str(script), str(collection / "2d"), str(collection / "3d")]
    run = subprocess.Popen([*command, "-o", str(collection / "duplicates.csv")], stderr=subprocess.DEVNULL)
    while run.poll() is None and not (collection / "2d" / ".duplicates" / "a").exists():
        time.sleep(0.001)
    run.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
    run.wait()
    assert dedupe(collection) == 0
    assert (collection / "duplicates.csv").read_bytes() == expected
    assert not list((collection / "2d" / ".duplicates").glob(".*.part*"))


def test_real_twins_in_four_formats(real_data, tmp_path):
    import patchify2d

    for file in (real_data / "2d" / "temca_tile_same_image_4_formats").iterdir():
        (tmp_path / "in" / file.suffix[1:]).mkdir(parents=True)
        (tmp_path / "in" / file.suffix[1:] / file.name).write_bytes(file.read_bytes())
    assert patchify2d.main([str(tmp_path / "in"), str(tmp_path / "2d")]) == 0
    assert dedupe_collection.main([str(tmp_path / "2d"), "-o", str(tmp_path / "t.csv")]) == 0
    rows = read_duplicates(tmp_path / "t.csv")
    assert len(rows) == 3 * len(load_patches(tmp_path / "2d" / "jpg.pkl")["names"])
    assert {row.its_dictionary for row in rows} == {"jpg"} and all(row.name == row.duplicate_of for row in rows)


def test_an_excluded_volume_that_no_window_fits_into_is_none(collection, tmp_path):
    (tmp_path / "bench").mkdir()
    write_nrrd(tmp_path / "bench/small.nrrd", np.ones((30, 30, 30), np.uint8), (8.0, 8.0, 8.0))
    assert dedupe(collection, "--exclude", tmp_path / "bench") == 0
    assert {row.reason for row in read_duplicates(collection / "duplicates.csv")} == {"duplicate"}
