"""Zarr arrays that tensorstore cannot read, read by zarr-python: boxes, axes, damage, refusals."""

import asyncio

import numcodecs
import numpy as np
import pytest
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype

from ngff_images import pyramid, write_json, write_ome_zarr
from utils.ngff.access import Access
from utils.ngff.address import Address
from utils.ngff.multiscale import open_multiscale
from utils.ngff.store import Store
from utils.ngff.zarr_python import FolderStore, open_zarr, read_zarr

WHY = OSError("tensorstore gave up")


def opened(root):
    level = open_multiscale(root).levels[0]
    return open_zarr(Store(Address.parse(root), Access()).at("0"), level, WHY), level


@pytest.mark.parametrize("options", [{"axes": "tczyx"}, {"version": "0.5"}, {"axes": "czyx", "order": "F"}])
def test_boxes(tmp_path, options):
    voxels = pyramid(dtype="uint16")[0]
    lzma = {} if options.get("version") else {"compressors": numcodecs.LZMA()}
    array, level = opened(write_ome_zarr(tmp_path / "a.zarr", [voxels], **options, **lzma))
    box = (slice(3, 20), slice(0, 40), slice(17, 18))
    found = read_zarr(array, level, box, "what")
    np.testing.assert_array_equal(found, voxels[box])
    assert found.flags.c_contiguous
    assert found.dtype == voxels.dtype


def test_damage_is_a_sentence(tmp_path):
    root = write_ome_zarr(tmp_path / "a.zarr", pyramid()[:1], compressors=numcodecs.LZMA())
    array, level = opened(root)
    (root / "0/0.0.0").write_bytes(b"junk")
    with pytest.raises(OSError, match=r"^what: a chunk cannot be decoded: "):
        read_zarr(array, level, (slice(0, 1),) * 3, "what")


def test_codecs_that_nothing_reads(tmp_path):
    root = write_ome_zarr(tmp_path / "a.zarr", pyramid()[:1])
    level = open_multiscale(root).levels[0]
    write_json(root / "0/.zarray", {"zarr_format": 2, "shape": [2], "compressor": {"id": "none such"}})
    with pytest.raises(OSError, match=r"^tensorstore gave up; nor can zarr-python read it: "):
        open_zarr(Store(Address.parse(root), Access()).at("0"), level, WHY)


@pytest.mark.parametrize(
    ("request_", "content"),
    [
        (None, b"0123456789"),
        (RangeByteRequest(2, 5), b"234"),
        (OffsetByteRequest(7), b"789"),
        (SuffixByteRequest(2), b"89"),
    ],
)
def test_parts_of_a_key(tmp_path, request_, content):
    (tmp_path / "key").write_bytes(b"0123456789")
    folder = Store(Address.parse(tmp_path), Access())
    store, prototype = FolderStore(folder), default_buffer_prototype()
    found = asyncio.run(store.get("key", prototype, request_))
    assert found.to_bytes() == content
    (again,) = asyncio.run(store.get_partial_values(prototype, [("key", request_)]))
    assert again.to_bytes() == content
    assert asyncio.run(store.get("absent", prototype)) is None
    assert asyncio.run(store.exists("key"))
    assert not asyncio.run(store.exists("absent"))


def test_nothing_is_written_or_listed(tmp_path):
    store = FolderStore(Store(Address.parse(tmp_path), Access()))

    async def names():
        listings = (store.list(), store.list_prefix(""), store.list_dir(""))
        return [key for found in listings async for key in found]

    assert store.read_only
    assert asyncio.run(names()) == []
    for change in (store.set("key", b""), store.delete("key")):
        with pytest.raises(ValueError, match="read-only"):
            asyncio.run(change)
    assert store == FolderStore(store.folder)
    assert store != FolderStore(store.folder.at("x"))
    assert store != 1
