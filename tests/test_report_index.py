"""The first page of the report: its totals, its rows, when it is made again."""

import json
from argparse import Namespace

import pytest

from made_collection import add_dataset, image_names
from utils.cli import UsageError
from utils.collection.dataset_report import report_dataset
from utils.collection.page_files import asset_files
from utils.collection.report_index import imbalance, list_collection, write_index
from utils.jobs import Job


def test_imbalance():
    assert imbalance([0, 0]) == [(0.0, 0.0), (0.5, 0.0), (1.0, 0.0)]
    assert imbalance([5, 90, 5])[1] == (0.3333, 0.9)


@pytest.fixture
def args(tmp_path):
    """Two classified datasets, a third that is not, and a table that knows one."""
    for name in ("fly", "tem", "new"):
        add_dataset(tmp_path, name, image_names([name]))
    (tmp_path / "filtered/new.csv").unlink()
    (tmp_path / "datasets.csv").write_text("name,license\nfly,CC0\nghost,MIT\n")
    (tmp_path / "splits.csv").write_text("dataset,split\nfly,train\n")
    folders = {"filtered": tmp_path / "filtered", "dedupe_dirs": [tmp_path / "patches"]}
    tables = {"table": [tmp_path / "datasets.csv"], "splits": tmp_path / "splits.csv"}
    return Namespace(**folders, **tables, threshold=0.5, volumes=[])


def test_what_a_report_is_about(args, tmp_path):
    found = list_collection(args)
    fly, tem = found.datasets
    assert (fly.dataset, fly.split, dict(fly.free)) == ("fly", "train", {"license": "CC0"})
    assert (tem.dataset, tem.split, tem.threshold, tem.volumes) == ("tem", "", 0.5, ())
    assert found.unclassified == ["new"] and found.unused == ["ghost"] and found.failures == {}
    (tmp_path / "patches/tem.pkl").write_bytes(b"no dictionary")
    assert list_collection(args).datasets[1].free == {}
    args.splits.write_text("x\n")
    with pytest.raises(UsageError, match="expected dataset,split"):
        list_collection(args)
    args.splits, args.table = None, []
    assert list_collection(args).unused == []


def test_the_first_page_is_made_when_something_changed(args, tmp_path):
    out, jobs = tmp_path / "out", list_collection(args).datasets
    report_dataset(out, Job(jobs[0], out / "fly"))
    assert write_index(out, jobs, ["new"], "EM") is True and write_index(out, jobs, ["new"], "EM") is False
    assert write_index(out, jobs, [], "EM") is True and write_index(out, jobs, [], "other") is True
    text = (out / "data.js").read_text()
    said = json.loads(text.removeprefix("window.DATA = ").removesuffix(";\n"))
    assert said["title"] == "other" and said["columns"] == ["license"]
    fly, tem = said["datasets"]
    assert fly["kept"] == 2 and tem["kept"] == 0 and tem["cut"] is None
    assert tem["flags"] == ["failed: could not be read; run the report again to see why"]
    assert said["totals"] == {"cut": 16, "cut_known": False, "deduplicated": 4, "across": 4, "kept": 2}
    assert {path.name: path.read_bytes() for path in (out / "assets").iterdir()} == asset_files()
    rows = (out / "manifest.csv").read_text().splitlines()
    assert len(rows) == 5 and "license" in rows[0]
    report_dataset(out, Job(jobs[1], out / "tem"))
    assert write_index(out, jobs, [], "other") is True
    assert len((out / "manifest.csv").read_text().splitlines()) == 9
