"""utils/duplicates/sift.py: keypoints of an image."""

import numpy as np

from utils.duplicates.sift import find_points


def test_keypoints_of_nothing():
    assert len(find_points(np.zeros((64, 64), np.uint8)).codes) == 0
