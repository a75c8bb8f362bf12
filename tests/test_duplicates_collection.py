"""utils/duplicates/collection.py: the dictionaries of a collection, and which of them are preferred."""

import pytest

from tissue import cut, dictionary, texture
from utils.cli import UsageError
from utils.duplicates.collection import labels_of, list_dictionaries, rank_of
from utils.duplicates.dictionary_index import Dictionary
from utils.duplicates.index_file import read_index


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
