"""utils/duplicates/deep.py: keypoints as codes, and free rotation by keypoints that agree."""

import cv2
import numpy as np
import pytest
from PIL import Image

from tissue import cut, excluded_deeply, texture
from utils.duplicates import deep
from utils.duplicates.deep import DeepPoints, _fit_similarity, _frame_matrices, find_points
from utils.duplicates.embedding import SIZE
from utils.duplicates.excluded import Excluded, index_excluded, list_excluded
from utils.duplicates.index_file import read_index
from utils.duplicates.leaks import ExcludedWindows, orientation
from utils.formats.writers import write_nrrd
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


def test_keypoints_of_nothing():
    nothing = find_points(np.zeros((64, 64), np.uint8))
    assert len(nothing.codes) == 0
    none = DeepPoints(nothing.codes, nothing.frames, np.zeros(0, np.int64))
    assert list(none.placements(texture(3, (100, 100)))) == []


def test_large_images_are_looked_at_in_squares(monkeypatch):
    """What is found is what is found at once, each keypoint once, whatever the squares."""
    image = texture(31, (330, 290))
    whole = find_points(image)
    monkeypatch.setattr(deep, "SQUARE", 128)
    parts = find_points(image)
    places = np.unique(parts.frames, axis=0)
    assert len(places) == len(parts.frames) == len(parts.codes)
    small = whole.frames[whole.frames[:, 2] < 12]  # larger ones see more than the margin
    apart = np.hypot(*(small[:, np.newaxis, :2] - parts.frames[np.newaxis, :, :2]).transpose(2, 0, 1)).min(axis=1)
    assert (apart < 0.5).mean() > 0.97
    assert abs(len(parts.codes) - len(whole.codes)) < 0.05 * len(whole.codes)


def test_noise_has_a_bounded_number_of_keypoints(monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (200, 200), dtype=np.uint8)
    monkeypatch.setattr(deep, "DENSITY", 0.005)
    assert 0 < len(find_points(noise).codes) <= 0.005 * noise.size + 2
    monkeypatch.setattr(deep, "DENSITY", 0.0)
    assert len(find_points(noise).codes) == 1, "none would be all of them to OpenCV"


def test_codes_have_no_mean_and_one_length():
    counts = np.random.default_rng(0).integers(0, 256, (5, 2 * SIZE)).astype(np.float32)
    counts[3] = 7
    codes = deep._codes_of_descriptors(counts).astype(int)
    assert codes.shape == (5, SIZE) and not codes[3].any()
    expected = np.sqrt(counts[0].reshape(SIZE, 2).sum(axis=1))
    expected -= expected.mean()
    np.testing.assert_array_equal(codes[0], np.rint(300 * expected / np.linalg.norm(expected)))
    lone = np.zeros((1, 2 * SIZE), np.float32)
    lone[0, 0] = 1
    assert deep._codes_of_descriptors(lone)[0, 0] == 127  # of 297: clipped


def test_matrices_turn_and_scale_from_columns_towards_rows():
    asked = np.array([[0, 0, 2, 0.0], [0, 0, 4, 0.5], [5, 6, 3, 1.0]])
    found = np.array([[9, 9, 6, 0.0], [0, 0, 4, 0.5 + np.pi / 2], [7, 8, 6, 1.0 + np.pi]])
    matrices = _frame_matrices(asked, found)
    assert matrices[0].tolist() == [[3, 0], [0, 3]]
    assert matrices[1] @ [0, 1] == pytest.approx([1, 0]) and matrices[1] @ [1, 0] == pytest.approx([0, -1])
    assert matrices[2] @ [1, 2] == pytest.approx([-2, -4])


def test_frames_of_keypoints_lie_in_the_middle_of_pixels():
    """A blob at row 40, column 70."""
    y, x = np.mgrid[:128, :128] + 0.5
    blob = (255 * np.exp(-((y - 40.5) ** 2 + (x - 70.5) ** 2) / 72)).astype(np.uint8)
    row, column, size, _ = find_points(blob, 1).frames[0]
    assert (row, column) == (pytest.approx(40.5, abs=0.6), pytest.approx(70.5, abs=0.6)) and 10 < size < 40
