"""utils/duplicates/excluded.py: images, volumes and folders of slices to be left out."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from tissue import texture
from utils.cli import UsageError
from utils.duplicates.excluded import Excluded, excluded_path, index_excluded, list_excluded, planes, slices_of
from utils.duplicates.index_file import read_index
from utils.formats.writers import write_nrrd
from utils.jobs import SKIPPED, Job
from utils.patches import Box
from utils.volumes import open_volume


def test_images_volumes_and_folders_of_slices_are_listed(tmp_path):
    bench = tmp_path / "bench"
    (bench / "deep" / "slices").mkdir(parents=True)
    for z in range(3):
        Image.fromarray(texture(z, (96, 96))).save(bench / "deep" / "slices" / f"{z}.png")
    Image.fromarray(texture(5, (96, 90))).save(bench / "deep" / "one.png")
    write_nrrd(bench / "v.nrrd", np.zeros((4, 96, 96), np.uint8), (8, 8, 8))
    tifffile.imwrite(bench / "stack.tif", np.zeros((3, 96, 96), np.uint8), photometric="minisblack")
    (bench / "readme.txt").write_text("")
    listed = list_excluded([bench, bench])
    assert [name for name, _ in listed] == [
        "bench/deep/one.png",
        *(f"bench/deep/slices/{z}.png" for z in range(3)),
        "bench/stack.tif",
        "bench/v.nrrd",
    ]
    for z in range(3, 50):
        Image.fromarray(texture(z, (96, 96))).save(bench / "deep" / "slices" / f"{z}.png")
    slices = dict(list_excluded([bench]))["bench/deep/slices"]
    with pytest.warns(UserWarning, match="voxel size missing"):
        assert {plane.axis for plane in planes(slices)} == {1, 2}
    Image.fromarray(texture(0, (90, 96))).save(bench / "deep" / "slices" / "50.png")
    assert "bench/deep/slices" not in dict(list_excluded([bench])), "it is no volume any more"
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="neither images nor volumes"):
        list_excluded([tmp_path / "empty"])


def test_isotropic_volumes_are_indexed_on_three_axes_at_steps(tmp_path):
    path = tmp_path / "v.nrrd"
    write_nrrd(path, np.random.default_rng(0).integers(0, 256, (90, 48, 50), dtype=np.uint8), (10, 10, 10))
    found = list(planes(path))
    assert [plane.index for plane in found if plane.axis == 0][-3:] == [84, 88, 89]
    assert {plane.axis for plane in found} == {0, 1, 2}
    assert next(plane for plane in found if plane.axis == 1).pixels.shape == (90, 50)
    with open_volume(path) as volume:
        assert np.array_equal(next(p for p in found if p.axis == 2 and p.index == 4).pixels, volume[:, :, 4])
        assert slices_of(volume, 0) == [*range(0, 90, 4), 89]
    write_nrrd(path, np.zeros((9, 60, 50), np.uint8), (50, 4, 4))
    assert [(plane.axis, plane.index) for plane in planes(path)] == [(0, z) for z in range(9)]
    with open_volume(path) as volume:
        assert slices_of(volume, 0) == list(range(9))
    write_nrrd(path, np.zeros((9, 9, 9), np.uint8), (50, 50, 50))
    with open_volume(path) as volume:
        assert slices_of(volume, 0) == list(range(9))


@pytest.mark.parametrize("deep", [False, True])
def test_an_index_holds_the_slices_and_their_windows(tmp_path, deep):
    voxels = np.stack([texture(z, (70, 60)) for z in range(3)])
    write_nrrd(tmp_path / "v.nrrd", voxels, (50, 4, 4))
    job = Job(tmp_path / "v.nrrd", excluded_path(tmp_path / "cache", tmp_path / "v.nrrd", deep=deep))
    options = {"deep": True} if deep else {}
    assert index_excluded(job, **options) == "3 images, 0.0 megapixels"
    assert index_excluded(job, **options) == SKIPPED
    index = read_index(job.target)
    assert ("deep_codes" in index.meta["arrays"]) is deep
    assert set(index["owners"]) == {0, 1, 2} and len(index["owners"]) == len(index["codes"]) == len(index["levels"])
    excluded = Excluded("bench/v.nrrd", index)
    assert len(excluded) == 3
    for z in range(3):
        np.testing.assert_array_equal(excluded.pixels(z), voxels[z])
    assert excluded.place(2, Box(-3, 40, 7, 99)) == "v-LOC-0_2_0-40_7-60"


def test_an_image_has_no_axis(tmp_path):
    Image.fromarray(texture(5, (1100, 1000))).save(tmp_path / "a.png")
    job = Job(tmp_path / "a.png", tmp_path / "cache/a")
    assert index_excluded(job) == "1 images, 1.1 megapixels"
    assert read_index(job.target)["planes"].tolist() == [[-1, 0, 1, 1100, 1000]]
    assert Excluded("a.png", read_index(job.target)).place(0, Box(0, 40, 7, 9)) == "a-LOC-2d-0-40_7-9"


def test_deep_indexes_lie_apart(tmp_path):
    flat, deep = (excluded_path(tmp_path, tmp_path / "a.png", deep=deep) for deep in (False, True))
    assert excluded_path(tmp_path, tmp_path / "a.png") == flat and deep.name == f"{flat.name}-deep"
    assert flat.name.startswith("a-") and flat != excluded_path(tmp_path, tmp_path / "b/a.png")


def test_a_tiff_of_one_page_is_an_image_and_one_of_several_a_volume(tmp_path):
    for name, pages, found in (("a.tif", texture(1, (96, 96)), [None]), ("b.tif", texture(1, (192, 96)), [0, 0])):
        pages = pages if found == [None] else pages.reshape(2, 96, 96)
        tifffile.imwrite(
            tmp_path / name, pages, photometric="minisblack", resolution=(1, 1), metadata={"axes": "ZYX"[-pages.ndim :]}
        )
        with warnings.catch_warnings(action="ignore"):
            assert [plane.axis for plane in planes(tmp_path / name) if plane.axis in (None, 0)] == found


def test_an_index_is_called_by_its_source_and_its_place(tmp_path):
    one, other = (excluded_path(tmp_path, Path(folder, "a" * 90 + ".tif")) for folder in ("/x", "/y"))
    assert one != other and one.parent == tmp_path and re.fullmatch("a{60}-[0-9a-f]{12}", one.name)
    assert excluded_path(tmp_path, Path("/x/b.tif"), deep=True).name.endswith("-deep")
