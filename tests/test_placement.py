"""utils/duplicates/placement.py: where a patch lies in an image."""

import numpy as np
import pytest

from tissue import cut, texture
from utils.duplicates.embedding import view_of
from utils.duplicates.keypoints import view_matrix
from utils.duplicates.placement import Placement, place_patch, view_of_matrix


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


def test_no_view_is_a_slanted_matrix():
    assert view_of_matrix(np.array([[0.8, 0.6], [-0.6, 0.8]])) is None
