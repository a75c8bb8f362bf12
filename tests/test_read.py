"""Voxels of one level, seen as z, y, x: what is refused, what is absent, and how they are read chunk by chunk."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorstore as ts

from loopback import serving
from ngff_images import pyramid, write_json, write_ome_zarr, write_precomputed
from utils.ngff.access import HOSTS, Access
from utils.ngff.address import Address
from utils.ngff.connections import Connections
from utils.ngff.metadata import Level
from utils.ngff.multiscale import open_multiscale, open_volume_level
from utils.ngff.read import LevelReader, _open_view
from utils.ngff.store import Store
from utils.ngff.waiting import StalledError


def test_a_passing_refusal_is_asked_again(tmp_path):
    root = write_ome_zarr(tmp_path / "cell.zarr", pyramid()[:1], compressors=None)
    with serving(tmp_path, lambda path, nth: 403 if path.endswith("/0/0.0.0") and nth == 1 else None) as server:
        assert (open_volume_level(f"{server.url}/{root.name}")[:] == pyramid()[0]).all()
        assert server.log.count(f"/{root.name}/0/.zarray") == 1


@pytest.fixture
def waits(monkeypatch):
    """How long is waited, without waiting."""
    found = []
    monkeypatch.setattr("utils.ngff.read.time", SimpleNamespace(sleep=found.append))
    return found


def hiding(root: Path):
    """Answers 403 for whatever is absent, as S3 does without permission to list."""
    return lambda path, nth: None if (root / path.lstrip("/")).is_file() else 403


@pytest.mark.parametrize("scheme", ["http", "s3"])
def test_stores_that_hide_missing_keys_have_absent_chunks(tmp_path, scheme, waits):
    root = write_ome_zarr(tmp_path / "bucket/cell.zarr", pyramid()[:1], compressors=None)
    for name in ("0.0.0", "0.0.1"):
        (root / "0" / name).unlink()
    expected = pyramid()[0].copy()
    expected[:16, :16, :32] = 0
    with serving(tmp_path, hiding(tmp_path)) as server:
        url = f"{server.url}/bucket/cell.zarr" if scheme == "http" else "s3://bucket/cell.zarr"
        access = Access(5, 1, endpoint=server.url if scheme == "s3" else None)
        volume = open_volume_level(url, access=access)
        assert (volume[:] == expected).all()
        assert waits == [0.2, 0.4]
        box = slice(5, 20), slice(12, 30), slice(20, 40)
        assert (volume[box] == expected[box]).all()
        assert volume[16:16].shape == (0, 40, 52)
        assert volume.reader.read_counted(box)[1] == (expected[box] == 0).sum() == 11 * 4 * 12
        assert volume.reader.read_counted((slice(16, 20), *box[1:]))[1] == 0


@pytest.mark.usefixtures("waits")
def test_precomputed_chunks_that_a_store_hides_are_absent(tmp_path):
    root = write_precomputed(tmp_path / "cell", pyramid()[:1])
    next(root.rglob("0-16_0-16_0-16")).unlink()
    expected = pyramid()[0].copy()
    expected[:16, :16, :16] = 0
    with serving(tmp_path, hiding(tmp_path)) as server:
        volume = open_volume_level(f"{server.url}/cell", access=Access(5, 1))
        assert (volume[5:20, 12:30] == expected[5:20, 12:30]).all()
        # Of a shard none is listed by its chunks' names: there a refusal is one.
        reader = volume.reader
        reader.level = replace(reader.level, grid={**reader.level.grid, "sharded": True})
        with pytest.raises(OSError, match="voxels were refused"):
            volume[5:20, 12:30]


def test_chunks_that_are_translated_are_read_and_none_of_them_is_refused(tmp_path):
    root = write_precomputed(tmp_path / "cell", pyramid()[:1])
    for chunk in list(root.rglob("*-*_*-*_*-*")):
        chunk.with_name(f"{chunk.name}.gz").write_bytes(gzip.compress(chunk.read_bytes()))
        chunk.unlink()
    voxels, refused = open_volume_level(root).reader.read_counted((slice(3, 20),) * 3)
    assert (voxels == pyramid()[0][3:20, 3:20, 3:20]).all() and refused == 0


def test_credentials_that_expire_are_no_padding(tmp_path, waits):
    write_ome_zarr(tmp_path / "cell.zarr", pyramid()[:1], compressors=None)
    expired = []
    with serving(tmp_path, lambda path, nth: 403 if expired else hiding(tmp_path)(path, nth)) as server:
        volume = open_volume_level(f"{server.url}/cell.zarr", access=Access(5, 1))
        expired.append(True)
        with pytest.raises(OSError, match="voxels were refused"):
            volume[:]
    assert waits == [0.2, 0.4]


@pytest.mark.parametrize("codec", ["lz4", "lzma"])
def test_refused_chunks_of_other_codecs_fail_too(tmp_path, codec):
    import numcodecs

    compressors = numcodecs.LZ4() if codec == "lz4" else numcodecs.LZMA()
    root = write_ome_zarr(tmp_path / "cell.zarr", pyramid()[:1], compressors=compressors)
    voxels, refused = open_volume_level(root).reader.read_counted((slice(3, 20),) * 3)
    assert (voxels == pyramid()[0][3:20, 3:20, 3:20]).all() and refused == 0
    with serving(tmp_path, lambda path, nth: 403 if path.endswith("/0/0.0.0") else None) as server:
        volume = open_volume_level(f"{server.url}/cell.zarr", access=Access(5, 1))
        with pytest.raises(OSError, match="refused"):
            volume[:]


def view_of(image, level):
    return _open_view(image.store.kvstore(), level, ts.Context(), 5.0, "what")


@pytest.mark.parametrize(
    ("axes", "order"), [((0, 1, 2), [0, 1, 2]), ((2, 3, 4), [0, 1, 2]), ((2, 1, 0), [2, 1, 0]), ((3, 0, 1), [2, 0, 1])]
)
def test_where_the_kept_axes_are(axes, order):
    assert Level("", (2, 2, 2), (1, 1, 1), np.dtype("u1"), axes=axes, rank=5).kept_order == order


def test_extra_axes_and_offsets_are_gone(tmp_path):
    voxels = pyramid()[0]
    many = open_multiscale(write_ome_zarr(tmp_path / "a.zarr", [voxels], axes="tczyx"))
    shifted = open_multiscale(write_precomputed(tmp_path / "pc", [voxels], offset=(7, 8, 9)))
    for image in (many, shifted):
        found = view_of(image, image.levels[0])
        assert found.domain.inclusive_min == (0, 0, 0)
        np.testing.assert_array_equal(found.read().result(), voxels)


def test_fields_that_tensorstore_does_not_know_are_left_out(tmp_path):
    for version, name in (("0.4", "0/.zarray"), ("0.5", "0/zarr.json")):
        root = write_ome_zarr(tmp_path / "a.zarr", pyramid()[:1], version=version)
        array = json.loads((root / name).read_text())
        for codec in [array["compressor"]] if version == "0.4" else [c["configuration"] for c in array["codecs"][1:]]:
            codec["nthreads"] = 1
        array |= {} if version == "0.4" else {"storage_transformers": []}
        write_json(root / name, array)
        image = open_multiscale(root)
        np.testing.assert_array_equal(view_of(image, image.levels[0]).read().result(), pyramid()[0])


def test_a_shape_that_contradicts_the_metadata(tmp_path):
    image = open_multiscale(write_ome_zarr(tmp_path / "a.zarr", pyramid()[:1]))
    said = r"^what: its array has the shape \(24, 40, 52\), its metadata says \(24, 40, 53\)$"
    with pytest.raises(OSError, match=said):
        view_of(image, replace(image.levels[0], shape=(24, 40, 53)))
    with pytest.raises(OSError, match=r"^what: "):
        view_of(image, replace(image.levels[0], spec={"driver": "zarr", "metadata": {"compressor": {"id": "x"}}}))


def test_what_cannot_be_read_is_said_before_it_is_asked_for(tmp_path, monkeypatch):
    root = write_precomputed(tmp_path / "cell", pyramid()[:1])
    image = open_multiscale(root)
    with pytest.raises(ValueError, match="a chunk of 1048576 x 1048576 x 1048576 voxels"):
        LevelReader(image.store, replace(image.levels[0], shape=(1 << 20,) * 3, chunk=(1 << 20,) * 3))
    with pytest.raises(OSError, match="its array has the shape"):
        LevelReader(image.store, replace(image.levels[0], shape=(24, 40, 51)))


def test_an_answer_may_be_as_long_as_two_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr("utils.ngff.read.CONNECTIONS", known := Connections(0))
    image = open_multiscale(write_ome_zarr(tmp_path / "a.zarr", pyramid()[:1], compressors=None))
    reader = LevelReader(image.store, image.levels[0])
    assert known.longest == 2 * np.prod(image.levels[0].chunk)
    chunk = tmp_path / "a.zarr/0/0.0.0"
    chunk.unlink()
    chunk.mkdir()
    with pytest.raises(OSError, match="is a folder, in the place of a chunk"):
        reader.read((slice(0, 4),) * 3)


@pytest.mark.usefixtures("fresh_hosts")
def test_a_server_that_was_silent_is_not_asked_by_another_library():
    store = Store(Address.parse("http://127.0.0.1:9/a.zarr"), Access())
    HOSTS.note_silent(store.address, OSError("silence"))
    with pytest.raises(StalledError, match="did not answer before"):
        LevelReader(store, Level("0", (4, 4, 4), (4, 4, 4), np.dtype("u1"), grid={"kind": "zarr"}))


def test_a_busy_server_is_asked_again_when_it_says(tmp_path):
    root = write_ome_zarr(tmp_path / "cell.zarr", pyramid()[:1], compressors=None)
    with serving(tmp_path, lambda path, nth: "retry 0" if path.endswith("/0/0.0.0") and nth == 1 else None) as server:
        assert (open_volume_level(f"{server.url}/{root.name}", access=Access(5, 0))[:] == pyramid()[0]).all()
