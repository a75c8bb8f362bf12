"""utils/duplicates/deep.py: free rotation, by keypoints that agree."""

import cv2
import numpy as np
import pytest
from PIL import Image

from tissue import cut, excluded_deeply, texture
from utils.duplicates.deep import _fit_similarity
from utils.duplicates.excluded import Excluded, index_excluded, list_excluded
from utils.duplicates.index_file import read_index
from utils.duplicates.leaks import ExcludedWindows, orientation
from utils.formats.nrrd import write_nrrd
from utils.jobs import Job
from utils.names import parse_name


@pytest.fixture(scope="module")
def image():
    return texture(20, (700, 600))


@pytest.fixture(scope="module")
def windows(image, tmp_path_factory):
    return excluded_deeply(tmp_path_factory.mktemp("bench"), {"a.b": image, "other": texture(21, (300, 280))})


def test_deep_finds_free_rotation(windows, image):
    turn = cv2.getRotationMatrix2D((300, 350), 33, 1.3)
    turned = cv2.warpAffine(image, turn, (600, 700), flags=cv2.INTER_CUBIC)
    found = windows.find([cut(turned, 238, 188), np.ascontiguousarray(cut(turned, 238, 188)[:, ::-1])])
    assert [leak and leak.source for leak in found] == [0, 0]
    assert found[0].placement.scale == pytest.approx(1 / 1.3, abs=0.02)
    assert np.allclose(found[0].placement.middle, (350, 300), atol=4)
    assert orientation(found[0]).startswith("turned by ") and "scale 0.77" in orientation(found[0])


def turned(image: np.ndarray, y: int, x: int, side: int) -> np.ndarray:
    """A patch around a place, of the image turned by 33 degrees about it."""
    turn = cv2.getRotationMatrix2D((float(x), float(y)), 33, 1)
    whole = cv2.warpAffine(image, turn, image.shape[::-1], flags=cv2.INTER_CUBIC)
    return cut(whole, y - side // 2, x - side // 2, side)


def excluded_volume(folder, volume, voxel_size):
    """A volume that is excluded, indexed deeply, and the search in it."""
    write_nrrd(folder / "bench.nrrd", volume, voxel_size)
    [(name, source)] = list_excluded([folder])
    index_excluded(Job(source, folder / ".index"), deep=True)
    index = read_index(folder / ".index")
    return ExcludedWindows([Excluded(name, index)], deep=True), index


def test_turned_patches_of_a_real_stack_are_found(real_data, tmp_path):
    """A section of ssTEM; and FIB-SEM within two slices of one that is indexed, along another axis."""
    files = sorted((real_data / "3d" / "isbi2012_train_slices").iterdir())[:2]
    sections = np.stack([np.asarray(Image.open(path).convert("L"))[:400, :400] for path in files])
    windows, _ = excluded_volume(tmp_path, sections, (50, 4, 4))
    leak = windows.find([turned(sections[1], 200, 190, 224)])[0]
    place = parse_name(windows.sources[0].place(leak.plane, leak.placement.box((224, 224))))
    assert place.axis == 0 and place.first == 1 and orientation(leak) == "turned by -33 degrees"
    files = sorted((real_data / "3d" / "flyem_medulla_training1_slices").iterdir())
    volume = np.stack([np.asarray(Image.open(path).convert("L")) for path in files])[:, 100:124]
    (tmp_path / "fib").mkdir()
    windows, index = excluded_volume(tmp_path / "fib", volume, (10, 10, 10))
    assert set(index["planes"][:, 0]) == {1}  # slices of 24 pixels hold no window
    found = windows.find([turned(np.ascontiguousarray(volume[:, y]), 125, 120, 160) for y in (8, 9, 10)])
    assert all(leak is not None and abs(4 * leak.plane - y) <= 2 for leak, y in zip(found, (8, 9, 10), strict=True))


def test_fitting_ignores_what_does_not_agree():
    rng = np.random.default_rng(0)
    asked = rng.uniform(-100, 100, (30, 2))
    matrix, shift = np.array([[0.8, 0.6], [-0.6, 0.8]]) * 1.5, np.array([40.0, 70.0])
    found = asked @ matrix.T + shift
    found[20:] += rng.uniform(50, 90, (10, 2))
    seed = np.zeros(30, bool)
    seed[:6] = True
    fitted, moved, count = _fit_similarity(asked, found, seed)
    assert np.allclose(fitted, matrix) and np.allclose(moved, shift) and count == 20
    assert _fit_similarity(asked[:3], found[:3], seed[:3]) is None
    assert _fit_similarity(asked[:4], found[:4], seed[:4])[2] == 4
    assert _fit_similarity(asked[[0] * 9], found[[0] * 9], np.ones(9, bool)) is None  # one place, however often


@pytest.mark.parametrize(
    ("scale", "away", "counts"), [(1, 5.5, True), (1, 6.5, False), (2, 11, True), (2, 13, False), (0.5, 5.5, True)]
)
def test_points_near_their_place_belong_to_it(scale, away, counts):
    asked = np.random.default_rng(0).uniform(-100, 100, (200, 2))
    found = scale * asked
    found[-1, 0] += away
    assert _fit_similarity(asked, found, np.arange(200) < 100)[2] == 199 + counts


@pytest.mark.parametrize(("scale", "fits"), [(0.19, False), (0.21, True), (4.9, True), (5.1, False)])
def test_scales_that_nobody_publishes_are_no_fit(scale, fits):
    asked = np.random.default_rng(0).uniform(-100, 100, (20, 2))
    assert (_fit_similarity(asked, scale * asked, np.ones(20, bool)) is not None) is fits
