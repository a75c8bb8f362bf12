"""How patches become files: tar, Parquet, folders, one array; byte for byte the same."""

import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr
from PIL import Image

from utils.collection import export_formats
from utils.collection.export_formats import (
    column_kind,
    one_size,
    parquet_schema,
    tar_key,
    write_folder,
    write_parquet,
    write_tar,
    write_zarr_frame,
    write_zarr_shard,
    writer_of,
    zarr_frame_files,
)
from utils.collection.places import Sample
from utils.collection.shards import ReadPatch, Shard

NAMES = ("a", "b.1", "c ü")
ROWS = [{"name": name, "score": 0.25 * i, "z0": i or None, "note": ""} for i, name in enumerate(NAMES)]
PATCHES = np.random.default_rng(0).integers(0, 256, (3, 6, 8)).astype(np.uint8)


def shard(*files):
    samples = [Sample(name, "d", "d", "s", Path("x"), 0.5, None, None, 0) for name in NAMES]
    return Shard("u", "train", samples, files, ROWS)


def reads(files, count=3):
    each = files if len(files) == 3 else files * 3
    found = [ReadPatch(s, r, f, p) for s, r, f, p in zip(shard().samples, ROWS, each, PATCHES, strict=True)]
    return iter(found[:count])


def picture(content):
    return np.asarray(Image.open(io.BytesIO(content)))


def test_a_tar_is_the_same_everywhere(tmp_path):
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        write_tar(shard("a.tar"), reads(("a.tar",)), tmp_path / folder)
    content = (tmp_path / "one/a.tar").read_bytes()
    assert content == (tmp_path / "other/a.tar").read_bytes()
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        members = tar.getmembers()
        assert {(m.mtime, m.uid, m.uname) for m in members} == {(0, 0, "")}
        assert [m.name for m in members] == [f"{tar_key(n)}.{end}" for n in NAMES for end in ("png", "json")]
        found = [tar.extractfile(m).read() for m in members]
    np.testing.assert_array_equal(picture(found[2]), PATCHES[1])
    assert json.loads(found[1]) == {"name": "a", "score": 0.0}  # what is not known is not said
    assert json.loads(found[5]) == {"name": "c ü", "score": 0.5, "z0": 2} and "ü".encode() in found[5]


def test_keys_have_no_dots():
    assert (tar_key("a-b"), tar_key("a.b"), tar_key("a-b", "d")) == ("a-b", "a_b-2e7336dc", "a-b-4f91f103")
    keys = [tar_key(name) for name in ("a.b", "a_b", "a.b.", "a..b")]
    assert len(set(keys)) == 4 and not any("." in key for key in keys)


def test_folders(tmp_path):
    files = tuple(f"{i}.png" for i in range(3))
    write_folder(shard(*files), reads(files), tmp_path)
    for file, patch in zip(files, PATCHES, strict=True):
        np.testing.assert_array_equal(picture((tmp_path / file).read_bytes()), patch)


def test_parquet(tmp_path, monkeypatch):
    monkeypatch.setattr(export_formats, "ROW_GROUP", 2)
    write_parquet(shard("a.parquet"), reads(("a.parquet",)), tmp_path)
    file = pq.ParquetFile(tmp_path / "a.parquet")
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [2, 1]
    table = file.read().to_pylist()
    assert [{k: v for k, v in row.items() if k != "image"} for row in table] == ROWS
    assert [row["image"]["path"] for row in table] == [f"{name}.png" for name in NAMES]
    np.testing.assert_array_equal(picture(table[2]["image"]["bytes"]), PATCHES[2])


def test_types_of_columns():
    names = ("axis", "slice", "z0", "x1", "score", "z0_nm", "voxel_x", "weight", "name")
    assert [column_kind(name) for name in names] == [*["int64"] * 4, *["float64"] * 4, "string"]
    assert [column_kind("weight", weight) for weight in (1.5, "12 g")] == ["float64", "string"]
    schema = parquet_schema(ROWS[0])
    assert schema.names == ["image", "name", "score", "z0", "note"]
    assert schema.field("z0").type == pa.int64() and schema.field("score").type == pa.float64()
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"} and features["z0"] == {"dtype": "int64", "_type": "Value"}


def test_one_array(tmp_path, monkeypatch):
    assert zarr_frame_files("train", 65537)[-1] == "train.zarr/names/c/1"
    monkeypatch.setattr(export_formats, "NAMES_PER_CHUNK", 2)
    files = ("train.zarr/images/c/0/0/0", "train.zarr/images/c/1/0/0")
    frame = zarr_frame_files("train", 3)
    assert frame == [
        f"train.zarr/{n}" for n in ("zarr.json", "images/zarr.json", "names/zarr.json", "names/c/0", "names/c/1")
    ]
    write_zarr_frame("train", NAMES, 2, (6, 8), tmp_path)
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert written == set(frame)
    samples = shard().samples
    for file, part in zip(files, (slice(0, 2), slice(2, 3)), strict=True):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        piece = Shard("u", "train", samples[part], (file,), ROWS[part])
        scratch = tmp_path / "scratch"
        (scratch / file).parent.mkdir(parents=True)
        write_zarr_shard(2, (6, 8), piece, iter(list(reads((file,)))[part]), scratch)
        (scratch / file).rename(tmp_path / file)
        shutil.rmtree(scratch)
    images = zarr.open_array(tmp_path / "train.zarr/images", mode="r")
    np.testing.assert_array_equal(images[:], PATCHES)
    assert images.chunks == (1, 6, 8) and images.shards == (2, 6, 8)
    assert list(zarr.open_array(tmp_path / "train.zarr/names", mode="r")[:]) == list(NAMES)


def test_an_array_has_no_gaps(tmp_path):
    with pytest.raises(ValueError, match="1 patches cannot be read; remove their TIFFs"):
        write_zarr_shard(3, (6, 8), shard("x"), reads(("x",), 2), tmp_path)


def test_the_size_that_most_have():
    assert one_size({(9, 9): 3, (8, 8): 4}) == (8, 8)
    assert one_size({(8, 9): 4, (9, 8): 4, (1, 1): 1}) == (9, 8)


def test_what_writes_a_format():
    for kind, writer in (("webdataset", write_tar), ("parquet", write_parquet), ("imagefolder", write_folder)):
        assert writer_of(kind, 3, (0, 0)) is writer
    array = writer_of("zarr", 3, (32, 24))
    assert (array.func, array.args) == (write_zarr_shard, (3, (32, 24)))
