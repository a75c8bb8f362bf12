"""What an export is to hold: sizes of an array, ties and splits, empty splits with a seed that fills them."""

from argparse import Namespace

import numpy as np
import pytest
import tifffile

from made_collection import add_dataset, image_names
from utils.collection.export_plan import plan_export
from utils.collection.inventory import list_parts
from utils.collection.provenance import Provenance
from utils.collection.splits import Pair

OPTIONS = {
    "format": "webdataset", "split": {"train": 1.0}, "seed": 0, "cap": None, "cap_volume": None, "min_gap_nm": 0.0,
    "balance": None, "shard_size": 3, "duplicates": [],
}  # fmt: skip


@pytest.fixture
def parts(tmp_path):
    """Three datasets, two kept patches of each."""
    for name in ("bee", "fly", "tem"):
        add_dataset(tmp_path, name, image_names([name]))
    (tmp_path / "datasets.csv").write_text("name,license\nbee,CC0\nfly,MIT\n")
    return list_parts(tmp_path / "filtered", [tmp_path / "patches"])


def plan(parts, pairs=(), **options):
    table = parts[0].table.parents[1] / "datasets.csv"
    return plan_export(parts, Provenance([table]), pairs, Namespace(**{**OPTIONS, **options}))


def test_shards_and_rows(parts):
    found = plan(parts)
    assert [shard.files for shard in found.shards] == [("train-000000.tar",), ("train-000001.tar",)]
    rows = [row for shard in found.shards for row in shard.rows]
    assert len(rows) == 6 == found.kept and found.splits == ["train"] and found.failures == {}
    assert {(row["dataset"], row["license"]) for row in rows} == {("bee", "CC0"), ("fly", "MIT"), ("tem", "")}
    assert {row["split"] for row in rows} == {"train"} and list(rows[0])[:2] == ["split", "name"]
    assert found.side == (0, 0)  # only an array has one
    assert found.notes == [] == found.warnings  # one split: nothing can leak
    folders = plan(parts, format="imagefolder").shards
    assert [len(shard.files) for shard in folders] == [2, 2, 2] and folders[0].files[0].startswith("train/bee/")
    even = plan(parts, shard_size=4)
    assert [len(s.samples) for s in even.shards] == [3, 3]


def test_what_is_tied_stays_together(parts):
    halves = {"train": 0.5, "test": 0.5}
    found = plan(parts, [Pair("a", "bee", "b", "fly")], split=halves, duplicates=["x.csv"])
    assert found.groups == [["bee", "fly"], ["tem"]] and found.split_of["bee"] == found.split_of["fly"]
    assert found.notes == [
        "Split by dataset: 2 groups of 3 datasets; 2 datasets are tied to others (1 by near-duplicate patches); "
        "checked: none of 1 pairs of near-duplicates between datasets crosses a split."
    ]
    alone = plan(parts, split=halves)
    assert alone.notes == ["Split by dataset: 3 groups of 3 datasets."]
    assert "no --duplicates: datasets that share tissue under other names are not known to the split" in alone.warnings
    others = plan(parts, [Pair("a", "ox", "b", "horse")], split=halves, duplicates=["x.csv"])
    assert "--duplicates names no dataset that is here: is it the table of another collection?" in others.warnings


@pytest.mark.parametrize(("source", "groups"), [("https://em.org/v.zarr", 1), ("image_1.tif", 2)])
def test_one_address_ties_and_one_name_of_a_file_does_not(tmp_path, source, groups):
    for name in ("bee", "fly"):
        add_dataset(tmp_path, name, image_names([name]), source=source)
    (tmp_path / "datasets.csv").write_text("name\n")
    found = plan(list_parts(tmp_path / "filtered"), split={"train": 0.5, "test": 0.5})
    assert len(found.groups) == groups


def test_an_empty_split_is_said(parts):
    shares = {"train": 0.999999, "test": 0.000001}
    found = plan(parts[:1], split=shares, duplicates=["x"])
    assert found.warnings == [
        "no dataset falls into test (chance decides, by name and seed); there are too few datasets"
    ]
    for seed in range(20):
        found = plan(parts, split={"train": 0.9, "test": 0.1}, duplicates=["x"], seed=seed)
        if found.warnings:
            break
    (said,) = found.warnings
    better = int(said.split("--seed ")[1].split(" ")[0])
    assert plan(parts, split={"train": 0.9, "test": 0.1}, duplicates=["x"], seed=better).warnings == []


def test_an_array_takes_one_size(parts):
    fly = next(parts[1].folder.iterdir())
    tifffile.imwrite(fly, np.zeros((16, 32), np.uint8), photometric="minisblack", metadata=None)
    for path in parts[2].folder.iterdir():
        path.write_bytes(b"damaged")
    found = plan(parts, format="zarr")
    assert found.side == (32, 32) and sum(len(s.samples) for s in found.shards) == 3
    assert found.warnings == ["1 patches are not of 32 x 32, as most are; left out of zarr"]
    assert sorted(found.failures) == sorted(map(str, parts[2].folder.iterdir()))
    assert found.shards[0].files == ("train.zarr/images/c/0/0/0",) and set(found.split_of) == {"bee", "fly"}


def test_caps(parts):
    assert len(plan(parts, cap=1).shards[0].samples) == 3
