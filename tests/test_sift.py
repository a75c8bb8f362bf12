"""utils/duplicates/sift.py: keypoints of an image."""

import numpy as np

from tissue import texture
from utils.duplicates import sift
from utils.duplicates.sift import find_points


def test_keypoints_of_nothing():
    assert len(find_points(np.zeros((64, 64), np.uint8)).codes) == 0


def test_large_images_are_looked_at_in_squares(monkeypatch):
    """What is found is what is found at once, each keypoint once, whatever the squares."""
    image = texture(31, (330, 290))
    whole = find_points(image)
    monkeypatch.setattr(sift, "SQUARE", 128)
    parts = find_points(image)
    places = np.unique(parts.frames, axis=0)
    assert len(places) == len(parts.frames) == len(parts.codes)
    small = whole.frames[whole.frames[:, 2] < 12]  # larger ones see more than the margin
    apart = np.hypot(*(small[:, np.newaxis, :2] - parts.frames[np.newaxis, :, :2]).transpose(2, 0, 1)).min(axis=1)
    assert (apart < 0.5).mean() > 0.97
    assert abs(len(parts.codes) - len(whole.codes)) < 0.05 * len(whole.codes)


def test_noise_has_a_bounded_number_of_keypoints(monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (200, 200), dtype=np.uint8)
    monkeypatch.setattr(sift, "DENSITY", 0.005)
    assert 0 < len(find_points(noise).codes) <= 0.005 * noise.size + 2
