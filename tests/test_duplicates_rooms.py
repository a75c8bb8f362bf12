"""The rooms of utils/duplicates that compare patches: embedding, search, verification, indexes, tables."""

import json
import os
import pickle

import numpy as np
import pytest

from tissue import cut, dictionary, texture
from utils.cli import UsageError
from utils.dictionaries import load_patches
from utils.duplicates.collection import labels_of, list_dictionaries, rank_of
from utils.duplicates.decisions import key_of, remembered
from utils.duplicates.dictionary_index import Dictionary, index_dictionary, index_path
from utils.duplicates.embedding import embed
from utils.duplicates.index_file import current_index, read_index, write_index
from utils.jobs import SKIPPED, Job
from utils.records.duplicates import COLUMNS, EXCLUDED, Duplicate, LeftOut, read_duplicates, save_duplicates


@pytest.fixture
def indexed(tmp_path):
    image = texture(6)
    path = dictionary(
        tmp_path / "d" / "fly.pkl", {"a": cut(image, 0, 0), "b": cut(image, 200, 64)}, voxel_size=(9, 4, 4)
    )
    job = Job(path, index_path(path))
    assert index_dictionary(job) == "2 patches"
    return job


def test_an_index_gives_back_names_pixels_and_codes(indexed):
    mine = Dictionary(indexed.source, "fly", current_index(indexed.target, indexed.source))
    content = load_patches(indexed.source)
    assert mine.names == ["a", "b"] and len(mine) == 2 and mine.index.meta["voxel_size"] == [9, 4, 4]
    assert (mine.index["offsets"] > 0).all()
    for row in (0, 1):
        assert np.array_equal(mine.patch(row), content["patches"][row])
        assert np.array_equal(mine.index["codes"][row], embed(content["patches"][row]))
    assert index_dictionary(indexed) == SKIPPED


def test_pixels_that_the_file_holds_in_another_way_are_found_too(tmp_path):
    path = tmp_path / "old.pkl"
    patches = np.stack([cut(texture(7), 0, 0), cut(texture(7), 9, 99)])
    path.write_bytes(pickle.dumps({"names": ["a", "b"], "patches": list(patches)}, protocol=2))
    index_dictionary(Job(path, index_path(path)))
    mine = Dictionary(path, "old", read_index(index_path(path)))
    assert (mine.index["offsets"] == -1).all() and np.array_equal(mine.patch(1), patches[1])
    assert mine.index.meta["voxel_size"] is None
    path.write_bytes(pickle.dumps({"names": ["a", "b"], "patches": patches}))
    index_dictionary(Job(path, index_path(path)))
    mine = Dictionary(path, "old", read_index(index_path(path)))
    assert np.array_equal(mine.patch(0), patches[0]) and (mine.index["offsets"] > 0).all()


def test_a_new_date_keeps_the_index_and_new_content_does_not(indexed):
    before = (indexed.target / "codes.bin").stat()
    os.utime(indexed.source, ns=(1, 1))
    assert index_dictionary(indexed) == SKIPPED
    assert (indexed.target / "codes.bin").stat().st_mtime_ns == before.st_mtime_ns
    assert read_index(indexed.target).meta["source"][1] == 1
    content = load_patches(indexed.source)
    dictionary(indexed.source, {"c": content["patches"][0]})
    assert index_dictionary(indexed) == "1 patches"
    indexed.source.unlink()
    assert current_index(indexed.target, indexed.source) is None


@pytest.mark.parametrize("harm", ["cut", "json", "version", "gone"])
def test_a_damaged_index_is_made_anew(indexed, harm):
    if harm == "cut":
        (indexed.target / "codes.bin").write_bytes(b"123")
    elif harm == "gone":
        (indexed.target / "names.bin").unlink()
    else:
        meta = json.loads((indexed.target / "index.json").read_text())
        text = "{" if harm == "json" else json.dumps({**meta, "version": 0})
        (indexed.target / "index.json").write_text(text)
    assert read_index(indexed.target) is None
    assert index_dictionary(indexed) == "2 patches"
    assert len(read_index(indexed.target)["codes"]) == 2


def test_a_failure_leaves_no_index(tmp_path):
    def fill(writer):
        writer.append(numbers=np.arange(3))
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        write_index(tmp_path / "index", fill)
    assert list(tmp_path.iterdir()) == []


def test_each_file_once_whatever_the_order(tmp_path):
    for name in ("x/a.pkl", "y/b.pkl"):
        dictionary(tmp_path / name, {"p": cut(texture(0), 0, 0)})
    x, y = tmp_path / "x", tmp_path / "y"
    assert (
        [p.name for p in list_dictionaries([y, x, y])]
        == ["a.pkl", "b.pkl"]
        == [p.name for p in list_dictionaries([x, y])]
    )
    with pytest.raises(UsageError, match="no patch dictionaries"):
        list_dictionaries([tmp_path])


def test_labels_tell_dictionaries_apart(tmp_path):
    paths = [tmp_path / "a" / "2d" / "f.pkl", tmp_path / "b" / "2d" / "f.pkl", tmp_path / "b" / "g.pkl"]
    assert labels_of(paths) == ["a/2d/f", "b/2d/f", "g"]


def test_preferences(indexed, tmp_path):
    mine = Dictionary(indexed.source, "fly", read_index(indexed.target))
    assert rank_of("name")(mine) == 0 and rank_of("finer")(mine) == 16
    table = tmp_path / "order.csv"
    table.write_text("doi,Name\n1,bee\n2,fly\n")
    assert rank_of(str(table))(mine) == 1
    table.write_text("wasp\nfly\nfly\n")
    assert rank_of(str(table))(mine) == 1
    table.write_text("bee\n")
    assert rank_of(str(table))(mine) == float("inf")
    table.write_text("")
    with pytest.raises(UsageError, match="is empty"):
        rank_of(str(table))
    with pytest.raises(UsageError, match="neither name nor finer"):
        rank_of("coarser")


def test_the_table_round_trips_and_says_why(tmp_path):
    rows = [
        Duplicate("b", "2d/fly", "x-LOC-2d-0-9_0-9", f"{EXCLUDED}bench/x.png", 0.75, -0.8, "rot90 inverted"),
        Duplicate("a", "bee", "c", "3d/fly", 1.0, 1.0, "same"),
    ]
    path = tmp_path / "duplicates.csv"
    save_duplicates(path, rows[::-1])
    assert read_duplicates(path) == rows
    assert path.read_text().splitlines()[0] == ",".join(COLUMNS)
    left = LeftOut.read(path)
    assert left.reasons(tmp_path / "2d" / "fly.pkl") == {"b": "excluded"}
    assert left.reasons(tmp_path / "bee.pkl") == {"a": "duplicate"}
    assert left.reasons(tmp_path / "3d" / "fly.pkl") == {} == left.reasons(tmp_path / "fly.pkl")


def test_tables_of_another_kind_are_refused(tmp_path):
    path = tmp_path / "other.csv"
    path.write_text("name,score\n")
    with pytest.raises(ValueError, match="no table of duplicates"):
        read_duplicates(path)
    path.write_text(",".join(COLUMNS) + "\na,b,c,d,high,1,same\n")
    with pytest.raises(ValueError, match="line 2"):
        read_duplicates(path)


def test_decisions_are_remembered_while_their_key_holds(indexed):
    rows = [(0, Duplicate("a", "fly", "b", "bee", 0.5, 0.7, "same"))]
    assert remembered(indexed.source, "duplicates", key_of(1), lambda: rows) == rows
    assert remembered(indexed.source, "duplicates", key_of(1), lambda: []) == rows
    assert remembered(indexed.source, "duplicates", key_of(2), lambda: []) == []
    assert remembered(indexed.source, "duplicates", key_of(1), lambda: rows) == rows
