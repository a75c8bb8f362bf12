"""utils/duplicates/sift.py: keypoints of an image."""

import numpy as np
import pytest

from tissue import texture
from utils.duplicates import sift
from utils.duplicates.embedding import SIZE
from utils.duplicates.sift import find_points, frame_matrices


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


def test_codes_have_no_mean_and_one_length():
    counts = np.random.default_rng(0).integers(0, 256, (5, 2 * SIZE)).astype(np.float32)
    counts[3] = 7
    codes = sift._codes_of_descriptors(counts).astype(int)
    assert codes.shape == (5, SIZE) and not codes[3].any()
    expected = np.sqrt(counts[0].reshape(SIZE, 2).sum(axis=1))
    expected -= expected.mean()
    np.testing.assert_array_equal(codes[0], np.rint(300 * expected / np.linalg.norm(expected)))
    lone = np.zeros((1, 2 * SIZE), np.float32)
    lone[0, 0] = 1
    assert sift._codes_of_descriptors(lone)[0, 0] == 127  # of 297: clipped


def test_matrices_turn_and_scale_from_columns_towards_rows():
    asked = np.array([[0, 0, 2, 0.0], [0, 0, 4, 0.5], [5, 6, 3, 1.0]])
    found = np.array([[9, 9, 6, 0.0], [0, 0, 4, 0.5 + np.pi / 2], [7, 8, 6, 1.0 + np.pi]])
    matrices = frame_matrices(asked, found)
    assert matrices[0].tolist() == [[3, 0], [0, 3]]
    assert matrices[1] @ [0, 1] == pytest.approx([1, 0]) and matrices[1] @ [1, 0] == pytest.approx([0, -1])
    assert matrices[2] @ [1, 2] == pytest.approx([-2, -4])


def test_frames_of_keypoints_lie_in_the_middle_of_pixels():
    """A blob at row 40, column 70."""
    y, x = np.mgrid[:128, :128] + 0.5
    blob = (255 * np.exp(-((y - 40.5) ** 2 + (x - 70.5) ** 2) / 72)).astype(np.uint8)
    row, column, size, _ = find_points(blob, 1).frames[0]
    assert (row, column) == (pytest.approx(40.5, abs=0.6), pytest.approx(70.5, abs=0.6)) and 10 < size < 40
