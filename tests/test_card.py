"""What an export says of itself: front matter, splits, licenses; nothing in a cell is Markdown; croissant.json."""

from pathlib import Path

import pytest

from utils.collection.card import About, card, croissant, known_license, without_license
from utils.collection.places import Sample, place_of
from utils.collection.shards import Shard

ROWS = {"fly": {"license": "CC BY 4.0", "organism": "D. melanogaster"}, "mouse": {"license": "CC0"}}


def shard(split, dataset, count, index=0):
    names = [f"{dataset}-LOC-2d-0-9_{i}-{i + 9}" for i in range(count)]
    samples = [Sample(n, dataset, dataset, "s", Path("x"), 0.5, place_of(n), None, 0) for n in names]
    return Shard(f"{split}-{index}", split, samples, (f"{split}-{index:06d}.tar",), [{}] * count)


SHARDS = [shard("train", "fly", 3), shard("train", "fly", 2, 1), shard("test", "mouse", 1)]


def text(kind="webdataset", rows=ROWS, notes=("a note",), title="EM ü <b>", shards=SHARDS):
    return card(About(title, kind, 9, ["At most 5 a dataset."], list(notes), rows), shards)


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("CC BY 4.0", "cc-by-4.0"),
        ("cc-by-nc-sa 3.0", "cc-by-nc-sa-3.0"),
        ("http://creativecommons.org/licenses/by-sa/3.0/deed.en", "cc-by-sa-3.0"),
        ("https://creativecommons.org/publicdomain/zero/1.0", "cc0-1.0"),
        ("Public Domain", "cc0-1.0"),
        ("MIT", "mit"),
        ("mine", ""),
        ("", ""),
    ],
)
def test_usual_names_of_licenses(said, name):
    assert known_license(said) == name


def test_front_matter():
    head = text().split("---")[1].splitlines()
    assert head[1:] == [
        'pretty_name: "EM ü <b>"', "license:", "- cc-by-4.0", "- cc0-1.0", "tags:", "- electron-microscopy",
        "task_categories:", "- feature-extraction", "configs:", "- config_name: default", "  data_files:",
        "  - split: train", '    path: "train-*.tar"', "  - split: test", '    path: "test-*.tar"',
    ]  # fmt: skip
    assert "configs:" not in text("zarr") and '"data/test-*.parquet"' in text("parquet")
    assert '"train/**"' in text("imagefolder")
    for rows in ({"fly": {"license": "CC0"}, "mouse": {}}, {**ROWS, "mouse": {"license": "mine"}}, {}):
        other = "license: other\nlicense_name: see-the-table-of-datasets\nlicense_link: README.md"
        assert other in text(rows=rows)


def test_what_is_in_it():
    said = text()
    assert "# EM ü &lt;b&gt;\n" in said and "| train | 1 | 5 |\n| test | 1 | 1 |" in said
    assert "| train | 2 | 6 |\n| test | 1 | 1 |" in text(shards=[*SHARDS, shard("train", "bee", 1, 2)])
    assert "`patches.csv` has a row per patch: where it was cut" in said and "`sha256sum -c SHA256SUMS`" in said
    assert "Of 9 kept patches. At most 5 a dataset.\n\n- a note\n\n## Loading" in said
    assert "- CC BY 4.0: 1 dataset\n- CC0: 1 dataset\n" in said and "missing" not in said
    assert "| dataset | split | patches | license | organism |\n|---|---|---|---|---|\n" in said
    assert "| fly | train | 5 | CC BY 4.0 | D. melanogaster |\n| mouse | test | 1 | CC0 |   |\n" in said
    assert 'WebDataset("train-{000000..000001}.tar"' in said and 'WebDataset("test-{000000..000000}.tar"' in said
    assert 'load_dataset("parquet", data_files={"test": "data/test-*.parquet"})' in text("parquet")
    assert 'zarr.open_array("train.zarr/" + part' in text("zarr") and 'ImageFolder("train")' in text("imagefolder")


def test_missing_licenses_are_named():
    rows = {"b": {"license": ""}, "a": {}, "c": {"license": "CC0"}}
    assert without_license(rows) == ["a", "b"]
    shards = [shard("train", name, 1) for name in rows]
    assert "- **missing** for 2 datasets: a, b\n" in text(rows=rows, shards=shards)


def test_cells_are_text():
    rows = {"fly": {"license": "CC0", "note": "\x1ba|b\n*c* <i> `d` [e](f)! \\"}}
    said = text(rows=rows, shards=SHARDS[:1]).splitlines()[-1]
    assert said == r"| fly | train | 3 | CC0 | \\x1ba\|b \*c\* &lt;i&gt; \`d\` \[e\](f)\! \\ |"
    assert "## Loading" in text(notes=()) and "- a note" not in text(notes=())


SHA = {"train-000000.tar": "1", "data/train.parquet": "2", "patches.csv": "3", "README.md": "4"}
SOURCES = {
    "fly": {"license": "CC BY 4.0", "doi": "10.1/x", "url": ""},
    "mouse": {"license": "mine", "url": "https://h/m", "doi": "10.1/x"},
    "yeast": {},
}


def described(kind="webdataset", rows=SOURCES):
    row = {"score": 0.5, "z0": None, "my column": "x", "weight": "12 g"}
    return croissant(About("EM", kind, 9, [], [], rows), row, SHA)


def test_columns_of_patches_csv():
    (records,) = described()["recordSet"]
    assert [(f["@id"], f["description"], f["dataType"]) for f in records["field"]] == [
        ("patches/file", "file", "sc:Text"),
        ("patches/score", "score", "sc:Float"),
        ("patches/z0", "z0", "sc:Integer"),
        ("patches/my_column", "my column", "sc:Text"),
        ("patches/weight", "weight", "sc:Text"),
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
