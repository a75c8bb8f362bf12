"""The card of an export: front matter, splits, licenses; nothing in a cell is Markdown."""

from pathlib import Path

import pytest

from utils.collection.card import About, card, known_license, without_license
from utils.collection.places import place_of
from utils.collection.samples import Sample
from utils.collection.shards import Shard

ROWS = {"fly": {"license": "CC BY 4.0", "organism": "D. melanogaster"}, "mouse": {"license": "CC0"}}


def shard(split, dataset, count, index=0):
    names = [f"{dataset}-LOC-2d-0-9_{i}-{i + 9}" for i in range(count)]
    samples = [Sample(n, dataset, dataset, "s", Path("x"), 0.5, place_of(n), None, 0) for n in names]
    return Shard(f"{split}-{index}", split, samples, (f"{split}-{index:06d}.tar",), [{}] * count)


SHARDS = [shard("train", "fly", 3), shard("train", "fly", 2, 1), shard("test", "mouse", 1)]


def text(kind="webdataset", rows=ROWS, notes=("a note",), title="EM <b>", shards=SHARDS):
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
        'pretty_name: "EM <b>"', "license:", "- cc-by-4.0", "- cc0-1.0", "tags:", "- electron-microscopy",
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
    assert "# EM &lt;b&gt;\n" in said and "| train | 1 | 5 |\n| test | 1 | 1 |" in said
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
    rows = {"fly": {"license": "CC0", "note": "a|b\n*c* <i> `d` [e](f)! \\"}}
    said = text(rows=rows, shards=SHARDS[:1]).splitlines()[-1]
    assert said == r"| fly | train | 3 | CC0 | a\|b \*c\* &lt;i&gt; \`d\` \[e\](f)\! \\ |"
    assert "## Loading" in text(notes=()) and "- a note" not in text(notes=())
