"""utils/duplicates/dictionary_index.py: names, pixels and codes of a dictionary, from its index."""

import pickle

import numpy as np
import pytest

from tissue import cut, texture
from utils.dictionaries import load_patches
from utils.duplicates.dictionary_index import Dictionary, index_dictionary, index_path
from utils.duplicates.embedding import embed_all
from utils.duplicates.index_file import current_index, make_index, read_index
from utils.jobs import SKIPPED, Job


def test_an_index_gives_back_names_pixels_and_codes(indexed):
    mine = Dictionary(indexed.source, "fly", current_index(indexed.target, indexed.source))
    content = load_patches(indexed.source)
    assert mine.names == ["a", "b"] and len(mine) == 2 and mine.index.meta["voxel_size"] == [9, 4, 4]
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
    def fill(writer):
        writer.append(numbers=np.arange(3))
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        make_index(tmp_path / "index", tmp_path / "source", fill)
    assert list(tmp_path.iterdir()) == []
