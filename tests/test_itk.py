"""What only SimpleITK reads: in a process of its own, checked before it is decoded; its complaints as sentences."""

import gzip
import locale
import subprocess
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from utils import memory
from utils.formats import itk, itk_child
from utils.formats.itk import open_itk, require_all_voxels
from utils.formats.voxel_size import VoxelSize
from utils.volumes import open_volume

VOXELS = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
SIZED = np.arange(5 * 6 * 7, dtype=np.int16).reshape(5, 6, 7)
VTK = (
    "# vtk DataFile Version 3.0\nof a test\n{kind}\nDATASET STRUCTURED_POINTS\nDIMENSIONS 7 6 5\nSPACING 1 1 1\n"
    "ORIGIN 0 0 0\nPOINT_DATA 210\nSCALARS scalars short 1\nLOOKUP_TABLE default\n"
)


def written(path, voxels=VOXELS, spacing=(4.0, 5.0, 30.0), **options):
    image = sitk.GetImageFromArray(voxels, **options)
    image.SetSpacing(spacing[: image.GetDimension()])
    sitk.WriteImage(image, str(path))
    return path


def test_header_now_and_voxels_at_the_first_read(tmp_path):
    path = written(tmp_path / "a.b.vtk")
    volume = open_itk(path, VoxelSize((1.0, 2.0, 3.0)))
    assert (volume.name, volume.shape, volume.dtype, volume.streams) == ("a.b", (2, 3, 4), "int16", False)
    assert volume.voxel_size == (1.0, 2.0, 3.0)
    np.testing.assert_array_equal(volume[:], VOXELS)


@pytest.fixture
def here(monkeypatch):
    """The child's answers without the child; ITK's reader of VTK leaves another locale behind."""
    monkeypatch.setattr(itk, "_ask", lambda path, what, seconds: itk_child.answer(str(path), what))
    before = locale.setlocale(locale.LC_ALL)
    yield
    locale.setlocale(locale.LC_ALL, before)


@pytest.mark.usefixtures("here")
def test_colours_and_flat_images(tmp_path):
    colours = np.zeros((2, 3, 4, 3), np.uint8)
    colours[..., 0] = 200
    volume = open_itk(written(tmp_path / "a.vtk", colours, isVector=True))
    assert volume.voxel_size == (30.0, 5.0, 4.0)
    assert volume.shape == (2, 3, 4) and volume.dtype == "uint8" and (volume[:] == round(200 * 0.2125)).all()
    two = open_itk(written(tmp_path / "c.mha", np.stack([VOXELS, VOXELS + 1], -1), isVector=True))
    np.testing.assert_array_equal(two[:], VOXELS)  # gray and alpha
    flat = open_itk(written(tmp_path / "b.mha", VOXELS[0], (4.0, 5.0)))
    assert flat.shape == (1, 3, 4) and flat.header_size.why_missing == "a 2D image has no z"
    np.testing.assert_array_equal(flat[:], VOXELS[:1])


@pytest.mark.usefixtures("here")
def test_four_axes(tmp_path):
    single = open_itk(written(tmp_path / "a.nii", VOXELS[None], (4.0, 5.0, 30.0, 1.0), isVector=False))
    np.testing.assert_array_equal(single[:], VOXELS)
    several = written(tmp_path / "b.nii", np.stack([VOXELS] * 2), (4.0, 5.0, 30.0, 1.0), isVector=False)
    with pytest.raises(ValueError, match=r"has 4 axes of sizes \(2, 2, 3, 4\): expected a single 3D image"):
        open_itk(several)


def test_complaints_are_simpleitk_s_own(tmp_path):
    (tmp_path / "a.vtk").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"^cannot be read as \.vtk by SimpleITK: .*\S$") as caught:
        open_itk(tmp_path / "a.vtk")
    assert "\n" not in str(caught.value) and "sitk::ERROR" not in str(caught.value)
    (tmp_path / "a.mnc").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="MINCImageIO: Could not open file"):
        open_itk(tmp_path / "a.mnc")


def test_what_itk_says_of_its_own_is_no_header(tmp_path):
    head = "ObjectType = Image\nNDims = 99\nDimSize = " + "2 " * 99
    (tmp_path / "a.mha").write_text(f"{head}\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n")
    with pytest.raises(ValueError, match=r"^cannot be read as \.mha: SimpleITK makes nothing of its header$"):
        open_itk(tmp_path / "a.mha")


@pytest.mark.usefixtures("here")
def test_too_large_an_image_is_not_decoded(tmp_path):
    path = written(tmp_path / "a.vtk")
    with memory.limited_to(144e-9):  # three times 48 bytes
        open_itk(path)
    with memory.limited_to(143e-9), pytest.raises(ValueError, match="the volume"):
        open_itk(path)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("ascii", "said"), [(True, "23 numbers where its header promises 24"), (False, "47 bytes")])
def test_what_itk_would_fill_up_is_cut_short(tmp_path, ascii, said):
    path = written(tmp_path / "a.vtk")
    if ascii:
        head, table, _ = path.read_bytes().replace(b"BINARY", b"ASCII").partition(b"LOOKUP_TABLE default\n")
        numbers = " ".join(map(str, VOXELS.ravel())).encode()
        path.write_bytes(head + table + numbers)
        np.testing.assert_array_equal(open_itk(path)[:], VOXELS)
        path.write_bytes(head + table + numbers[:-3])
    else:
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=f"the file is cut short: {said}"):
        open_itk(path)[:]


def test_a_child_that_dies_or_falls_silent_costs_the_one_file(tmp_path, monkeypatch):
    path, child = written(tmp_path / "a.vtk"), tmp_path / "child.py"
    monkeypatch.setattr(itk, "_CHILD", child)
    child.write_text("import os; os.abort()")
    with pytest.raises(ValueError, match=r"^cannot be read as \.vtk: SimpleITK died of it \(exit code -6\)$"):
        open_itk(path)
    child.write_text("import time; time.sleep(60)")
    monkeypatch.setattr(itk, "_HEADER_SECONDS", 0.3)
    with pytest.raises(ValueError, match="SimpleITK did not read its header within 0 s"):
        open_itk(path)
    child.write_text("print('two bytes')")
    monkeypatch.setattr(itk, "_HEADER_SECONDS", 60)
    said = "its header promises 48 bytes of voxels, 10 could be decoded"
    with pytest.raises(ValueError, match=said):
        itk._decode(path, (2, 3, 4, 1), np.dtype("i2"), 48)


def test_pipes_are_not_waited_for(tmp_path):
    subprocess.run(["mkfifo", tmp_path / "a.vtk"], check=True)
    with pytest.raises(ValueError, match=r"a\.vtk is a pipe, expected a file"):
        open_itk(tmp_path / "a.vtk")


def text(path: Path, numbers: int) -> Path:
    path.write_text(VTK.format(kind="ASCII") + "\n".join(map(str, SIZED.reshape(-1)[:numbers].tolist())))
    return path


@pytest.mark.filterwarnings("ignore:voxel size")
@pytest.mark.parametrize("name", ["a.vtk", "a.gipl"])
def test_what_is_whole_is_read_and_what_is_cut_is_refused(tmp_path, name):
    path = written(tmp_path / name, SIZED)
    with open_volume(path) as volume:
        assert np.array_equal(volume[:], SIZED)
    path.write_bytes(path.read_bytes()[:-3])
    with open_volume(path) as volume, pytest.raises(ValueError, match=r"cut short: .* bytes where its header promises"):
        volume[:]


def test_packed_gipl_is_unpacked_to_tell(tmp_path):
    whole = written(tmp_path / "a.gipl", SIZED).read_bytes()
    path = tmp_path / "a.gipl.gz"
    path.write_bytes(gzip.compress(whole))
    require_all_voxels(path, SIZED.nbytes, SIZED.size)
    path.write_bytes(gzip.compress(whole[:-1]))
    with pytest.raises(ValueError, match="675 bytes where its header promises 676"):
        require_all_voxels(path, SIZED.nbytes, SIZED.size)


def test_numbers_in_text_are_counted_across_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("utils.formats.itk._PIECE", 5)
    require_all_voxels(text(tmp_path / "a.vtk", 210), SIZED.nbytes, SIZED.size)
    with pytest.raises(ValueError, match="209 numbers where its header promises 210"):
        require_all_voxels(text(tmp_path / "b.vtk", 209), SIZED.nbytes, SIZED.size)


def test_other_heads_and_formats(tmp_path):
    (tmp_path / "a.pic").write_bytes(bytes(76 + 9))
    require_all_voxels(tmp_path / "a.pic", 9, 9)
    with pytest.raises(ValueError, match="85 bytes where its header promises 86"):
        require_all_voxels(tmp_path / "a.pic", 10, 10)
    for name, size in (("a.spr", 1), ("a.sdt", 8)):
        (tmp_path / name).write_bytes(bytes(size))
    require_all_voxels(tmp_path / "a.spr", 8, 8)
    with pytest.raises(ValueError, match="8 bytes"):
        require_all_voxels(tmp_path / "a.spr", 9, 9)
    require_all_voxels(tmp_path / "absent.dcm", 10, 10)


def test_of_more_axes_one_image_is_taken_and_several_are_refused(tmp_path):
    for count in (1, 2):
        sitk.WriteImage(sitk.GetImageFromArray(np.stack([VOXELS] * count), isVector=False), str(tmp_path / "a.mha"))
        if count == 1:
            with open_itk(tmp_path / "a.mha") as volume:
                np.testing.assert_array_equal(volume[:], VOXELS)
        else:
            with pytest.raises(ValueError, match=r"has 4 axes of sizes \(2, 2, 3, 4\): expected a single 3D image"):
                open_itk(tmp_path / "a.mha")
