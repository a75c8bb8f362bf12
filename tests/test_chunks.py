"""Stored chunks: their names, and those that are translated before they can be read."""

import gzip
import json
import struct

import numcodecs
import numpy as np
import pytest

from loopback import serving
from ngff_images import COMPRESSIONS, check, pyramid, write_json, write_n5_array, write_precomputed
from utils.ngff.chunks import _lz4_frames, _n5_lz4_to_raw, chunk_names
from utils.ngff.metadata import Level
from utils.ngff.multiscale import open_volume_level


@pytest.mark.parametrize("framed", [True, False])
def test_n5_lz4(tmp_path, framed):
    level = pyramid(dtype="uint16")[0]
    write_n5_array(tmp_path / "a.n5", level, COMPRESSIONS["raw"])
    for file in (tmp_path / "a.n5").rglob("[0-9]"):
        if file.is_file():
            head, body = file.read_bytes()[:16], file.read_bytes()[16:]
            packed = numcodecs.LZ4().encode(body)[4:]
            counts = [len(packed).to_bytes(4, "little"), len(body).to_bytes(4, "little"), bytes(4)]
            frame = b"LZ4Block" + b"\x26" + b"".join(counts) if framed else b""
            file.write_bytes(head + frame + packed)
    attributes = json.loads((tmp_path / "a.n5" / "attributes.json").read_text())
    write_json(tmp_path / "a.n5" / "attributes.json", attributes | {"compression": {"type": "lz4", "blockSize": 65536}})
    check(tmp_path / "a.n5", [level], sizes=None)


def test_precomputed_gzip_files_and_encoding(tmp_path):
    levels = pyramid()
    root = write_precomputed(tmp_path / "a", levels)
    for file in [f for f in root.rglob("*_*_*") if f.is_file()]:
        file.write_bytes(gzip.compress(file.read_bytes()))
    with serving(tmp_path, lambda path, nth: "gzip" if path.count("_") > 1 and "-" in path else None) as server:
        check(f"{server.url}/a", levels)
    for file in [f for f in root.rglob("*_*_*") if f.is_file()]:
        file.rename(file.with_name(file.name + ".gz"))
    check(root, levels)


def test_plain_chunks_beside_gzip_files_are_read(tmp_path):
    levels = pyramid()
    root = write_precomputed(tmp_path / "a", levels)
    for file in [f for f in sorted(root.rglob("*_*_*")) if f.is_file()][1::2]:
        file.with_name(file.name + ".gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    check(root, levels)


def test_precomputed_brotli_is_refused(tmp_path):
    root = write_precomputed(tmp_path / "a", pyramid())
    for file in [f for f in root.rglob("*_*_*") if f.is_file()]:
        file.rename(file.with_name(file.name + ".br"))
    with pytest.raises(ValueError, match=r"\.br files"):
        open_volume_level(root)


def test_damaged_gzip_files_are_said(tmp_path):
    root = write_precomputed(tmp_path / "a", pyramid()[:1])
    for file in [f for f in root.rglob("*_*_*") if f.is_file()]:
        file.with_name(file.name + ".gz").write_bytes(gzip.compress(file.read_bytes())[:-20] + b"x" * 12)
        file.unlink()
    with pytest.raises(OSError, match="cannot be decoded"):
        open_volume_level(root)[:]


def test_a_chunk_unpacks_to_twice_its_voxels_at_most(tmp_path):
    root = write_precomputed(tmp_path / "a", pyramid()[:1])
    for file in [f for f in root.rglob("*_*_*") if f.is_file()]:
        file.with_name(file.name + ".gz").write_bytes(gzip.compress(bytes(10_000_000)))
        file.unlink()
    with pytest.raises(OSError, match=r"cannot be decoded: it unpacks to more than 73728 bytes, twice what"):
        open_volume_level(root)[:]
    for packed in (b"LZ4Block\x20" + struct.pack("<III", 20, 1 << 30, 0) + bytes(20), bytes(20)):
        with pytest.raises(ValueError, match="more than 5000 bytes"):
            _n5_lz4_to_raw(struct.pack(">HHIII", 0, 3, 1 << 10, 1 << 10, 1 << 10) + packed, 1, 5000)


def level(kind, **grid):
    """Levels of 10 x 20 x 30 voxels in chunks of 4 x 8 x 16."""
    axes = grid.pop("axes", (0, 1, 2))
    rank, offset = grid.pop("rank", 3), grid.pop("offset", (0, 0, 0))
    return Level("0", (10, 20, 30), (4, 8, 16), np.dtype("u2"), axes=axes, rank=rank, offset=offset,
                 grid={"kind": kind, **grid})  # fmt: skip


BOX = (slice(3, 5), slice(0, 8), slice(16, 30))
DOTS = {"chunk_key_encoding": {"configuration": {"separator": "."}}}
V2 = {"chunk_key_encoding": {"name": "v2"}}


@pytest.mark.parametrize(
    ("where", "names"),
    [
        (level("zarr"), ["0.0.1", "1.0.1"]),
        (level("zarr", metadata={"dimension_separator": "/"}), ["0/0/1", "1/0/1"]),
        (level("zarr", axes=(1, 2, 3), rank=4), ["0.0.0.1", "0.1.0.1"]),
        (level("zarr3"), ["c/0/0/1", "c/1/0/1"]),
        (level("zarr3", metadata=V2), ["0.0.1", "1.0.1"]),
        (level("zarr3", metadata=DOTS), ["c.0.0.1", "c.1.0.1"]),
        (level("zarr3", chunk=[8, 8, 16]), ["c/0/0/1"]),
        (level("n5", axes=(2, 1, 0), chunk=[16, 8, 4]), ["1/0/0", "1/0/1"]),
        (level("precomputed", axes=(2, 1, 0), rank=4), ["16-30_0-8_0-4", "16-30_0-8_4-8"]),
        (level("precomputed", axes=(2, 1, 0), rank=4, offset=(100, 200, 300)), ["316-330_200-208_100-104",
                                                                                 "316-330_200-208_104-108"]),
    ],
)  # fmt: skip
def test_names_of_the_chunks_that_a_box_touches(where, names):
    assert list(chunk_names(where, BOX)) == names


def test_a_box_of_one_chunk_is_one_name():
    assert list(chunk_names(level("zarr"), (slice(4, 8), slice(8, 16), slice(0, 16)))) == ["1.1.0"]
    assert list(chunk_names(level("zarr"), (slice(4, 9), slice(8, 16), slice(0, 1)))) == ["1.1.0", "2.1.0"]


def test_frames_of_lz4():
    def frame(method, body, size):
        return b"LZ4Block" + bytes([method]) + b"".join(n.to_bytes(4, "little") for n in (len(body), size, 0)) + body

    packed = numcodecs.LZ4().encode(b"a" * 100)[4:]
    end = frame(0x16, b"", 0)
    assert (
        b"".join(_lz4_frames(frame(0x26, packed, 100) + frame(0x16, b"bc", 2) + end + b"rest", 102))
        == b"a" * 100 + b"bc"
    )
    with pytest.raises(ValueError, match=r"truncated: 3 of \d+ bytes"):
        list(_lz4_frames(frame(0x26, packed, 100)[:24], 100))
    with pytest.raises(ValueError, match="does not begin with 'LZ4Block'"):
        list(_lz4_frames(frame(0x16, b"bc", 2) + b"x" * 30, 100))
    header = (1).to_bytes(2, "big") + (2).to_bytes(2, "big") + (4).to_bytes(4, "big") * 2 + (16).to_bytes(4, "big")
    whole = numcodecs.LZ4().encode(bytes(range(32)))[4:]
    assert _n5_lz4_to_raw(header + whole, 2, 32) == header + bytes(range(32))  # mode 1 counts its elements
    plain = (0).to_bytes(2, "big") + header[2:12]
    assert _n5_lz4_to_raw(plain + whole, 2, 32) == plain + bytes(range(32))
