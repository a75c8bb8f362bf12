"""Tables beside exported patches: rows in the order of the files, columns of one kind, splits both ways."""

from pathlib import Path

import pytest

from utils.collection.export_tables import (
    read_splits,
    uniform_columns,
    write_folder_metadata,
    write_patches,
    write_splits,
)
from utils.collection.samples import Sample
from utils.collection.shards import Shard


def shard(rows, files=("a.tar",)):
    samples = [Sample(f"p{i}", "d", "d", "s", Path("x"), 0.5, None, None, 0) for i in range(len(rows))]
    return Shard("u", "train", samples, files, rows)


def test_a_row_for_each_patch(tmp_path):
    rows = [{"name": "=p", "score": 0.25, "z0": None}, {"name": "q", "score": -1, "z0": 7}]
    each = shard(rows, ("train/d/=p.png", "train/d/q.png"))
    write_patches(tmp_path / "p.csv", [shard(rows[:1]), each])
    assert (tmp_path / "p.csv").read_text() == (
        "file,name,score,z0\na.tar,'=p,0.25,\ntrain/d/=p.png,'=p,0.25,\ntrain/d/q.png,q,-1,7\n"
    )
    write_patches(tmp_path / "p.csv", [])
    assert (tmp_path / "p.csv").read_text() == ""


@pytest.mark.parametrize(
    ("train", "test", "kind"),
    [
        ([1, 2], [3], "whole"),
        ([1, None], [3], "number"),
        ([1, 2], [0.5], "number"),
        (["a", ""], ["b"], "text"),
        (["a"], ["1"], None),  # text here, numbers there: no reader would agree
        (["a"], [""], None),
        (["", None], [""], "number"),
        (["1.5"], [2], "number"),
        ([True], [1], "whole"),
    ],
)
def test_columns_that_a_reader_takes_for_the_same(train, test, kind):
    splits = {"train": [shard([{"x": value} for value in train])], "test": [shard([{"x": value} for value in test])]}
    assert uniform_columns(splits) == ({} if kind is None else {"x": kind})


def test_metadata_of_a_folder(tmp_path):
    rows = [{"name": "=p", "n": 1, "x": 2, "y": ""}, {"name": "q", "n": 2, "x": None, "y": "5"}]
    with pytest.raises(ValueError, match="longer"):  # files that the shard lacks
        write_folder_metadata(tmp_path / "m.csv", [shard(rows, ("train/d/p.png",))], {"n": "whole"})
    columns = {"name": "text", "n": "whole", "x": "number", "y": "number"}
    write_folder_metadata(tmp_path / "m.csv", [shard(rows, ("train/d/p.png", "train/d/q.png"))], columns)
    assert (tmp_path / "m.csv").read_text() == "file_name,name,n,x,y\nd/p.png,'=p,1,2.0,\nd/q.png,q,2,,5.0\n"


def test_splits_both_ways(tmp_path):
    splits = {"b": "train", "=a": "train", "c": "test", "'d": "test"}
    write_splits(tmp_path / "s.csv", splits, [["c"], ["b", "=a"], ["'d"]])
    assert (tmp_path / "s.csv").read_text() == (
        "dataset,split,tied_with\n'd,test,\nb,train,'=a\n'=a,train,b\nc,test,\n"
    )
    assert read_splits(tmp_path / "s.csv") == splits
    (tmp_path / "s.csv").write_text("split,dataset\ntrain,a\n")
    assert read_splits(tmp_path / "s.csv") == {"a": "train"}
    (tmp_path / "s.csv").write_text("dataset,tied_with\na,b\n")
    with pytest.raises(ValueError, match="columns are dataset, tied_with; expected dataset,split"):
        read_splits(tmp_path / "s.csv")
