"""utils/duplicates/deep.py: free rotation, by keypoints that agree."""

import cv2
import numpy as np
import pytest

from tissue import cut, excluded_deeply, texture
from utils.duplicates.deep import fit_similarity
from utils.duplicates.leaks import orientation


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
