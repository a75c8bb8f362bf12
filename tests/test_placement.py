"""utils/duplicates/placement.py: where a patch lies in an image."""

import cv2
import numpy as np
import pytest

from tissue import cut, texture, view_inverse
from utils.duplicates.embedding import view_of
from utils.duplicates.keypoints import view_matrix
from utils.duplicates.placement import Placement, Votes, place_patch, view_of_matrix


@pytest.fixture(scope="module")
def image():
    return texture(20, (700, 600))


@pytest.mark.parametrize("view", range(8))
def test_a_placement_cuts_the_view_it_says(image, view):
    matrix = view_matrix(view)
    patch = np.ascontiguousarray(view_of(cut(image, 50, 60), view))
    placement = Placement(0, np.linalg.inv(matrix), np.array([50 + 112.0, 60 + 112.0]))
    assert place_patch(patch, image, placement).similarity == pytest.approx(1)
    assert placement.box(patch.shape) == (50, 274, 60, 284)
    assert view_of_matrix(3 * matrix) == view
    assert place_patch(patch, image, Placement(0, matrix, np.array([-400.0, 0.0]))).similarity == 0


@pytest.mark.parametrize("scale", [0.5, 1.25, 2, 3])
def test_a_placement_at_another_scale(image, scale):
    size = (int(600 * scale), int(700 * scale))
    larger = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    placement = Placement(0, scale * np.eye(2), scale * np.array([162.0, 172.0]))
    assert placement.scale == pytest.approx(scale)
    # Twice as large is exactly what is reduced.
    assert place_patch(cut(image, 50, 60), larger, placement).similarity > (0.9996 if scale == 2 else 0.9)
    assert placement.box((224, 224)) == tuple(round(scale * side) for side in (50, 274, 60, 284))


@pytest.mark.parametrize(("inside", "found"), [(30, False), (42, False), (48, True), (120, True)])
def test_a_fifth_of_a_patch_must_lie_in_the_image(image, inside, found):
    placement = Placement(0, np.eye(2), np.array([inside - 112.0, 172.0]))
    patch = np.vstack([texture(9)[: 224 - inside, :224], image[:inside, 60:284]])
    assert (place_patch(patch, image, placement).similarity > 0.9) is found


def votes(*rows):
    """Votes of (patch, window, kind, row, column, cosine)."""
    table = np.array(rows, float)
    patches, windows, kinds = table[:, :3].T.astype(np.int64)
    return Votes(patches, windows, kinds, table[:, 3:5], table[:, 5])


def found_in(some, few, certain):
    return [(patch, sorted(group.tolist())) for patch, group in some.places(few, certain)]


def test_votes_that_agree_make_a_place_those_with_most_windows_first():
    some = votes(
        (0, 1, 0, 300, 300, 0.95), (3, 7, 0, 100, 100, 0.5), (0, 2, 0, 100, 100, 0.5), (0, 5, 0, 105, 98, 0.6),
        (0, 6, 0, 500, 500, 0.5), (3, 9, 0, 101, 99, 0.5), (0, 7, 1, 100, 100, 0.5), (0, 8, 0, 98, 100, 0.7),
    )  # fmt: skip
    assert found_in(some, 2, 0.9) == [(0, [2, 3, 7])] * 2 + [(0, [0])] * 2 + [(3, [1, 5])] * 2
    assert found_in(some, 3, 2.0) == [(0, [2, 3, 7])] * 2


def test_a_window_votes_once_and_neighbours_across_an_edge_agree_in_one_grid_of_two():
    twice = votes((0, 4, 0, 100, 100, 0.5), (0, 4, 0, 101, 100, 0.5))
    assert found_in(twice, 2, 0.9) == []
    across = votes((0, 1, 0, 95.9, 100, 0.5), (0, 2, 0, 96.1, 100, 0.5))
    assert found_in(across, 2, 0.9) == [(0, [0, 1])]
    assert list(Votes(*(np.zeros(0, np.int64) for _ in range(3)), np.zeros((0, 2)), np.zeros(0)).places(1, 0.5)) == []


def test_no_view_is_a_slanted_matrix():
    assert view_of_matrix(np.array([[0.8, 0.6], [-0.6, 0.8]])) is None


@pytest.mark.parametrize("off", [(0, 0), (1, 0), (0, -1), (1, 1), (0.5, 0.5)])
def test_what_is_fine_is_not_lost_by_a_pixel(rng, off):
    grain = cv2.GaussianBlur(rng.integers(0, 256, (600, 600)).astype(np.uint8), (0, 0), 0.6)
    patch = cv2.resize(grain[101:549, 33:481], (224, 224), interpolation=cv2.INTER_AREA)
    for matrix, shown in ((2 * np.eye(2), patch), (2 * view_matrix(5), view_of(patch, view_inverse(5)))):
        placed = place_patch(np.ascontiguousarray(shown), grain, Placement(0, matrix, np.add((325, 257), off)))
        assert placed.similarity > 0.99
    same = place_patch(grain[101:325, 33:257], grain, Placement(0, np.eye(2), np.add((213, 145), off)))
    assert same.similarity > 0.99
