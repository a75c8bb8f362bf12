"""MRC to unsigned bytes: which are so already, headers made true, packed files, slabs that change nothing."""

import bz2
import gzip

import mrcfile
import numpy as np
import pytest

from utils import mrc_bytes
from utils.formats.mrc import HEADER_BYTES, IMOD_STAMP
from utils.mrc_bytes import is_unsigned, read_header, unpacked, unsigned_header, write_unsigned

SIGNED = np.arange(-12, 12, dtype=np.int8).reshape(2, 3, 4)


def written(path, voxels, **places):
    with mrcfile.new(path, overwrite=True) as mrc:
        mrc.set_data(voxels)
        mrc.set_extended_header(np.frombuffer(b"kept", "V1"))
    content = bytearray(path.read_bytes())
    for place, (kind, values) in places.items():
        at = int(place.removeprefix("at_"))
        raw = np.array(values, kind).tobytes()
        content[at : at + len(raw)] = raw
    path.write_bytes(content)
    return path


def stamp(flags):
    return {"at_152": ("<i4", [IMOD_STAMP, flags])}


@pytest.mark.parametrize(
    ("places", "signed", "unsigned"),
    [
        (stamp(0) | {"at_76": ("<f4", [0, 200])}, None, True),
        (stamp(1) | {"at_76": ("<f4", [0, 200])}, None, False),
        (stamp(0) | {"at_76": ("<f4", [-3, 200])}, None, False),  # SimpleITK goes by the minimum
        (stamp(0) | {"at_76": ("<f4", [-3, -3])}, None, False),
        (stamp(0) | {"at_76": ("<f4", [-3, -9])}, None, True),  # no range at all
        (stamp(0) | {"at_76": ("<f4", [0, 200])}, True, False),
    ],
)
def test_which_are_unsigned_already(tmp_path, places, signed, unsigned):
    header = read_header(written(tmp_path / "a.mrc", SIGNED, **places), signed=signed)
    assert is_unsigned(header) is unsigned


def test_wider_types_and_colours(tmp_path):
    assert not is_unsigned(read_header(written(tmp_path / "a.mrc", SIGNED.astype(np.int16))))
    path = written(tmp_path / "b.mrc", np.zeros((2, 3, 4), np.uint8), at_12=("<i4", [16]))
    path.write_bytes(path.read_bytes() + bytes(24))
    with pytest.raises(ValueError, match="MRC mode 16 holds colours: only gray values become bytes here"):
        read_header(path)


@pytest.mark.parametrize("slab", [1 << 20, 12])
@pytest.mark.parametrize("kind", ["signed", "unsigned", "wide"])
def test_bytes(tmp_path, monkeypatch, slab, kind):
    monkeypatch.setattr(mrc_bytes, "_SLAB", slab)
    voxels = SIGNED.astype(np.int16) * 10 if kind == "wide" else SIGNED
    places = {} if kind == "wide" else stamp(int(kind == "signed")) | {"at_76": ("<f4", [0, 200])}
    source = written(tmp_path / "a.mrc", voxels, **places)
    write_unsigned(source, tmp_path / "b.mrc", read_header(source), "minmax")
    content = (tmp_path / "b.mrc").read_bytes()
    expected = {
        "signed": SIGNED.astype(int) + 128, "unsigned": SIGNED.view(np.uint8),
        "wide": np.rint((SIGNED.astype(int) + 12) * 255 / 23),
    }[kind]  # fmt: skip
    found = np.frombuffer(content, np.uint8, 24, HEADER_BYTES + 4).reshape(2, 3, 4)
    np.testing.assert_array_equal(found, expected)
    assert content[HEADER_BYTES : HEADER_BYTES + 4] == b"kept" and len(content) == HEADER_BYTES + 4 + 24
    fields = np.frombuffer(content, "<f4", 3, 76)
    assert fields.tolist() == pytest.approx([expected.min(), expected.max(), expected.mean()])
    assert np.frombuffer(content, "<f4", 1, 216)[0] == pytest.approx(expected.std())
    assert np.frombuffer(content, "<i4", 2, 152).tolist() == [IMOD_STAMP, 0]
    assert (tmp_path / "b.mrc").stat().st_mode == source.stat().st_mode


def test_what_readers_insist_on_is_mended(tmp_path):
    path = written(
        tmp_path / "a.mrc", SIGNED, at_208=("u1", [0] * 8), at_64=("<i4", [0, 0, 0]), at_28=("<i4", [0, 3, -2])
    )
    header = read_header(path, signed=True)
    counts = np.zeros(256, np.int64)
    counts[[3, 5]] = 1, 3
    raw = unsigned_header(path.read_bytes()[:1024], header, counts)
    assert raw[208:216] == b"MAP DD\0\0"
    assert np.frombuffer(raw, "<i4", 3, 64).tolist() == [1, 2, 3] and np.frombuffer(raw, "<i4", 3, 28).tolist() == [
        4,
        3,
        2,
    ]
    assert np.frombuffer(raw, "<f4", 3, 76).tolist() == [3, 5, 4.5] and np.frombuffer(raw, "<i4", 1, 92)[0] == 4
    assert np.frombuffer(raw, "<f4", 1, 216)[0] == pytest.approx(0.75**0.5)


def test_an_order_of_axes_that_makes_sense_stays(tmp_path):
    path = written(tmp_path / "a.mrc", SIGNED, at_64=("<i4", [2, 1, 3]))
    raw = unsigned_header(path.read_bytes()[:1024], read_header(path, signed=True), np.eye(256, dtype=int)[0])
    assert np.frombuffer(raw, "<i4", 3, 64).tolist() == [2, 1, 3]


def test_flags_of_others_stay(tmp_path):
    path = written(tmp_path / "a.mrc", SIGNED, **stamp(1 | 4))
    raw = unsigned_header(path.read_bytes()[:1024], read_header(path), np.eye(256, dtype=int)[0])
    assert np.frombuffer(raw, "<i4", 2, 152).tolist() == [IMOD_STAMP, 4]
    path = written(tmp_path / "b.mrc", SIGNED, at_152=("<i4", [7, 5]))
    raw = unsigned_header(path.read_bytes()[:1024], read_header(path, signed=True), np.eye(256, dtype=int)[0])
    assert np.frombuffer(raw, "<i4", 2, 152).tolist() == [IMOD_STAMP, 0]  # its flags meant nothing


@pytest.mark.parametrize(("end", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress)])
def test_packed_files_are_unpacked_beside(tmp_path, monkeypatch, end, pack):
    monkeypatch.setattr(mrc_bytes, "_SLAB", 7)
    plain = written(tmp_path / "a.mrc", SIGNED)
    packed = tmp_path / f"a.mrc.{end}"
    packed.write_bytes(pack(plain.read_bytes() + b"and more"))
    with unpacked(packed, tmp_path / "scratch") as path:
        assert path == tmp_path / "scratch.unpacked" and path.read_bytes() == plain.read_bytes()
    assert not path.exists()
    with unpacked(plain, tmp_path / "scratch") as path:
        assert path == plain
    packed.write_bytes(pack(plain.read_bytes())[:-60])
    with pytest.raises((ValueError, OSError)), unpacked(packed, tmp_path / "scratch"):
        pass
    assert not (tmp_path / "scratch.unpacked").exists()
