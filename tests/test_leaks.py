"""Leaks: patches that show what an excluded image or volume shows, wherever and however it lies there."""

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from tissue import cut, texture
from utils.cli import UsageError
from utils.duplicates.deep import fit_similarity
from utils.duplicates.embedding import view_of
from utils.duplicates.excluded import Excluded, excluded_path, index_excluded, list_excluded, planes, slices_of
from utils.duplicates.index_file import read_index
from utils.duplicates.keypoints import BLOCK, WINDOW, blobs, blocks_of, find_windows, view_matrix
from utils.duplicates.leaks import ExcludedWindows, is_among, orientation
from utils.duplicates.placement import Placement, place_patch, view_of_matrix
from utils.duplicates.sift import find_points
from utils.duplicates.verify import shifted_correlations
from utils.formats.nrrd import write_nrrd
from utils.jobs import SKIPPED, Job
from utils.names import parse_name
from utils.volumes import open_volume


@pytest.fixture(scope="module")
def image():
    return texture(20, (700, 600))


@pytest.fixture(scope="module")
def windows(image, tmp_path_factory):
    """Two excluded images, indexed deeply."""
    folder = tmp_path_factory.mktemp("bench")
    for name, pixels in (("a.b", image), ("other", texture(21, (300, 280)))):
        Image.fromarray(pixels).save(folder / f"{name}.png")
    sources = []
    for name, path in list_excluded([folder]):
        job = Job(path, excluded_path(folder / ".cache", path, deep=True))
        index_excluded(job, deep=True)
        assert index_excluded(job, deep=True) == SKIPPED
        sources.append(Excluded(name, read_index(job.target)))
    return ExcludedWindows(sources, deep=True)


# windows that images choose


def test_every_view_chooses_the_same_windows():
    patch = cut(texture(22), 0, 0)
    mine = find_windows(patch, BLOCK)
    assert len(mine.codes) > 20
    middle = np.array(patch.shape) / 2
    for view in range(8):
        for inverted in (False, True):
            seen = np.ascontiguousarray(view_of(patch, view))
            other = find_windows(255 - seen if inverted else seen, BLOCK)
            moved = (mine.places - middle) @ view_matrix(view).T + middle
            where = {tuple(place): i for i, place in enumerate(other.places.tolist())}
            rows = [where[tuple(place)] for place in moved.tolist()]
            assert len(where) == len(moved)
            assert np.array_equal(other.codes[rows], mine.codes)
            assert ((other.views[rows] >= 8) != (mine.views >= 8)).all() == inverted


def test_offsets_choose_the_same_windows():
    image = texture(23)
    mine, other = find_windows(cut(image, 0, 0), BLOCK), find_windows(cut(image, 14, 6), BLOCK)
    shared = {tuple(p) for p in mine.places.tolist()} & {tuple(p) for p in (other.places + np.array([14, 6])).tolist()}
    assert len(shared) > 0.5 * len(mine.places)


def test_the_strongest_windows_and_doubtful_views():
    patch = cut(texture(24), 0, 0)
    every, few, doubts = (find_windows(patch, BLOCK, **o) for o in ({}, {"most": 5}, {"doubts": True}))
    assert len(few.codes) == 5 and {tuple(p) for p in few.places} <= {tuple(p) for p in every.places}
    assert len(doubts.codes) > len(every.codes) and {tuple(p) for p in doubts.places} == {
        tuple(p) for p in every.places
    }
    known = {(*p, *c) for p, c in zip(doubts.places.tolist(), doubts.codes.tolist(), strict=True)}
    assert {(*p, *c) for p, c in zip(every.places.tolist(), every.codes.tolist(), strict=True)} <= known
    rows, _, strength = blobs(blocks_of(patch, BLOCK))
    least = sorted(np.abs(strength))[-5]
    assert len(rows) == len(every.codes) and (np.abs(strength) >= least).sum() == 5


def test_small_and_flat_images_have_no_windows():
    assert len(find_windows(np.zeros((20, 20), np.uint8), 1).codes) == 0
    assert len(find_windows(np.full((300, 300), 99, np.uint8), 2).codes) == 0
    assert (find_windows(texture(1, (90, 90)), 2).places >= WINDOW).all()


# finding


CHANGES = {
    "same": lambda p: p,
    "jpeg": lambda p: cv2.imdecode(cv2.imencode(".jpg", p, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 0),
    "contrast": lambda p: (255 * (p / 255) ** 1.5).astype(np.uint8),
    "rot90 inverted": lambda p: 255 - view_of(p, 5),
    "antitransposed": lambda p: view_of(p, 7),
    "mirrored rows": lambda p: view_of(p, 2),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_patch_is_found_at_any_offset(windows, image, change):
    found = windows.find([np.ascontiguousarray(CHANGES[change](cut(image, 203, 87)))])[0]
    assert found.source == 0 and np.allclose(found.placement.middle, (203 + 112, 87 + 112), atol=3)
    assert found.agreement.similarity > 0.8
    assert orientation(found) == (change if change not in ("jpeg", "contrast") else "same")
    place = parse_name(windows.sources[0].place(found.plane, found.placement.box((224, 224))))
    assert place.source == "a.b" and place.axis is None
    assert np.allclose(place.box, (203, 427, 87, 311), atol=3)


@pytest.mark.parametrize(("side", "scale"), [(448, 2.0), (112, 0.5)])
def test_half_and_double_size(windows, image, side, scale):
    rule = cv2.INTER_AREA if scale > 1 else cv2.INTER_CUBIC
    patch = cv2.resize(cut(image, 101, 55, side), (224, 224), interpolation=rule)
    found = windows.find([patch])[0]
    assert found.placement.scale == pytest.approx(scale) and orientation(found) == f"same, scale {scale:g}"
    assert np.allclose(found.placement.middle, (101 + side / 2, 55 + side / 2), atol=5)


@pytest.mark.parametrize("off", [(0, 0), (1, 0), (0, -1), (1, 1), (0.5, 0.5)])
def test_what_is_fine_is_not_lost_by_a_pixel(rng, off):
    grain = cv2.GaussianBlur(rng.integers(0, 256, (600, 600)).astype(np.uint8), (0, 0), 0.6)
    patch = cv2.resize(grain[101:549, 33:481], (224, 224), interpolation=cv2.INTER_AREA)
    for matrix, shown in ((2 * np.eye(2), patch), (2 * view_matrix(5), view_of(patch, view_inverse(5)))):
        placed = place_patch(np.ascontiguousarray(shown), grain, Placement(0, matrix, np.add((325, 257), off)))
        assert placed.similarity > 0.99
    same = place_patch(grain[101:325, 33:257], grain, Placement(0, np.eye(2), np.add((213, 145), off)))
    assert same.similarity > 0.99


def view_inverse(view: int) -> int:
    """The view that undoes another."""
    return next(other for other in range(8) if np.allclose(view_matrix(other) @ view_matrix(view), np.eye(2)))


def test_half_of_a_patch_is_enough(windows, image):
    over = np.hstack([texture(25)[:224, :112], image[300:524, :112]])
    found = windows.find([np.ascontiguousarray(over)])[0]
    assert found.source == 0 and np.allclose(found.placement.middle, (412, 0), atol=3)
    box = parse_name(windows.sources[0].place(found.plane, found.placement.box((224, 224)))).box
    assert box.x0 == 0 and box.x1 == pytest.approx(112, abs=3)


def test_other_tissue_is_not_found(windows):
    others = [cut(texture(seed, (224, 224)), 0, 0) for seed in range(40, 50)]
    assert windows.find([*others, np.zeros((224, 224), np.uint8)]) == [None] * 11
    assert windows.find([]) == []


def test_deep_finds_free_rotation(windows, image):
    turn = cv2.getRotationMatrix2D((300, 350), 33, 1.3)
    turned = cv2.warpAffine(image, turn, (600, 700), flags=cv2.INTER_CUBIC)
    found = windows.find([cut(turned, 238, 188), np.ascontiguousarray(cut(turned, 238, 188)[:, ::-1])])
    assert [leak and leak.source for leak in found] == [0, 0]
    assert found[0].placement.scale == pytest.approx(1 / 1.3, abs=0.02)
    assert np.allclose(found[0].placement.middle, (350, 300), atol=4)
    assert orientation(found[0]).startswith("turned by ") and "scale 0.77" in orientation(found[0])


def test_fitting_ignores_what_does_not_agree():
    rng = np.random.default_rng(0)
    asked = rng.uniform(-100, 100, (30, 2))
    matrix, shift = np.array([[0.8, 0.6], [-0.6, 0.8]]) * 1.5, np.array([40.0, 70.0])
    found = asked @ matrix.T + shift
    found[20:] += rng.uniform(50, 90, (10, 2))
    seed = np.zeros(30, bool)
    seed[:6] = True
    fitted, moved, count = fit_similarity(asked, found, seed)
    assert np.allclose(fitted, matrix) and np.allclose(moved, shift) and count == 20
    assert fit_similarity(asked[:3], found[:3], seed[:3]) is None


def test_keypoints_of_nothing():
    assert len(find_points(np.zeros((64, 64), np.uint8)).codes) == 0


# laying patches


@pytest.mark.parametrize("view", range(8))
def test_a_placement_cuts_the_view_it_says(image, view):
    matrix = view_matrix(view)
    patch = np.ascontiguousarray(view_of(cut(image, 50, 60), view))
    placement = Placement(0, np.linalg.inv(matrix), np.array([50 + 112.0, 60 + 112.0]))
    assert place_patch(patch, image, placement).similarity == pytest.approx(1)
    assert placement.box(patch.shape) == (50, 274, 60, 284)
    assert view_of_matrix(3 * matrix) == view
    assert place_patch(patch, image, Placement(0, matrix, np.array([-400.0, 0.0]))).similarity == 0


def test_no_view_is_a_slanted_matrix():
    assert view_of_matrix(np.array([[0.8, 0.6], [-0.6, 0.8]])) is None


# what is excluded


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


def test_slices_beside_the_indexed_ones_are_found(tmp_path):
    path = tmp_path / "bench" / "v.nrrd"
    path.parent.mkdir()
    rng = np.random.default_rng(3)
    noise = rng.standard_normal((40, 300, 300)).astype(np.float32)
    smooth = np.stack([cv2.GaussianBlur(z, (0, 0), 4) for z in noise])
    weights = np.exp(-0.5 * (np.subtract.outer(np.arange(40), np.arange(40)) / 5) ** 2)
    volume = np.tensordot(weights, smooth, 1)
    volume = np.clip(128 + 40 * volume / volume.std(), 0, 255).astype(np.uint8)
    write_nrrd(path, volume, (10, 10, 10))
    [(name, source)] = list_excluded([path.parent])
    index_excluded(Job(source, tmp_path / "index"))
    windows = ExcludedWindows([Excluded(name, read_index(tmp_path / "index"))])
    found = windows.find([cut(volume[z], 31, 44) for z in (8, 9, 10)])
    assert all(leak is not None for leak in found)
    place = parse_name(windows.sources[0].place(found[1].plane, found[1].placement.box((224, 224))))
    assert place.axis == 0 and abs(place.first - 9) <= 2 and np.allclose(place.box, (31, 255, 44, 268), atol=3)


@pytest.mark.parametrize("beside", [np.uint8(0), np.uint8(255), None])
def test_what_lies_beyond_an_image_has_no_say(windows, image, beside):
    """A dim half or a corner of a patch lies in an image; beside it is something else, of more contrast."""
    other = texture(26)[:224, :224] if beside is None else np.full((224, 224), beside)
    for rows, columns in ((224, 112), (158, 158)):
        patch = other.copy()
        shown = image[300 : 300 + rows, :columns] if rows == 224 else image[:rows, :columns]
        patch[224 - rows :, 224 - columns :] = 100 + shown // 12
        found = windows.find([patch])[0]
        assert found is not None and found.source == 0 and found.agreement.similarity > 0.8


def test_places_are_looked_at_once():
    tried = [(3, np.array([10.0, 20.0]))]
    assert is_among(tried, 3, np.array([14.0, 17.0]))
    assert not is_among(tried, 3, np.array([17.0, 20.0])) and not is_among(tried, 2, np.array([10.0, 20.0]))


def test_correlations_of_shifts_are_those_of_what_is_known(rng):
    image, known = rng.integers(0, 256, (20, 22), dtype=np.uint8), rng.random((16, 16)) < 0.5
    inner = image[2:18, 3:19].copy()
    inner[~known] = 7
    found = shifted_correlations(image, inner, known)
    assert found.shape == (5, 7) and np.unravel_index(found.argmax(), found.shape) == (2, 3)
    for y, x in ((0, 0), (2, 3), (4, 6)):
        seen = image[y : y + 16, x : x + 16][known]
        assert found[y, x] == pytest.approx(np.corrcoef(seen, inner[known])[0, 1])
    assert not shifted_correlations(image, np.full((16, 16), 9, np.uint8), known).any()
    assert not shifted_correlations(image, inner, np.zeros((16, 16), bool)).any()


def test_more_is_asked_of_another_scale(windows, image):
    """Enlarged pictures are smooth, and smooth ones agree by chance."""
    for scale, found in ((1.0, True), (2.0, False)):
        side = round(224 * scale)
        patch = cv2.resize(cut(image, 50, 60, side), (224, 224), interpolation=cv2.INTER_AREA).astype(float)
        noise = np.random.default_rng(5).normal(0, 1, (224, 224))
        for strength in np.arange(1, 80, 3):
            seen = np.clip(patch + strength * noise, 0, 255).astype(np.uint8)
            place = Placement(0, scale * np.eye(2), np.array([50.0, 60.0]) + side / 2)
            similarity = place_patch(seen, image, place).similarity
            if 0.52 < similarity < 0.62:
                break
        assert 0.52 < similarity < 0.62
        assert (windows._judged(seen, place) is not None) == found
