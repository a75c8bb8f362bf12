"""MRC: signed and unsigned bytes, axes, byte order, compression, and headers that contradict themselves."""

import bz2
import gzip
import re

import mrcfile
import numpy as np
import pytest
import SimpleITK as sitk

from conftest import overwrite_header
from utils.formats.mrc import HEADER, IMOD_STAMP, mark_order, parse_header
from utils.luminance import luminance
from utils.volumes import open_volume

VOXELS = np.random.default_rng(0).integers(0, 100, (3, 4, 5))


def write_mrc(path, voxels, angstrom=(60.0, 50.0, 40.0), **patches):
    """Write through mrcfile, then put numbers at byte offsets: patches = {"at_152": (IMOD_STAMP, 1)}."""
    with mrcfile.new(path, overwrite=True) as mrc:
        mrc.set_data(voxels)
        mrc.voxel_size = angstrom[::-1]
    return overwrite_header(path, patches)


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "float32", "float16"])
@pytest.mark.parametrize("name", ["a.mrc", "a.mrcs", "a.rec", "a.ST", "a.map", "a.ali", "a.mrc.gz", "a.map.bz2"])
def test_modes_and_names(tmp_path, dtype, name):
    voxels = VOXELS.astype(dtype)
    plain = write_mrc(tmp_path / "plain.mrc", voxels)
    pack = {"gz": gzip.compress, "bz2": bz2.compress}.get(name.rpartition(".")[2], bytes)
    (tmp_path / name).write_bytes(pack(plain.read_bytes()))
    with open_volume(tmp_path / name) as volume:
        np.testing.assert_array_equal(volume[:], voxels)
        np.testing.assert_array_equal(volume[1:2, 1:3, 2:], voxels[1:2, 1:3, 2:])
        assert volume.voxel_size == (6.0, 5.0, 4.0)
        assert volume.streams == ("." not in name[3:])


@pytest.mark.parametrize(
    ("patches", "dtype"),
    [
        ({"at_152": (IMOD_STAMP, 1)}, "int8"),
        ({"at_152": (IMOD_STAMP, 0)}, "uint8"),
        ({"at_152": (IMOD_STAMP, 1), "at_76": (0.0, 255.0)}, "int8"),
        ({"at_152": (IMOD_STAMP, 0), "at_76": (-128.0, 127.0)}, "uint8"),
        ({"at_76": (-100.0, 90.0)}, "int8"),
        ({"at_76": (0.0, 255.0)}, "uint8"),
        ({"at_76": (3.0, 90.0)}, "uint8"),
        ({"at_76": (0.0, 90.0)}, "uint8"),
        ({"at_76": (-1.0, -128.0)}, "unknown"),
        ({"at_76": (0.0, 0.0)}, "unknown"),
        ({"at_76": (float("nan"), 1.0)}, "unknown"),
    ],
)
def test_which_bytes_are_signed(tmp_path, patches, dtype):
    stored = np.random.default_rng(0).integers(-128, 128, (3, 4, 5)).astype(np.int8)
    path = write_mrc(tmp_path / "a.mrc", stored, **patches)
    if dtype == "unknown":
        with pytest.warns(UserWarning, match="taken as unsigned"):
            volume = open_volume(path)
        dtype = "uint8"
    else:
        volume = open_volume(path)
    with volume:
        np.testing.assert_array_equal(volume[:], stored.view(dtype))


def test_itk_writes_unsigned_bytes(tmp_path):
    voxels = (VOXELS * 2).astype(np.uint8)
    image = sitk.GetImageFromArray(voxels)
    sitk.WriteImage(image, str(tmp_path / "a.mrc"))
    with open_volume(tmp_path / "a.mrc") as volume:
        np.testing.assert_array_equal(volume[:], voxels)


@pytest.mark.parametrize("axes", [(1, 2, 3), (1, 3, 2), (2, 1, 3), (2, 3, 1), (3, 1, 2), (3, 2, 1)])
@pytest.mark.parametrize("packed", [False, True])
def test_axes(tmp_path, axes, packed):
    """`axes` are MAPC, MAPR, MAPS; the cell and the grid are of x, y, z whatever the order of storage."""
    voxels = VOXELS.astype(np.int16)  # z, y, x
    stored = voxels.transpose([3 - axis for axis in axes[::-1]])
    grid = {f"at_{28}": voxels.shape[::-1], "at_40": (200.0, 200.0, 180.0), "at_64": axes}
    path = write_mrc(tmp_path / "a.mrc", np.ascontiguousarray(stored), **grid)
    if packed:
        path = path.rename(tmp_path / "b.mrc")
        (tmp_path / "a.mrc.gz").write_bytes(gzip.compress(path.read_bytes()))
        path = tmp_path / "a.mrc.gz"
    with open_volume(path) as volume:
        np.testing.assert_array_equal(volume[:], voxels)
        assert volume.voxel_size == (6.0, 5.0, 4.0)


@pytest.mark.parametrize(
    ("group", "each", "said"),
    [
        (0, 1, r"\(ISPG 0, MZ 1\) its sections are images of their own"),
        (401, 2, "2 volumes, 2 of each"),
        (402, 1, "4 volumes, 1 of each"),
        (1, 1, ""),
    ],
)
def test_sections_that_are_no_volume_are_said(tmp_path, recwarn, group, each, said):
    voxels = VOXELS[[0, 1, 2, 0]].astype(np.int16)
    write_mrc(tmp_path / "a.mrc", voxels, at_36=(each,), at_88=(group,))
    with open_volume(tmp_path / "a.mrc") as volume:
        np.testing.assert_array_equal(volume[:], voxels)
    assert bool(said) == len(recwarn) and (not said or re.search(said, str(recwarn[0].message)))


def test_axes_that_make_no_sense_are_the_usual_ones(tmp_path):
    with open_volume(write_mrc(tmp_path / "a.mrc", VOXELS.astype(np.int16), at_64=(0, 0, 0))) as volume:
        np.testing.assert_array_equal(volume[:], VOXELS)


@pytest.mark.parametrize("stamped", [True, False])
def test_big_endian(tmp_path, stamped):
    with mrcfile.new(tmp_path / "a.mrc") as mrc:
        mrc.set_data(VOXELS.astype(np.int16))
        mrc.voxel_size = 40
    little = (tmp_path / "a.mrc").read_bytes()
    head = np.frombuffer(little[:208], "<i4").astype(">i4").tobytes()
    stamp = b"\x11\x11\0\0" if stamped else b"\0\0\0\0"
    data = VOXELS.astype(">i2").tobytes()
    (tmp_path / "a.mrc").write_bytes(head + b"MAP " + stamp + little[216:1024] + data)
    with open_volume(tmp_path / "a.mrc") as volume:
        np.testing.assert_array_equal(volume[:], VOXELS)
        assert volume.dtype.isnative and volume.voxel_size == (4.0, 4.0, 4.0)


@pytest.mark.parametrize("cell", [(0.0, 0.0, 0.0), (-160.0, -160.0, 0.0), (float("nan"), 1.0, 1.0), (1e12, 1.0, 1.0)])
def test_a_broken_cell_is_a_missing_voxel_size(tmp_path, cell):
    with open_volume(write_mrc(tmp_path / "a.mrc", VOXELS.astype(np.int16), at_40=cell)) as volume:
        with pytest.warns(UserWarning, match="voxel size missing"):
            assert volume.voxel_size is None
        np.testing.assert_array_equal(volume[:], VOXELS)


@pytest.mark.parametrize("place", ["at_28", "at_40"])
def test_a_cell_or_grid_of_nothing_is_named(tmp_path, place):
    zeros = (0.0, 0.0, 0.0) if place == "at_40" else (0, 0, 0)
    path = write_mrc(tmp_path / "a.mrc", VOXELS.astype(np.int16), **{place: zeros})
    said = (
        "200, 200, 180 Angstrom on a grid of 0, 0, 0" if place == "at_28" else "0, 0, 0 Angstrom on a grid of 5, 4, 3"
    )
    with open_volume(path) as volume, pytest.warns(UserWarning, match=f"the header's cell is {said}"):
        assert volume.voxel_size is None


def test_a_voxel_size_has_seven_digits(tmp_path):
    with open_volume(write_mrc(tmp_path / "a.mrc", VOXELS.astype(np.int16), (60, 50, 41.23456789))) as volume:
        assert volume.voxel_size == (6.0, 5.0, 4.123457)


def test_colours_are_three_bytes_each(tmp_path):
    path = write_mrc(tmp_path / "a.mrc", VOXELS.astype(np.int8), at_0=(5, 4, 1, 16))
    assert parse_header(path.read_bytes()[:1024], None).shape == (1, 4, 5, 3)
    with open_volume(path) as volume:
        np.testing.assert_array_equal(volume[:], luminance(VOXELS.astype(np.uint8).reshape(1, 4, 5, 3)))


def test_no_map_stamp(tmp_path):
    with open_volume(write_mrc(tmp_path / "a.mrc", VOXELS.astype(np.int16), at_208=(0, 0))) as volume:
        np.testing.assert_array_equal(volume[:], VOXELS)


def test_an_extended_header(tmp_path):
    path = write_mrc(tmp_path / "a.mrc", VOXELS.astype(np.int16), at_92=(100,))
    whole = path.read_bytes()
    path.write_bytes(whole[:1024] + b"e" * 100 + whole[1024:])
    with open_volume(path) as volume:
        np.testing.assert_array_equal(volume[:], VOXELS)


def test_an_extended_header_that_is_not_there(tmp_path):
    path = write_mrc(tmp_path / "a.mrc", VOXELS.astype(np.int16), at_92=(100_000,))
    with pytest.warns(UserWarning, match="extended header of 100000 bytes is not in the file"):
        volume = open_volume(path)
    np.testing.assert_array_equal(volume[:], VOXELS)


@pytest.mark.parametrize(
    ("patches", "reason"),
    [
        ({"at_12": (3,)}, "complex"),
        ({"at_12": (4,)}, "complex"),
        ({"at_12": (101,)}, "4-bit"),
        ({"at_12": (0,), "at_152": (IMOD_STAMP, 16)}, "two 4-bit values"),
        ({"at_12": (77,)}, "mode 77"),
        ({"at_0": (0, 4, 3)}, "size 0, 4, 3"),
        ({"at_0": (-5, 4, 3)}, "size -5, 4, 3"),
        ({"at_0": (5, 4, 300)}, "cut short"),
        ({"at_92": (10**9,), "at_0": (5, 4, 2)}, "extended header"),
    ],
)
def test_headers_that_cannot_be_true(tmp_path, patches, reason):
    path = write_mrc(tmp_path / "a.mrc", VOXELS.astype(np.int16), **patches)
    with pytest.raises(ValueError, match=reason):
        open_volume(path)


def test_more_than_promised(tmp_path):
    path = write_mrc(tmp_path / "a.mrc", VOXELS.astype(np.int16))
    path.write_bytes(path.read_bytes() + b"1")
    with pytest.warns(UserWarning, match="holds 1 bytes more"), open_volume(path) as volume:
        np.testing.assert_array_equal(volume[:], VOXELS)


def test_cut_short(tmp_path):
    path = write_mrc(tmp_path / "a.mrc", VOXELS.astype(np.int16))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="cut short"):
        open_volume(path)
    (tmp_path / "b.mrc.gz").write_bytes(gzip.compress(path.read_bytes()))
    with open_volume(tmp_path / "b.mrc.gz") as volume, pytest.raises(ValueError, match="cut short"):
        volume[:]


def test_the_checksum_of_a_packed_file_is_compared(tmp_path):
    path = write_mrc(tmp_path / "a.mrc", VOXELS.astype(np.int16))
    packed = bytearray(gzip.compress(path.read_bytes() + bytes(1 << 22)))  # far behind the voxels
    packed[-5] ^= 1
    (tmp_path / "b.mrc.gz").write_bytes(packed)
    with open_volume(tmp_path / "b.mrc.gz") as volume, pytest.raises((ValueError, OSError)):
        volume[:]


@pytest.mark.parametrize(
    ("stamp", "kept"), [((0x44, 0x44), True), ((0x44, 0x41), True), ((0x11, 0x11), False), ((0, 0), False)]
)
def test_stamps_of_a_byte_order_stay_and_others_are_mended(tmp_path, stamp, kept):
    path = write_mrc(tmp_path / "a.mrc", VOXELS.astype(np.int16))
    header = parse_header(path.read_bytes()[:1024], path.stat().st_size)
    assert (header.mode, header.dtype) == (1, np.dtype("<i2"))
    fields = header.fields.copy()
    fields["machine"], fields["map"] = (*stamp, 7, 7), 0
    mark_order(fields)
    assert fields["map"].tobytes() == b"MAP "
    assert fields["machine"].tolist() == ([*stamp, 7, 7] if kept else [0x44, 0x44, 0, 0])


def test_the_layout_is_the_standard_s():
    theirs = mrcfile.dtypes.HEADER_DTYPE
    names = {
        "size": "nx", "mode": "mode", "start": "nxstart", "grid": "mx", "cell": "cella", "angles": "cellb",
        "axes": "mapc", "min": "dmin", "max": "dmax", "mean": "dmean", "extended": "nsymbt", "origin": "origin",
        "map": "map", "machine": "machst", "rms": "rms",
    }  # fmt: skip
    mine = HEADER.fields
    assert {name: mine[name][1] for name in names} == {name: theirs.fields[names[name]][1] for name in names}
    assert (mine["stamp"][1], mine["flags"][1]) == (152, 156)  # IMOD's


def test_the_mark_of_the_byte_order_decides_where_both_are_possible():
    fields = np.zeros((), HEADER.newbyteorder(">"))
    fields["size"], fields["mode"] = (256, 1, 1), 0  # little-endian: 65,536 x 16,777,216 x 16,777,216
    fields["machine"] = (0x11, 0x11, 0, 0)
    assert parse_header(fields.tobytes(), 1024 + 256, signed=False).shape == (1, 1, 256)
