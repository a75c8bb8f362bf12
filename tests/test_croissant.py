"""croissant.json: fields of patches.csv, files with their sums, sources and licenses."""

import pytest

from utils.collection.card import About
from utils.collection.croissant import croissant

SHA = {"train-000000.tar": "1", "data/train.parquet": "2", "patches.csv": "3", "README.md": "4"}
ROWS = {
    "fly": {"license": "CC BY 4.0", "doi": "10.1/x", "url": ""},
    "mouse": {"license": "mine", "url": "https://h/m", "doi": "10.1/x"},
    "yeast": {},
}


def described(kind="webdataset", rows=ROWS):
    return croissant(About("EM", kind, 9, [], [], rows), ["score", "z0", "my column"], SHA)


def test_columns_of_patches_csv():
    (records,) = described()["recordSet"]
    assert [(f["@id"], f["description"], f["dataType"]) for f in records["field"]] == [
        ("patches/file", "file", "sc:Text"),
        ("patches/score", "score", "sc:Float"),
        ("patches/z0", "z0", "sc:Integer"),
        ("patches/my_column", "my column", "sc:Text"),
    ]
    assert records["field"][3]["name"] == "my_column"
    assert records["field"][3]["source"] == {"fileObject": {"@id": "patches.csv"}, "extract": {"column": "my column"}}


@pytest.mark.parametrize(
    ("kind", "listed"),
    [
        ("webdataset", [("cr:FileObject", "train-000000.tar", "application/x-tar", "1")]),
        ("parquet", [("cr:FileObject", "data/train.parquet", "application/x-parquet", "2")]),
        ("imagefolder", [("cr:FileSet", "images", "image/png", None)]),
        ("zarr", [("cr:FileSet", "images", "application/octet-stream", None)]),
    ],
)
def test_files(kind, listed):
    found = described(kind)["distribution"]
    table = ("cr:FileObject", "patches.csv", "text/csv", "3")
    assert [(f["@type"], f["@id"], f["encodingFormat"], f.get("sha256")) for f in found] == [*listed, table]
    if kind in ("imagefolder", "zarr"):
        assert found[0]["includes"] == {"imagefolder": "*.png", "zarr": "*/c/*"}[kind]
    else:
        assert found[0]["contentUrl"] == found[0]["name"] == found[0]["@id"]


def test_where_it_comes_from():
    said = described()
    assert said["license"] == ["https://creativecommons.org/licenses/by/4.0/", "mine"]
    assert said["isBasedOn"] == ["10.1/x", "https://h/m"] and said["name"] == "EM"
    assert said["description"] == "Patches of 3 electron-microscopy datasets. No license is known for: yeast."
    bare = described(rows={"a": {}})
    assert bare["license"] == ["unknown"] and "isBasedOn" not in bare
    whole = described(rows={"a": {"license": "CC0"}})
    assert whole["description"] == "Patches of 1 electron-microscopy datasets."
