"""Rows of the manifest: written as they come, joined over datasets with different columns."""

import csv
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from utils.collection import manifest
from utils.collection.inventory import Part
from utils.collection.manifest import PartWriter, join_parts
from utils.records.scores import Score


def write(folder: Path, name: str, free: dict[str, str], count: int) -> Path:
    part = Part(name, folder / f"{name}.csv")
    part.table.write_text("name,score,kept\n")
    with PartWriter(folder / f"{name}.parquet", "train", free) as rows:
        for i in range(count):
            decision = Score(
                f"{name}-LOC-2d-{i}-{i + 9}_0-9", i / count, i % 2 == 0, "kept" if i % 2 == 0 else "low score"
            )
            rows.add(part, decision, hash_="", sha256=f"{i:x}")
    return folder / f"{name}.parquet"


def test_rows_are_the_same_however_few_are_in_memory(tmp_path, monkeypatch):
    write(tmp_path, "fly", {"license": "CC0"}, 7)
    whole = pq.read_table(tmp_path / "fly.parquet").to_pylist()
    monkeypatch.setattr(manifest, "ROWS", 3)
    write(tmp_path, "fly", {"license": "CC0"}, 7)
    file = pq.ParquetFile(tmp_path / "fly.parquet")
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [3, 3, 1]
    assert file.read().to_pylist() == whole
    assert [(row["y0"], row["decision"], row["split"], row["license"]) for row in whole[:2]] == [
        (0, "kept", "train", "CC0"),
        (1, "dropped", "train", "CC0"),
    ]


@pytest.mark.parametrize("rows", [2, 10000])
def test_datasets_with_other_columns_are_joined(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "ROWS", rows)
    parts = [write(tmp_path, "fly", {"license": "=CC0"}, 5), write(tmp_path, "tem", {"organism": "mouse"}, 3)]
    parts.append(write(tmp_path, "none", {}, 0))
    out = tmp_path / "all.parquet", tmp_path / "all.csv"
    assert join_parts(parts, ["license", "organism", "name"], *out) == 8
    found = pq.read_table(out[0]).to_pylist()
    assert [(row["license"], row["organism"]) for row in found] == 5 * [("=CC0", None)] + 3 * [(None, "mouse")]
    with out[1].open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [line["name"] for line in lines] == [row["name"] for row in found]
    assert lines[0]["license"] == "'=CC0" and lines[0]["y1"] == "9" and lines[7]["license"] == ""
