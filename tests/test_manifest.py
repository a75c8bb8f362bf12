"""Rows of the manifest: written as they come, joined over datasets with different columns."""

import csv
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from utils.collection import manifest
from utils.collection.inventory import Part
from utils.collection.manifest import FIXED, PartWriter, _schema, join_parts, row_of
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
    assert pq.read_metadata(folder / f"{name}.parquet").num_rows == count  # all is written, whoever still holds rows
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


def test_what_is_known_of_a_patch(tmp_path):
    part = Part("fly-ROI-x100-200_y0-90_z50-99", tmp_path / "a.csv")
    part.__dict__["meta"] = {"voxel_size": [10, 2, 3], "source": Path("v.nrrd"),
                             "contrast": {"method": "minmax", "low": 1, "high": 2.5}}  # fmt: skip
    score = Score(f"{part.name}-LOC-1_07_0-9_10-20", 0.5, True, "kept")
    assert row_of(part, score, hash_="ff", sha256="", split="", free={"license": "CC0", "score": "x"}) == {
        "name": score.name, "dataset": "fly", "dictionary": part.name, "source": "v.nrrd",
        "volume": "fly", "axis": 1, "slice": 7, "z0": 50, "z1": 59, "y0": 7, "y1": 8, "x0": 110, "x1": 120,
        "z0_nm": 500.0, "z1_nm": 590.0, "y0_nm": 14.0, "y1_nm": 16.0, "x0_nm": 330.0, "x1_nm": 360.0,
        "voxel_z": 10.0, "voxel_y": 2.0, "voxel_x": 3.0,
        "contrast_method": "minmax", "contrast_low": 1.0, "contrast_high": 2.5, "hash": "ff", "score": 0.5,
        "decision": "kept", "reason": "kept", "split": None, "sha256": None, "license": "CC0",
    }  # fmt: skip


def test_what_is_known_of_an_image_s_patch_and_of_a_strange_name(tmp_path):
    part = Part("tem", tmp_path / "a.csv")
    part.__dict__["meta"] = {"contrast": "none"}
    row = row_of(part, Score("a-LOC-2d-3-9_0-8", 0.5, False, "low score"), hash_="", sha256="s", split="val", free={})
    assert row.keys() == FIXED.keys() and (row["contrast_method"], row["contrast_low"]) == ("none", None)
    known = {name: value for name, value in row.items() if value is not None}
    assert known == {
        "name": "a-LOC-2d-3-9_0-8", "dataset": "tem", "dictionary": "tem", "volume": "a",
        "y0": 3, "y1": 9, "x0": 0, "x1": 8, "contrast_method": "none", "score": 0.5, "decision": "dropped",
        "reason": "low score", "split": "val", "sha256": "s",
    }  # fmt: skip
    row = row_of(part, Score("strange", 0.5, False, "low score"), hash_="", sha256="", split="", free={})
    assert {row[column] for column in ("volume", "axis", "slice", "z0", "y0", "x1", "z0_nm")} == {None}
    columns = ["name", "dataset", "dictionary", "source", "volume", "axis", "slice", "z0", "z1", "y0", "y1", "x0", "x1"]
    assert _schema(["more", "name"]).names[:13] == columns and set(_schema([]).names) == row.keys()
