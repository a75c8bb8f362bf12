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
    assert header.pop("dtype").lstrip("|") == dtype
    assert header == {"size": [4, 3, 2], "spacing": [4.0, 5.0, 30.0], "channels": 1}
    assert itk_child.answer(path, "voxels") == VOXELS.astype(dtype).tobytes()


def test_colours_have_a_type_of_their_own(tmp_path):
    path = written(tmp_path / "a.nrrd", np.zeros((2, 3, 4, 3), np.uint16), isVector=True)
    header = json.loads(itk_child.answer(path, "header"))
    assert (header["dtype"], header["channels"]) == ("<u2", 3)


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
        assert done.returncode == 3 and len(done.stdout.splitlines()) == 1 and b"sitk::ERROR" not in done.stdout
