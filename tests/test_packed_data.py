"""Compressed voxels: decoded once, no further than wanted; claims are checked before anything is allocated."""

import bz2
import gzip
import io
import zlib

import numpy as np
import pytest

from utils import memory
from utils.formats import packed_data
from utils.formats.packed_data import PackedData, open_unpacked, read_to_the_end
from utils.formats.voxel_size import VoxelSize

VOXELS = np.arange(24, dtype=">i2").reshape(2, 3, 4)
PACK = {"gzip": lambda data: gzip.compress(data, mtime=0), "zlib": zlib.compress, "bzip2": bz2.compress}


def packed(folder, encoding, *, before=b"", skipped=b"", after=b"", **where):
    path = folder / "a.bin"
    path.write_bytes(before + PACK[encoding](skipped + VOXELS.tobytes() + after))
    return PackedData(path, VOXELS.dtype, VOXELS.shape, encoding=encoding, kind="NRRD", **where)


@pytest.mark.parametrize("encoding", PACK)
@pytest.mark.parametrize("piece", [1 << 20, 5])
def test_voxels(tmp_path, monkeypatch, encoding, piece):
    monkeypatch.setattr(packed_data, "_PIECE", piece)
    layouts: list[dict] = [
        {},
        {"before": b"header", "start": 6},
        {"before": b"hone\ntwo\n", "start": 1, "lines": 2},
        {"skipped": b"123456", "skip": 6},
        {"after": b"x" * 100},
    ]
    for layout in layouts:
        data = packed(tmp_path, encoding, **layout)
        found = data.decode()
        np.testing.assert_array_equal(found, VOXELS)
        assert found.dtype == VOXELS.dtype and data.nbytes == 48
        with data.volume("a", VoxelSize(None)) as volume:
            np.testing.assert_array_equal(volume[1], VOXELS[1])


def test_whole_files_by_their_suffix(tmp_path):
    for name, pack in {"a": bytes, "a.GZ": gzip.compress, "a.bz2": bz2.compress}.items():
        (tmp_path / name).write_bytes(pack(b"voxels"))
        with open_unpacked(tmp_path / name) as file:
            assert file.read() == b"voxels"
    with pytest.raises(ValueError, match="is a folder, expected a file"):
        open_unpacked(tmp_path)


def test_zlib_knows_both_headers(tmp_path):
    packed(tmp_path, "gzip")
    block = np.random.default_rng(0).integers(0, 256, 20_000, np.uint8)
    (tmp_path / "far").write_bytes(zlib.compress(bytes(block) * 2))  # a copy of what lies far behind
    far = PackedData(tmp_path / "far", block.dtype, (2, 1, 20_000), encoding="zlib", kind="NRRD").decode()
    np.testing.assert_array_equal(far, [[block], [block]])
    found = PackedData(tmp_path / "a.bin", VOXELS.dtype, VOXELS.shape, encoding="zlib", kind="NRRD").decode()
    np.testing.assert_array_equal(found, VOXELS)


@pytest.mark.parametrize("encoding", PACK)
def test_what_is_cut_short_or_damaged(tmp_path, encoding):
    data = packed(tmp_path, encoding)
    whole = data.path.read_bytes()
    data.path.write_bytes(whole[:-6])
    with pytest.raises((ValueError, OSError)):
        data.decode()
    data.path.write_bytes(PACK[encoding](VOXELS.tobytes()[:40]))
    said = r"cut short: 40 bytes unpacked, 48 needed for \(2, 3, 4\)"
    with pytest.raises(ValueError, match=said):
        data.decode()
    data.path.write_bytes(whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:])  # of a checksum
    with pytest.raises((ValueError, OSError)):
        data.decode()


def test_claims_are_checked_first(tmp_path):
    def claim(shape, name="a.bin", encoding="gzip", **where):
        return PackedData(tmp_path / name, np.dtype("u1"), shape, encoding=encoding, kind="NRRD", **where)

    (tmp_path / "a.bin").write_bytes(bytes(110))
    claim((164, 1032, 1), start=10).check()  # 1032 bytes for each of 100, and of 64 to spare, at most
    claim((1, 1, 164 * 1032 - 7), start=10, skip=7).check()
    for too_much in (claim((1, 1, 164 * 1032 + 1), start=10), claim((1, 1, 164 * 1032), start=10, skip=7)):
        with pytest.raises(ValueError, match="voxels"):
            too_much.check()
    claim((1, 1, 164 * 1032 + 1), start=10, encoding="bzip2").check()
    with memory.limited_to(1e-4):
        claim((1, 1, 10**5)).check()
        with pytest.raises(ValueError, match="the volume"):
            claim((1, 1, 10**5 + 1)).check()
    with pytest.raises(ValueError, match="nothing to read"):
        claim((2, 0, 3)).check()
    with pytest.raises(ValueError, match="nothing to read"):
        claim((2, 0, 3)).decode()
    with pytest.raises(FileNotFoundError, match=r"a\.gone"):
        claim((1, 1, 1), "a.gone").check()


def test_what_follows_is_read_but_not_without_end(monkeypatch):
    monkeypatch.setattr(packed_data, "_PIECE", 10)
    for spare, length, read in ((25, 25, 25), (25, 7, 7), (25, 100, 25), (30, 100, 30)):
        monkeypatch.setattr(packed_data, "_MOST_SPARE", spare)
        stream = io.BytesIO(bytes(length))
        read_to_the_end(stream)
        assert stream.tell() == read
