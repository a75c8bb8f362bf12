"""mrc2byte: every mode read alike by mrcfile and SimpleITK; headers kept, mended or refused; in place and killed."""

import bz2
import gzip
import shutil
import subprocess
import sys
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import SimpleITK as sitk

from conftest import on_linux, overwrite_header, peak_memory, visible
from preprocess import mrc2byte
from utils.contrast import to_uint8
from utils.formats.mrc import IMOD_STAMP
from utils.volumes import open_volume

SCRIPT = Path(mrc2byte.__file__)
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "3d"
NOISE = np.random.default_rng(0).normal(20, 40, (6, 7, 8))
SIGNED = np.clip(NOISE, -128, 127).astype(np.int8)


def write_mrc(path, voxels, **patches):
    """Write through mrcfile, then put numbers at byte offsets: patches = {"at_152": (IMOD_STAMP, 1)}."""
    with mrcfile.new(path, overwrite=True) as mrc:
        mrc.set_data(voxels)
        mrc.voxel_size = (40, 50, 60)
        mrc.header.origin = (-1.5, 2.5, 3.5)
    return overwrite_header(path, patches)


def read_by_all(path):
    """The bytes as mrcfile and SimpleITK read them, which must agree, with a header that is true.

    mrcfile (1.5) has no unsigned byte: it gives mode 0 as int8 whatever the header says, the same bits.
    """
    with mrcfile.open(path) as mrc:
        voxels = mrc.data.view(np.uint8).copy()
        header = mrc.header.copy()
    itk = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    assert itk.dtype == np.uint8
    np.testing.assert_array_equal(itk, voxels)
    with open_volume(path) as volume:
        assert volume.dtype == np.uint8
    stamp, flags = np.frombuffer(path.read_bytes()[152:160], header.mode.dtype)
    assert (stamp, flags & 1, header.mode) == (IMOD_STAMP, 0, 0)
    assert (header.dmin, header.dmax) == (voxels.min(), voxels.max())
    assert header.dmean == pytest.approx(voxels.mean(), rel=1e-6)
    assert header.rms == pytest.approx(voxels.std(), rel=1e-6, abs=1e-6)
    return voxels, header


@pytest.mark.parametrize("dtype", ["int16", "uint16", "float32", "float16"])
@pytest.mark.parametrize("contrast", ["percentile", "minmax", "dtype"])
def test_wider_types_are_scaled_once(tmp_path, dtype, contrast):
    voxels = (NOISE * 30 + (5000 if dtype == "uint16" else 0)).astype(dtype)
    write_mrc(tmp_path / "a.mrc", voxels)
    assert mrc2byte.main([str(tmp_path), "--contrast", contrast]) == 0
    found, header = read_by_all(tmp_path / "a.mrc")
    np.testing.assert_array_equal(found, to_uint8(voxels, contrast))
    assert header.cella.tolist() == (320, 350, 360)


@pytest.mark.parametrize(
    "patches",
    [
        {},  # only the minimum says so
        {"at_152": (IMOD_STAMP, 1)},
        {"at_152": (IMOD_STAMP, 1), "at_76": (0.0, 255.0, 1.0)},
    ],
)
def test_signed_bytes_are_shifted_by_128(tmp_path, patches):
    write_mrc(tmp_path / "a.rec", SIGNED, **patches)
    assert mrc2byte.main([str(tmp_path)]) == 0
    found, _ = read_by_all(tmp_path / "a.rec")
    np.testing.assert_array_equal(found, SIGNED.astype(int) + 128)


@pytest.mark.parametrize("patches", [{"at_152": (IMOD_STAMP, 0)}, {}])
def test_unsigned_bytes_stay_untouched(tmp_path, capsys, patches):
    path = write_mrc(tmp_path / "a.mrc", SIGNED, **({"at_76": (0.0, 255.0, 99.0)} | patches))
    before = path.read_bytes()
    assert mrc2byte.main([str(tmp_path)]) == 0
    assert path.read_bytes() == before
    assert mrc2byte.main([str(tmp_path), "-o", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "a.mrc").read_bytes() == before


def test_unsigned_bytes_that_a_reader_would_take_for_signed_are_marked(tmp_path):
    path = write_mrc(tmp_path / "a.mrc", SIGNED, at_152=(IMOD_STAMP, 0))
    assert sitk.ReadImage(str(path)).GetPixelID() == sitk.sitkInt8
    assert mrc2byte.main([str(tmp_path)]) == 0
    np.testing.assert_array_equal(read_by_all(path)[0], SIGNED.view(np.uint8))


@pytest.mark.parametrize(
    ("option", "expected"), [("--signed", SIGNED.astype(int) + 128), ("--unsigned", SIGNED.view(np.uint8))]
)
def test_the_user_knows_better(tmp_path, option, expected):
    path = write_mrc(tmp_path / "a.mrc", SIGNED, at_76=(-3.0, 200.0, 1.0))
    for _ in range(2):
        assert mrc2byte.main([str(tmp_path), option]) == 0
        np.testing.assert_array_equal(read_by_all(path)[0], expected)


def test_both_options_are_bad_usage(tmp_path):
    with pytest.raises(SystemExit) as caught:
        mrc2byte.main([str(tmp_path), "--signed", "--unsigned"])
    assert caught.value.code == 2


def test_the_rest_of_the_header_stays(tmp_path):
    path = write_mrc(tmp_path / "a.mrc", (NOISE * 30).astype(np.int16), at_64=(3, 1, 2), at_92=(64,), at_16=(5, 6, 7))
    whole = path.read_bytes()
    path.write_bytes(whole[:1024] + bytes(range(64)) + whole[1024:])
    before = np.frombuffer(path.read_bytes()[:1088], np.uint8)
    assert mrc2byte.main([str(tmp_path)]) == 0
    after = np.frombuffer(path.read_bytes()[:1088], np.uint8)
    changed = {12, 76, 80, 84, 152, 156, 216}  # mode, min, max, mean, IMOD's stamp and flags, rms
    assert {int(place) // 4 * 4 for place in np.flatnonzero(before != after)} <= changed
    assert path.stat().st_size == 1088 + NOISE.size
    with open_volume(path) as volume:
        assert volume.shape == (8, 6, 7)


def test_big_endian(tmp_path):
    path = write_mrc(tmp_path / "a.mrc", np.zeros((2, 2, 2), np.int16))
    little, voxels = path.read_bytes(), (NOISE * 30).astype(">i2")
    head = bytearray(np.frombuffer(little[:208], "<i4").astype(">i4").tobytes() + b"MAP \x11\x11\0\0")
    head[:12] = np.array(voxels.shape[::-1], ">i4").tobytes()
    path.write_bytes(bytes(head) + little[216:1024].replace(b"\x01\0\0\0", b"\0\0\0\x01", 1) + voxels.tobytes())
    assert mrc2byte.main([str(tmp_path)]) == 0
    with open_volume(path) as volume:
        np.testing.assert_array_equal(volume[:], to_uint8(voxels.astype(np.int16)))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(path))), to_uint8(voxels.astype(np.int16)))


@pytest.mark.parametrize(
    ("patches", "sentence"),
    [
        ({"at_12": (3,)}, "MRC mode 3 holds complex 16-bit integers"),
        ({"at_12": (4,)}, "MRC mode 4 holds complex numbers"),
        ({"at_12": (101,)}, "MRC mode 101 holds 4-bit values"),
        ({"at_12": (0,), "at_152": (IMOD_STAMP, 16)}, "4-bit"),
        ({"at_12": (16,), "at_0": (2, 7, 6)}, "colours"),
        ({"at_0": (8, 7, 60)}, "cut short"),
        ({"at_92": (10_000,), "at_0": (8, 7, 5)}, "extended header"),
        ({"at_0": (0, 7, 6)}, "is not an MRC file"),
    ],
)
def test_what_is_refused_stays_as_it_is(tmp_path, capsys, patches, sentence):
    path = write_mrc(tmp_path / "a.mrc", NOISE.astype(np.int16), **patches)
    good = write_mrc(tmp_path / "b.mrc", NOISE.astype(np.int16))
    before = path.read_bytes()
    assert mrc2byte.main([str(tmp_path)]) == 1
    assert f"{path}: " in (said := capsys.readouterr().err) and sentence in said
    assert path.read_bytes() == before
    read_by_all(good)


@pytest.mark.parametrize(
    ("patches", "warning"),
    [
        ({"at_40": (0.0, 0.0, 0.0)}, None),
        ({"at_40": (-160.0, -160.0, 0.0)}, None),
        ({"at_28": (0, 0, 0)}, None),
        ({"at_64": (0, 0, 0)}, None),
        ({"at_208": (0, 0)}, None),
        ({"at_92": (10_000,)}, "not in the file"),
    ],
)
def test_broken_headers_are_handled(tmp_path, capsys, patches, warning):
    voxels = (NOISE * 30).astype(np.int16)
    path = write_mrc(tmp_path / "a.mrc", voxels, **patches)
    assert mrc2byte.main([str(tmp_path)]) == 0
    np.testing.assert_array_equal(read_by_all(path)[0], to_uint8(voxels))
    assert (warning or "") in capsys.readouterr().err


def test_constant_and_not_finite(tmp_path, capsys):
    write_mrc(tmp_path / "a.mrc", np.full((2, 3, 4), 7, np.float32))
    strange = NOISE.astype(np.float32)
    strange[0, 0, :2] = np.nan, np.inf
    with np.errstate(all="ignore"), pytest.warns(RuntimeWarning):  # mrcfile's own statistics
        write_mrc(tmp_path / "b.mrc", strange)
    assert mrc2byte.main([str(tmp_path), "--verbose"]) == 0
    assert read_by_all(tmp_path / "a.mrc")[0].max() == 0
    assert read_by_all(tmp_path / "b.mrc")[0][0, 0, :2].tolist() == [0, 255]
    said = capsys.readouterr().err
    assert "constant" in said and "not finite" in said
    assert said.count("float32 -> unsigned bytes") == 2


def test_a_second_run_changes_nothing(tmp_path, capsys):
    paths = [write_mrc(tmp_path / "a.mrc", (NOISE * 30).astype(np.int16)), write_mrc(tmp_path / "b.mrc", SIGNED)]
    assert mrc2byte.main([str(tmp_path), "-p", "2"]) == 0
    before = [(p.read_bytes(), p.stat().st_mtime_ns) for p in paths]
    capsys.readouterr()
    assert mrc2byte.main([str(tmp_path)]) == 0
    assert [(p.read_bytes(), p.stat().st_mtime_ns) for p in paths] == before
    assert "0 done, 2 done before" in capsys.readouterr().out


def test_into_another_folder(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    path = write_mrc(tmp_path / "in" / "a.map", SIGNED)
    (tmp_path / "in" / "notes.mrc.txt").touch()
    before = path.read_bytes()
    for _ in range(2):
        assert mrc2byte.main([str(tmp_path / "in"), "-o", str(tmp_path / "out")]) == 0
    assert path.read_bytes() == before
    np.testing.assert_array_equal(read_by_all(tmp_path / "out" / "a.map")[0], SIGNED.astype(int) + 128)
    captured = capsys.readouterr()
    assert "1 done before" in captured.out
    assert mrc2byte.main([str(tmp_path / "in"), "-o", str(tmp_path / "in")]) == 2


def test_nothing_to_do_is_an_error(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("x")
    assert mrc2byte.main([str(tmp_path)]) == 2
    assert "no MRC files" in capsys.readouterr().err


KILLED = """
import os, signal, sys
sys.path.insert(0, {root!r})
from preprocess import mrc2byte
from utils import mrc_bytes
def die(*args):
    os.kill(os.getpid(), signal.SIGKILL)
mrc_bytes.unsigned_header = die
mrc2byte.main([{folder!r}])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_run_leaves_the_original(tmp_path):
    path = write_mrc(tmp_path / "a.mrc", SIGNED)
    before = path.read_bytes()
    code = KILLED.format(root=str(SCRIPT.parents[1]), folder=str(tmp_path))
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert path.read_bytes() == before
    assert mrc2byte.main([str(tmp_path)]) == 0
    np.testing.assert_array_equal(read_by_all(path)[0], SIGNED.astype(int) + 128)
    assert visible(tmp_path) == ["a.mrc"]


@on_linux
def test_memory_does_not_grow_with_the_file(tmp_path):
    peaks = []
    for depth in (192, 448):
        folder = tmp_path / str(depth)
        folder.mkdir()
        with mrcfile.new_mmap(folder / "a.mrc", (depth, 512, 512), mrc_mode=1) as mrc:
            mrc.data[:] = np.arange(512, dtype=np.int16)
        peaks.append(peak_memory("preprocess.mrc2byte", folder))
    assert peaks[1] - peaks[0] < 48 << 20  # the larger file has 128 MiB more


@pytest.mark.skipif(not SHARED.exists(), reason="the real files are not here")
def test_real_files(tmp_path):
    for name in ("EMD-3197.map", "cryodrgn_50S-vol.mrc", "de_ROI_Random_Scan_movie.mrc", "cylindra_beta-tubulin.mrc"):
        shutil.copyfile(SHARED / name, tmp_path / name)
    assert mrc2byte.main([str(tmp_path)]) == 0
    for path in tmp_path.iterdir():
        read_by_all(path)


@pytest.mark.parametrize(("end", "module"), [(".gz", gzip), (".bz2", bz2)])
def test_packed_files_become_the_bytes_of_plain_ones(tmp_path, end, module, capsys):
    (tmp_path / "plain").mkdir()
    plain = write_mrc(tmp_path / "plain" / "a.map", (NOISE * 30).astype(np.int16))
    (tmp_path / "in").mkdir()
    packed = tmp_path / "in" / f"a.map{end}"
    packed.write_bytes(module.compress(plain.read_bytes()))
    assert mrc2byte.main([str(plain.parent), "-o", str(tmp_path / "one")]) == 0
    assert mrc2byte.main([str(packed.parent), "-o", str(tmp_path / "other")]) == 0
    assert "warning" not in capsys.readouterr().err
    assert (tmp_path / "one" / "a.map").read_bytes() == (tmp_path / "other" / "a.map").read_bytes()
    packed.write_bytes(packed.read_bytes()[:-500])
    assert mrc2byte.main([str(packed.parent), "-o", str(tmp_path / "cut")]) == 1
    assert "a.map" in capsys.readouterr().err
    assert visible(tmp_path / "cut") == []


def test_packed_files_are_not_replaced_in_place(tmp_path, capsys):
    (tmp_path / "a.map.gz").write_bytes(b"x")
    write_mrc(tmp_path / "b.mrc", SIGNED)
    assert mrc2byte.main([str(tmp_path)]) == 0
    assert "a.map.gz" in capsys.readouterr().err and (tmp_path / "a.map.gz").read_bytes() == b"x"
