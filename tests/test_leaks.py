"""Leaks: patches that show what an excluded image or volume shows, wherever and however it lies there."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from tissue import cut, excluded_deeply, texture, view_inverse
from utils.duplicates.embedding import view_of
from utils.duplicates.excluded import Excluded, index_excluded, list_excluded
from utils.duplicates.index_file import read_index
from utils.duplicates.keypoints import view_matrix
from utils.duplicates.leaks import ExcludedWindows, Leak, _is_among, find_leaks, orientation
from utils.duplicates.placement import Placement, place_patch
from utils.duplicates.verify import Agreement
from utils.formats.writers import write_nrrd
from utils.jobs import Job
from utils.names import parse_name


@pytest.fixture(scope="module")
def image():
    return texture(20, (700, 600))


@pytest.fixture(scope="module")
def windows(image, tmp_path_factory):
    return excluded_deeply(tmp_path_factory.mktemp("bench"), {"a.b": image, "other": texture(21, (300, 280))})


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


@pytest.mark.parametrize(("side", "level"), [(112, 0), (224, 1), (448, 2)])
@pytest.mark.parametrize(("view", "inverted"), [(0, False), (5, False), (0, True), (6, True)])
def test_votes_say_plane_scale_polarity_and_turn(windows, image, side, level, view, inverted):
    patch = cv2.resize(cut(image, 64, 64, side), (224, 224), interpolation=cv2.INTER_AREA)
    shown = np.ascontiguousarray(view_of(255 - patch if inverted else patch, view_inverse(view)))
    votes, matrices = windows._votes([shown, texture(27)[:224, :224]])
    alike = (votes.cosines > 0.99) & (votes.patches == 0)
    assert alike.sum() > 4
    assert set(votes.kinds[alike].tolist()) == {(level * 2 + inverted) * 8 + view}
    assert np.allclose(votes.middles[alike], 64 + side / 2, atol=2)
    assert np.allclose(matrices[alike], view_matrix(view) * side / 224)


def test_every_image_has_its_planes(windows):
    assert set(windows._deep._planes.tolist()) == {0, 1}
    found = ExcludedWindows(windows.sources).find([cut(texture(21, (300, 280)), 40, 30)])[0]
    assert (found.source, found.plane) == (1, 0)


def test_a_dictionary_s_leaks_by_row(windows, image):
    patches = [texture(41)[:224, :224], cut(image, 203, 87), texture(42)[:224, :224], cut(image, 10, 10)]

    class Rows(SimpleNamespace):
        def __len__(self):
            return len(patches)

    found = find_leaks(windows, Rows(patch=lambda row: np.ascontiguousarray(patches[row])))
    assert [row for row, _ in found] == [1, 3]
    assert np.allclose(found[1][1].placement.middle, (122, 122), atol=3)


@pytest.mark.parametrize(
    ("matrix", "correlation", "said"),
    [
        (np.eye(2), 0.9, "same"),
        (1.019 * np.eye(2), 0.9, "same"),
        (1.021 * np.eye(2), -0.9, "same inverted, scale 1"),
        (2 * view_matrix(6), 0.9, "rot90, scale 2"),
        (np.array([[0.8, 0.6], [-0.6, 0.8]]), 0.9, "turned by -37 degrees"),
        (0.5 * np.array([[0.8, -0.6], [0.6, 0.8]]), -0.9, "turned by 37 degrees inverted, scale 0.5"),
    ],
)
def test_how_a_patch_lies_in_words(matrix, correlation, said):
    leak = Leak(0, 0, Placement(0, matrix, np.zeros(2)), Agreement(0.9, correlation))
    assert orientation(leak) == said


def test_half_of_a_patch_is_enough(windows, image):
    over = np.hstack([texture(25)[:224, :112], image[300:524, :112]])
    found = windows.find([np.ascontiguousarray(over)])[0]
    assert found.source == 0 and np.allclose(found.placement.middle, (412, 0), atol=3)
    box = parse_name(windows.sources[0].place(found.plane, found.placement.box((224, 224)))).box
    assert box.x0 == 0 and box.x1 == pytest.approx(112, abs=3)


def test_other_tissue_is_not_found(windows):
    others = [cut(texture(seed, (224, 224)), 0, 0) for seed in range(40, 50)]
    assert windows.find([*others, np.zeros((224, 224), np.uint8)]) == [None] * 11


def test_slices_beside_the_indexed_ones_are_found(tmp_path):
    path = tmp_path / "bench" / "v.nrrd"
    path.parent.mkdir()
    rng = np.random.default_rng(3)
    noise = rng.standard_normal((20, 300, 300)).astype(np.float32)
    smooth = np.stack([cv2.GaussianBlur(z, (0, 0), 4) for z in noise])
    weights = np.exp(-0.5 * (np.subtract.outer(np.arange(20), np.arange(20)) / 5) ** 2)
    volume = np.tensordot(weights, smooth, 1)
    volume = np.clip(128 + 40 * volume / volume.std(), 0, 255).astype(np.uint8)
    write_nrrd(path, volume, (10, 10, 10))
    [(name, source)] = list_excluded([path.parent])
    index_excluded(Job(source, tmp_path / "index"))
    windows = ExcludedWindows([Excluded(name, read_index(tmp_path / "index"))])
    found = windows.find([*(cut(volume[z], 31, 44) for z in (8, 9, 10)), cut(texture(41), 0, 0)])
    assert [leak is not None for leak in found] == [True, True, True, False]
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
    assert _is_among(tried, 3, np.array([14.0, 17.0]))
    assert not _is_among(tried, 3, np.array([17.0, 20.0])) and not _is_among(tried, 2, np.array([10.0, 20.0]))


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
