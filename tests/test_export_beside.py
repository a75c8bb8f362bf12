"""What stands beside the shards: tables, sums that hold, a card; made again only when something changed."""

import json
from hashlib import sha256
from pathlib import Path

import pytest
import zarr

from utils.collection.export_beside import (
    moved_datasets,
    read_splits,
    uniform_columns,
    write_beside,
    write_folder_metadata,
    write_patches,
    write_splits,
)
from utils.collection.export_plan import ExportPlan
from utils.collection.ledger import Ledger
from utils.collection.places import Sample
from utils.collection.shards import Shard


def shard(out, split, dataset, kind="webdataset"):
    sample = Sample(f"{dataset}-p", dataset, dataset, "s", Path("x"), 0.5, None, None, 0)
    file = f"{split}/{dataset}/p.png" if kind == "imagefolder" else f"{split}-000000.tar"
    made = Shard(f"{split}-{dataset}", split, [sample], (file,), [{"split": split, "name": sample.name}])
    with Ledger(out).making(made.name, made.files, "1", {"failed": {}}) as scratch:
        (scratch / file).parent.mkdir(parents=True, exist_ok=True)
        (scratch / file).write_text(dataset)
    return made


def plan_in(out, kind="webdataset", **splits):
    splits = splits or {"fly": "train", "bee": "test"}
    shards = [shard(out, split, dataset, kind) for dataset, split in splits.items()]
    rows = {dataset: {"license": "CC0"} for dataset in splits}
    return ExportPlan(kind, shards, splits, [[d] for d in splits], rows, ["a note"], [], {}, 5)


def write(plan, out, title="EM"):
    return write_beside(plan, out, title, ["A rule."], 2)


def test_all_of_it_and_only_once(tmp_path):
    plan = plan_in(tmp_path)
    assert write(plan, tmp_path) is True and write(plan, tmp_path) is False
    assert write(plan, tmp_path, "other") is True
    names = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file() and ".export" not in str(p)}
    visible = {name for name in names if not name.startswith(".")}
    assert visible == {
        "train-000000.tar", "test-000000.tar", "patches.csv", "splits.csv", "croissant.json", "SHA256SUMS", "README.md",
    }  # fmt: skip
    sums = dict(line.split("  ")[::-1] for line in (tmp_path / "SHA256SUMS").read_text().splitlines())
    assert set(sums) == visible - {"croissant.json", "SHA256SUMS", "README.md"}
    assert all(sums[name] == sha256((tmp_path / name).read_bytes()).hexdigest() for name in sums)
    assert (tmp_path / "patches.csv").read_text().splitlines()[1:] == [
        "train-000000.tar,train,fly-p", "test-000000.tar,test,bee-p",
    ]  # fmt: skip
    card = (tmp_path / "README.md").read_text()
    assert "# other" in card and "A rule." in card and "- a note" in card and "No license" not in card
    assert [f["@id"] for f in json.loads((tmp_path / "croissant.json").read_text())["distribution"]] == [
        "test-000000.tar", "train-000000.tar", "patches.csv",
    ]  # fmt: skip


def test_missing_licenses_are_noted(tmp_path):
    plan = plan_in(tmp_path)
    plan.rows["bee"] = {}
    write(plan, tmp_path)
    assert "- No license is known for 1 of 2 datasets." in (tmp_path / "README.md").read_text()


def test_a_folder_of_pictures_has_tables_of_its_splits(tmp_path):
    write(plan_in(tmp_path, "imagefolder"), tmp_path)
    assert (tmp_path / "train/metadata.csv").read_text() == "file_name,split,name\nfly/p.png,train,fly-p\n"
    assert (tmp_path / "test/metadata.csv").is_file()


def test_datasets_that_moved_are_named(tmp_path):
    plan = plan_in(tmp_path)
    (tmp_path / "splits.csv").write_text("dataset,split\nfly,test\n")
    assert moved_datasets(tmp_path, plan) == []  # of another's making
    (tmp_path / "splits.csv").unlink()
    write(plan, tmp_path)
    assert moved_datasets(tmp_path, plan) == []
    plan.split_of = {"fly": "test", "bee": "test", "new": "train"}
    assert moved_datasets(tmp_path, plan) == ["fly: now in test, was in train"]
    (tmp_path / "splits.csv").write_text("nothing\n")
    assert moved_datasets(tmp_path, plan) == []
    (tmp_path / "splits.csv").unlink()
    assert moved_datasets(tmp_path, plan) == []


def test_a_single_split_and_letters_of_any_kind(tmp_path):
    write(plan_in(tmp_path, fly="train"), tmp_path, "Fliegenköpfe")
    assert '"name": "Fliegenköpfe"' in (tmp_path / "croissant.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["zarr"])
def test_the_frame_of_an_array(tmp_path, kind):
    plan = plan_in(tmp_path)
    plan.kind, plan.side = kind, (4, 4)
    write(plan, tmp_path)
    for split in ("train", "test"):
        assert (tmp_path / f"{split}.zarr/images/zarr.json").is_file()
        assert json.loads((tmp_path / f"{split}.zarr/images/zarr.json").read_text())["shape"] == [1, 4, 4]
        names = zarr.open_array(tmp_path / f"{split}.zarr/names", mode="r")[:]
        assert list(names) == [f"{dataset}-p" for dataset, its in plan.split_of.items() if its == split]


def table_shard(rows, files=("a.tar",)):
    samples = [Sample(f"p{i}", "d", "d", "s", Path("x"), 0.5, None, None, 0) for i in range(len(rows))]
    return Shard("u", "train", samples, files, rows)


def test_a_row_for_each_patch(tmp_path):
    rows = [{"name": "=p", "score": 0.25, "z0": None}, {"name": "q", "score": -1, "z0": 7}]
    each = table_shard(rows, ("train/d/=p.png", "train/d/q.png"))
    write_patches(tmp_path / "p.csv", [table_shard(rows[:1]), each])
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
    splits = {
        "train": [table_shard([{"x": value} for value in train])],
        "test": [table_shard([{"x": value} for value in test])],
    }
    assert uniform_columns(splits) == ({} if kind is None else {"x": kind})


def test_metadata_of_a_folder(tmp_path):
    rows = [{"name": "=p", "n": 1, "x": 2, "y": ""}, {"name": "q", "n": 2, "x": None, "y": "5"}]
    with pytest.raises(ValueError, match="longer"):  # files that the shard lacks
        write_folder_metadata(tmp_path / "m.csv", [table_shard(rows, ("train/d/p.png",))], {"n": "whole"})
    columns = {"name": "text", "n": "whole", "x": "number", "y": "number"}
    write_folder_metadata(tmp_path / "m.csv", [table_shard(rows, ("train/d/p.png", "train/d/q.png"))], columns)
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
