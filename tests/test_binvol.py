"""binvol: exact averages, voxel sizes, formats, originals that are only deleted when their result stands."""

import shutil
import subprocess
import sys
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile

from conftest import visible
from preprocess import binvol
from utils.formats.writers import write_nrrd
from utils.jobs import SKIPPED, Job
from utils.volumes import open_volume

SCRIPT = Path(binvol.__file__)
SIZE = (30.0, 8.0, 6.0)
VOXELS = np.random.default_rng(0).integers(-300, 300, (7, 9, 10)).astype(np.int16)


def averaged(voxels, factors):
    """Averages the slow way, halves up."""
    shape = [n // f for n, f in zip(voxels.shape, factors, strict=True)]
    out = np.empty(shape)
    for index in np.ndindex(*shape):
        block = voxels[tuple(slice(i * f, (i + 1) * f) for i, f in zip(index, factors, strict=True))]
        out[index] = block.astype(float).mean()
    return np.floor(out + 0.5).astype(voxels.dtype) if voxels.dtype.kind in "iu" else out.astype(voxels.dtype)


@pytest.mark.parametrize(("axes", "factors"), [("xyz", (3, 3, 3)), ("xy", (1, 3, 3))])
def test_nrrd(tmp_path, axes, factors):
    write_nrrd(tmp_path / "a.nrrd", VOXELS, SIZE)
    before = (tmp_path / "a.nrrd").read_bytes()
    assert binvol.main([str(tmp_path), "--factor", "3", "--axes", axes]) == 0
    image = sitk.ReadImage(str(tmp_path / f"a_bin3{'' if axes == 'xyz' else 'xy'}.nrrd"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), averaged(VOXELS, factors))
    assert image.GetSpacing() == tuple(s * f for s, f in zip(SIZE, factors, strict=True))[::-1]
    assert (tmp_path / "a.nrrd").read_bytes() == before


def test_slabs_equal_the_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("utils.binning.SLAB_VOXELS", 200)
    write_nrrd(tmp_path / "a.nrrd", VOXELS, SIZE)
    assert binvol.main([str(tmp_path)]) == 0
    with open_volume(tmp_path / "a_bin2.nrrd") as volume:
        np.testing.assert_array_equal(volume[:], averaged(VOXELS, (2, 2, 2)))


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "float32", "float16"])
@pytest.mark.parametrize("name", ["a.mrc", "a.rec"])
def test_mrc_stays_mrc(tmp_path, dtype, name):
    voxels = (VOXELS / 3).astype(dtype)
    with mrcfile.new(tmp_path / name) as mrc:
        mrc.set_data(voxels)
        mrc.voxel_size = (40, 50, 60)
        mrc.header.origin = (1, 2, 3)
        mrc.add_label("kept")
    assert binvol.main([str(tmp_path)]) == 0
    result = tmp_path / name.replace("a", "a_bin2")
    expected = averaged(voxels, (2, 2, 2))
    with mrcfile.open(result) as mrc:
        np.testing.assert_array_equal(mrc.data, expected)
        assert mrc.voxel_size.tolist() == pytest.approx((80, 100, 120))
        assert mrc.header.origin.tolist() == (1, 2, 3) and b"kept" in mrc.header.label.tobytes()
        assert (mrc.header.dmin, mrc.header.dmax) == (expected.min(), expected.max())
        assert mrc.header.dmean == pytest.approx(expected.mean(dtype=float), rel=1e-6, abs=1e-4)
        assert mrc.header.rms == pytest.approx(expected.std(dtype=float), rel=1e-4)
    with open_volume(result) as volume:
        assert (volume.dtype, volume.voxel_size) == (voxels.dtype, (12, 10, 8))
        np.testing.assert_array_equal(volume[:], expected)


def test_permuted_unsigned_mrc(tmp_path):
    voxels = (VOXELS + 300 >> 2).astype(np.uint8)
    with mrcfile.new(tmp_path / "a.mrc") as mrc:
        mrc.set_data(voxels.view(np.int8))
        mrc.header.mapc, mrc.header.maps = 3, 1
        mrc.header.cella, mrc.header.mx, mrc.header.mz = (70, 90, 100), 7, 10
        mrc.header.dmin, mrc.header.dmax = 0, 255
    assert binvol.main([str(tmp_path)]) == 0
    with open_volume(tmp_path / "a_bin2.mrc") as volume:
        np.testing.assert_array_equal(volume[:], averaged(voxels.transpose(2, 1, 0), (2, 2, 2)))
        assert volume.voxel_size == (2.0, 2.0, 2.0)


@pytest.mark.filterwarnings("ignore:voxel size missing")
def test_other_formats_become_nrrd(tmp_path, capsys):
    tifffile.imwrite(tmp_path / "t.tif", VOXELS.astype(np.float16), photometric="minisblack")
    image = sitk.GetImageFromArray(VOXELS)
    image.SetSpacing(SIZE[::-1])
    sitk.WriteImage(image, str(tmp_path / "n.nii.gz"))
    (tmp_path / "s").mkdir()
    for z, page in enumerate(VOXELS.astype(np.uint16)):
        tifffile.imwrite(tmp_path / "s" / f"{z}.tif", page)
    (tmp_path / "notes.txt").write_text("x")
    assert binvol.main([str(tmp_path), "-p", "2"]) == 0
    assert sorted(p.name for p in tmp_path.glob("[!.]*_bin2*")) == ["n_bin2.nrrd", "s_bin2.nrrd", "t_bin2.nrrd"]
    with open_volume(tmp_path / "n_bin2.nrrd") as volume:
        assert volume.voxel_size == (60, 16, 12)
    with open_volume(tmp_path / "t_bin2.nrrd") as volume:
        assert volume.dtype == np.float32
    said = capsys.readouterr().err
    assert "notes.txt" in said and f"{tmp_path / 't.tif'}: warning: voxel size missing" in said


def test_a_second_run_bins_nothing_again(tmp_path, capsys):
    write_nrrd(tmp_path / "a.nrrd", VOXELS, SIZE)
    for _ in range(2):
        assert binvol.main([str(tmp_path)]) == 0
    assert "0 done, 1 done before" in capsys.readouterr().out
    assert visible(tmp_path) == ["a.nrrd", "a_bin2.nrrd"]


def test_in_place(tmp_path):
    write_nrrd(tmp_path / "a.nrrd", VOXELS, SIZE)
    image = sitk.GetImageFromArray(VOXELS)
    image.SetSpacing(SIZE[::-1])
    sitk.WriteImage(image, str(tmp_path / "m.mhd"))
    for _ in range(2):
        assert binvol.main([str(tmp_path), "--inplace"]) == 0
        assert visible(tmp_path) == ["a_bin2.nrrd", "m_bin2.nrrd"]


def test_two_runs_in_place_at_once(tmp_path):
    for name in "abcd":
        write_nrrd(tmp_path / f"{name}.nrrd", VOXELS, SIZE)
    runs = [subprocess.Popen([sys.executable, str(SCRIPT), str(tmp_path), "--inplace"]) for _ in range(2)]
    assert [run.wait() for run in runs] == [0, 0]
    assert visible(tmp_path) == [f"{name}_bin2.nrrd" for name in "abcd"]


def test_one_that_waited_finds_nothing_left(tmp_path):
    write_nrrd(tmp_path / "a_bin2.nrrd", VOXELS, SIZE)
    job = Job(tmp_path / "a.nrrd", tmp_path / "a_bin2.nrrd")
    assert binvol.replace_volume(job, (2, 2, 2)) == SKIPPED


def test_in_place_keeps_data_that_another_header_needs(tmp_path):
    image = sitk.GetImageFromArray(VOXELS)
    sitk.WriteImage(image, str(tmp_path / "m.mhd"))
    shutil.copy(tmp_path / "m.mhd", tmp_path / "other.mhd")
    (tmp_path / "other.mhd").write_text(
        (tmp_path / "m.mhd").read_text().replace("DimSize = 10 9 7", "DimSize = 10 9 1")
    )
    assert binvol.main([str(tmp_path), "--inplace"]) == 1
    assert visible(tmp_path) == ["m.raw", "m_bin2.nrrd", "other.mhd"]


@pytest.mark.parametrize("name", ["../elsewhere/m.raw", "{}/elsewhere/m.raw", "link.raw"])
def test_in_place_deletes_no_data_that_lies_elsewhere(tmp_path, name):
    """A header may name any file of the disk."""
    folder, elsewhere = tmp_path / "in", tmp_path / "elsewhere"
    folder.mkdir(), elsewhere.mkdir()
    sitk.WriteImage(sitk.GetImageFromArray(VOXELS), str(elsewhere / "m.mhd"))
    (folder / "link.raw").symlink_to(elsewhere / "m.raw")
    header = (elsewhere / "m.mhd").read_text().replace("= m.raw", f"= {name.format(tmp_path)}")
    (folder / "m.mhd").write_text(header)
    assert binvol.main([str(folder), "--inplace"]) == 0
    assert (folder / "m_bin2.nrrd").is_file() and not (folder / "m.mhd").exists()
    assert (elsewhere / "m.raw").is_file()


@pytest.mark.filterwarnings("ignore:voxel size missing")
def test_a_folder_is_never_deleted(tmp_path, capsys):
    (tmp_path / "s").mkdir()
    for z, page in enumerate(VOXELS.astype(np.uint16)):
        tifffile.imwrite(tmp_path / "s" / f"{z}.tif", page)
    assert binvol.main([str(tmp_path), "--inplace"]) == 0
    assert (tmp_path / "s").is_dir() and (tmp_path / "s_bin2.nrrd").exists()
    assert "never deleted" in capsys.readouterr().err
    assert binvol.main([str(tmp_path), "--inplace"]) == 0
    assert "0 done, 1 done before" in capsys.readouterr().out


def test_a_result_that_differs_protects_the_original(tmp_path, capsys):
    write_nrrd(tmp_path / "a.nrrd", VOXELS, SIZE)
    binvol.main([str(tmp_path)])
    spoilt = bytearray((tmp_path / "a_bin2.nrrd").read_bytes())
    spoilt[-1] ^= 1
    (tmp_path / "a_bin2.nrrd").write_bytes(spoilt)
    assert binvol.main([str(tmp_path), "--inplace"]) == 1
    assert "does not hold what it should" in capsys.readouterr().err
    assert (tmp_path / "a.nrrd").exists()


def test_a_disk_that_loses_bytes_is_noticed(tmp_path, capsys, monkeypatch):
    from utils.formats.writers import NrrdWriter

    write = NrrdWriter.write
    monkeypatch.setattr(NrrdWriter, "write", lambda self, slab: write(self, np.zeros_like(slab)))
    write_nrrd(tmp_path / "zeros.nrrd", np.zeros((4, 4, 4), np.uint8), SIZE)
    (tmp_path / "a.nrrd").write_bytes((tmp_path / "zeros.nrrd").read_bytes()[:-64] + bytes(range(64)))
    (tmp_path / "zeros.nrrd").unlink()
    assert binvol.main([str(tmp_path), "--inplace"]) == 1
    assert visible(tmp_path) == ["a.nrrd"]


KILLED = """
import os, signal, sys
sys.path.insert(0, {root!r})
from preprocess import binvol
def die(*args):
    os.kill(os.getpid(), signal.SIGKILL)
binvol.{where} = die
binvol.main([{folder!r}, "--inplace"])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize(("where", "left"), [("_compare", ["a.nrrd"]), ("_delete", ["a.nrrd", "a_bin2.nrrd"])])
def test_killed(tmp_path, where, left):
    write_nrrd(tmp_path / "a.nrrd", VOXELS, SIZE)
    code = KILLED.format(root=str(SCRIPT.parents[1]), folder=str(tmp_path), where=where)
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert visible(tmp_path) == left
    assert binvol.main([str(tmp_path), "--inplace"]) == 0
    assert visible(tmp_path) == ["a_bin2.nrrd"]
    with open_volume(tmp_path / "a_bin2.nrrd") as volume:
        np.testing.assert_array_equal(volume[:], averaged(VOXELS, (2, 2, 2)))


def test_bad_input_and_usage(tmp_path, capsys):
    write_nrrd(tmp_path / "flat.nrrd", VOXELS[:1], SIZE)
    (tmp_path / "broken.mrc").write_bytes(b"x")
    write_nrrd(tmp_path / "good.nrrd", VOXELS, SIZE)
    assert binvol.main([str(tmp_path), "--inplace"]) == 1
    said = capsys.readouterr().err
    assert "too few to bin by 2" in said and "broken.mrc: is not an MRC file" in said
    assert visible(tmp_path) == ["broken.mrc", "flat.nrrd", "good_bin2.nrrd"]
    for options in (["--factor", "1"], ["--factor", "x"], ["--axes", "z"], ["--inplace", "-o", str(tmp_path)]):
        with pytest.raises(SystemExit) as caught:
            binvol.main([str(tmp_path), *options])
        assert caught.value.code == 2
    (tmp_path / "empty").mkdir()
    assert binvol.main([str(tmp_path / "empty")]) == 2


def test_two_volumes_of_one_name(tmp_path):
    write_nrrd(tmp_path / "a.nrrd", VOXELS, SIZE)
    tifffile.imwrite(tmp_path / "a.tif", VOXELS, photometric="minisblack")
    assert binvol.main([str(tmp_path)]) == 1
    assert not (tmp_path / "a_bin2.nrrd").exists()


def test_mrc_statistics_count_finite_voxels(tmp_path):
    voxels = np.arange(64, dtype=np.float32).reshape(4, 4, 4)
    voxels[0, 0, 0] = np.nan
    with pytest.warns(RuntimeWarning), mrcfile.new(tmp_path / "a.mrc") as mrc:  # mrcfile's own statistics
        mrc.set_data(voxels)
        mrc.voxel_size = 40
    assert binvol.main([str(tmp_path)]) == 0
    with mrcfile.open(tmp_path / "a_bin2.mrc") as mrc:
        assert np.isnan(mrc.data[0, 0, 0]) and mrc.header.dmax == mrc.data[-1, -1, -1]
        assert mrc.header.dmean == pytest.approx(np.nanmean(mrc.data))


def test_what_a_table_speaks_of_and_is_not_there_is_said(tmp_path, capsys):
    write_nrrd(tmp_path / "a.nrrd", VOXELS)
    (tmp_path / "datasets.csv").write_text("name,voxel_z,voxel_y,voxel_x\na,30,8,6\ngone,1,1,1\n")
    assert binvol.main([str(tmp_path), "--verbose"]) == 0
    said = capsys.readouterr().err
    assert "datasets.csv: no volume here is called gone" in said and "a.nrrd: 3 x 4 x 5 voxels" in said
