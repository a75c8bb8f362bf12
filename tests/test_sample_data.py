"""The generated collection: the same bytes every time, and formats that say what they are."""

import hashlib
import json
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from PIL import Image

from examples.make_sample_data import main
from examples.sample_tissue import RESIN, Tissue, sections
from utils.files import list_files

SIZE = 48


@pytest.fixture(scope="module")
def collection(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("collection")
    assert main([str(folder), "--size", str(SIZE)]) == 0
    return folder


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_same_bytes_every_time(collection, tmp_path):
    assert main([str(tmp_path), "--size", str(SIZE), "-p", "2"]) == 0
    assert digests(tmp_path) == digests(collection)


def test_another_seed_is_other_tissue(collection, tmp_path):
    assert main([str(tmp_path), "--size", str(SIZE), "--seed", "1"]) == 0
    other, one = digests(tmp_path), digests(collection)
    assert one.keys() == other.keys()
    assert all(one[name] != other[name] for name in one if name.endswith((".nrrd", ".tif", ".mrc", ".png", ".avi")))


def test_a_second_run_does_nothing(collection, capsys):
    before = {path: path.stat().st_mtime_ns for path in collection.rglob("*")}
    assert main([str(collection), "--size", str(SIZE)]) == 0
    assert "0 done, 15 done before" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in collection.rglob("*")} == before


def test_volumes_say_how_large_a_voxel_is(collection):
    assert sitk.ReadImage(str(collection / "3d" / "neuropil_fib.nrrd")).GetSpacing() == (10.0, 10.0, 10.0)
    with tifffile.TiffFile(collection / "3d" / "sections_tem.tif") as tif:
        assert tif.imagej_metadata is not None
        assert (tif.imagej_metadata["spacing"], tif.imagej_metadata["unit"]) == (0.05, "um")
    with mrcfile.open(collection / "3d" / "tomogram.mrc") as mrc:
        assert mrc.data.dtype == np.int16 and mrc.data.min() < 0
        assert mrc.voxel_size.z == pytest.approx(120)
    scale = json.loads((collection / "remote" / "sample.zarr" / ".zattrs").read_text())["multiscales"][0]["datasets"]
    assert [entry["coordinateTransformations"][0]["scale"][0] for entry in scale] == [12.0, 24.0, 48.0]


def test_images_come_in_every_depth_and_the_folder_has_its_litter(collection):
    for name, mode in (("tem_gray/grid_1.png", "L"), ("exported_colour/figure_5.jpg", "RGB")):
        with Image.open(collection / "2d" / name) as image:
            assert image.mode == mode
    assert tifffile.imread(collection / "2d" / "sem_deep" / "field_3.tif").dtype == np.uint16
    assert (collection / "2d" / ".DS_Store").is_file()
    assert [path.name for path in list_files(collection / "2d")] == ["notes.txt"]


def test_tissue_ends_in_resin_and_is_one_in_all_directions():
    tissue = Tissue(3, depth=400.0)
    volume = sections(tissue, np.arange(40) * 20.0, (60, 40), 20.0).astype(float)
    assert abs(volume[:, 45:].mean() - RESIN) < 6 and volume[:, 45:].std() < 16
    assert volume[:, :10].std() > 25
    finer = sections(tissue, np.array([0.0]), (120, 80), 10.0)[0].astype(float)
    coarse = finer.reshape(60, 2, 40, 2).mean(axis=(1, 3))
    assert np.corrcoef(coarse[:20].ravel(), volume[0, :20].ravel())[0, 1] > 0.5
