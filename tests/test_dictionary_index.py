"""utils/duplicates/dictionary_index.py: which dictionaries there are; names, pixels and codes of each."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from tissue import cut, dictionary, texture
from utils.cli import UsageError
from utils.dictionaries import load_patches, save_patches
from utils.duplicates.dictionary_index import (
    Dictionary,
    index_dictionary,
    index_path,
    labels_of,
    list_dictionaries,
    rank_of,
)
from utils.duplicates.embedding import embed_all
from utils.duplicates.index_file import current_index, make_index, read_index
from utils.jobs import SKIPPED, Job
from utils.records.fingerprints import fingerprint


def test_an_index_gives_back_names_pixels_and_codes(indexed):
    mine = Dictionary(indexed.source, "fly", current_index(indexed.target, indexed.source))
    content = load_patches(indexed.source)
    assert mine.names == ["a", "b"] and len(mine) == 2 and mine.index.meta["voxel_size"] == [9, 4, 3]
    assert mine.digest == fingerprint([indexed.source]).digest
    assert (mine.index["offsets"] > 0).all()
    for row in (0, 1):
        assert np.array_equal(mine.patch(row), content["patches"][row])
        assert np.array_equal(mine.index["codes"][row], embed_all([content["patches"][row]])[0])
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


def test_a_failure_leaves_no_index(tmp_path):
    def fill(writer, source):
        writer.append(numbers=np.arange(3))
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        make_index(tmp_path / "index", tmp_path / "source", fill)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_no_file_beside_it_can_have_costs_itself_only(tmp_path):
    path = tmp_path / f"{'a' * 240}.pkl"
    save_patches(path, ["a"], [np.zeros((9, 9), np.uint8)])
    with pytest.raises(ValueError, match="of 240 bytes"):
        index_dictionary(Job(path, index_path(path)))
    save_patches(path := tmp_path / "a.pkl", ["a\ud800"], [np.zeros((9, 9), np.uint8)])
    with pytest.raises(ValueError, match="half of a character"):
        index_dictionary(Job(path, index_path(path)))


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
    assert rank_of("name")(mine) == 0 and rank_of("finer")(mine) == 12
    table = tmp_path / "order.csv"
    table.write_text("doi,Name\n1,bee\n2,fly\n")
    assert rank_of(str(table))(mine) == 1
    table.write_bytes("doi;Name\r\n1;bee\r\n2;fly\r\n".encode("utf-16"))  # as spreadsheets write
    assert rank_of(str(table))(mine) == 1
    table.write_text("wasp\nfly\nfly\n")
    assert rank_of(str(table))(mine) == 1
    assert rank_of(str(table))(replace(mine, label="x/fly")) == 1
    table.write_text("fly\nx/fly\n")
    assert rank_of(str(table))(replace(mine, label="x/fly")) == 1, "its label says more than its name"
    table.write_text("bee\n")
    assert rank_of(str(table))(mine) == float("inf")
    table.write_text("")
    with pytest.raises(UsageError, match="is empty"):
        rank_of(str(table))
    with pytest.raises(UsageError, match="neither name nor finer"):
        rank_of("coarser")
