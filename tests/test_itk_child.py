"""What the child of utils.formats.itk answers: a header, voxels, or a complaint and exit code 3."""

import json
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk

from utils.formats import itk_child

VOXELS = np.arange(24).reshape(2, 3, 4)


def written(path, voxels, **options):
    image = sitk.GetImageFromArray(voxels, **options)
    image.SetSpacing((4.0, 5.0, 30.0))
    sitk.WriteImage(image, str(path))
    return str(path)


@pytest.mark.parametrize("dtype", ["u1", "i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f4", "<f8"])
def test_header_and_voxels(tmp_path, dtype):
    path = written(tmp_path / "a.nrrd", VOXELS.astype(dtype))
    header = json.loads(itk_child.answer(path, "header"))
    assert header.pop("dtype") == dtype.lstrip("<")
    assert header == {"size": [4, 3, 2], "spacing": [4.0, 5.0, 30.0], "channels": 1}
    assert itk_child.answer(path, "voxels") == VOXELS.astype(dtype).tobytes()


def test_colours_have_a_type_of_their_own(tmp_path):
    path = written(tmp_path / "a.nrrd", np.zeros((2, 3, 4, 3), np.uint16), isVector=True)
    header = json.loads(itk_child.answer(path, "header"))
    assert (header["dtype"], header["channels"]) == ("u2", 3)


def test_complex_numbers_are_no_image(tmp_path):
    sitk.WriteImage(sitk.Image([2, 2, 2], sitk.sitkComplexFloat32), str(tmp_path / "a.nrrd"))
    with pytest.raises(ValueError, match="voxels of type complex of 32-bit float: only integers"):
        itk_child.answer(str(tmp_path / "a.nrrd"), "header")


@pytest.mark.parametrize("good", [True, False])
def test_as_a_program(tmp_path, good):
    path = written(tmp_path / "a.nrrd", VOXELS.astype("u1")) if good else str(tmp_path / "absent.nrrd")
    command = [sys.executable, itk_child.__file__, path, "voxels", str(1 << 30)]
    done = subprocess.run(command, capture_output=True)
    if good:
        assert (done.returncode, done.stdout) == (0, VOXELS.astype("u1").tobytes())
    else:
        assert (done.returncode, done.stdout.decode()) == (3, f'The file "{path}" does not exist.\n')


def test_it_is_bounded_and_ends_with_its_parent():
    """Of more than the limit and 4 GiB for its libraries no memory is had; the parent's end kills it."""
    code = (
        "import ctypes, resource; from utils.formats import itk_child; itk_child._bound(1000);"
        "signal = ctypes.c_int(); ctypes.CDLL(None).prctl(2, ctypes.byref(signal));"
        "print(*resource.getrlimit(resource.RLIMIT_AS), signal.value)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.split() == [b"4294968296", b"4294968296", b"9"]


def test_a_header_that_claims_too_much_is_not_believed(tmp_path):
    path = tmp_path / "a.nrrd"
    path.write_text("NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2000 2000 2000\nencoding: raw\n\n")
    done = subprocess.run([sys.executable, itk_child.__file__, path, "voxels", "1000"], capture_output=True)
    assert (done.returncode, done.stdout) == (3, b"Failed to allocate memory for image.\n")
