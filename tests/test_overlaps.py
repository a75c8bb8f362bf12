"""Overlaps between sources: found at any offset, turn and scale; unrelated patches are not joined."""

import cv2
import numpy as np
import pytest

from utils.training import overlaps
from utils.training.overlaps import _agree, _matches, overlapping_pairs


def blobs(seed: int, side: int = 500) -> np.ndarray:
    """Dark and bright blobs of several sizes: what local features see."""
    rng = np.random.default_rng(seed)
    image = np.full((side, side), 128, np.uint8)
    for _ in range(500):
        x, y, radius = (int(v) for v in rng.integers((0, 0, 3), (side, side, 16)))
        cv2.ellipse(
            image, (x, y), (radius, max(2, radius // 2)), rng.uniform(0, 180), 0, 360, int(rng.integers(256)), -1
        )
    return cv2.GaussianBlur(image, (0, 0), 1)


def cut(image: np.ndarray, y: int, x: int, side: int = 224) -> np.ndarray:
    return image[y : y + side, x : x + side].copy()


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(lambda image: cut(image, 67, 91), id="offset"),
        pytest.param(lambda image: np.rot90(cut(image, 20, 60)).copy(), id="turned"),
        pytest.param(
            lambda image: cv2.resize(image[:448, :448], (224, 224), interpolation=cv2.INTER_AREA), id="half size"
        ),
        pytest.param(lambda image: (cut(image, 60, 20) // 2 + 40).astype(np.uint8), id="contrast"),
    ],
)
def test_copies_are_found(other):
    image = blobs(0)
    patches = [cut(image, 30, 40), blobs(1, 224), other(image), blobs(2, 224)]
    assert overlapping_pairs(patches, np.arange(4)) == [(0, 2)]


def test_matches_that_agree_are_checked_by_pixels():
    image = blobs(0)
    first, second = cut(image, 30, 40), cut(image, 50, 70)
    places = np.array([(x, y) for y in range(40, 200, 40) for x in range(60, 200, 40)], np.float32)
    others = places - np.float32([30, 20])
    assert _agree(first, second, places, others) and _agree(first, second, places[:4], others[:4])
    assert not _agree(first, second, places[:3], others[:3])  # so few agree by chance
    assert not _agree(first, blobs(1, 224), places, others)
    assert not _agree(first, np.zeros_like(first), places, others)
    for stripes in np.indices(first.shape) % 2 * 200 - 100:  # of two pixels, along each axis: no scale keeps them
        striped = np.clip(first + stripes, 0, 255).astype(np.uint8)
        assert _agree(first, striped, places, places)
    assert not _agree(first, second, places, others + np.float32([500, 0]))  # beside each other
    for factor, found in ((2.4, True), (2.6, False), (1 / 2.4, True), (1 / 2.6, False)):
        larger = cv2.resize(first, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        assert _agree(first, larger, places, (places + 0.5) * np.float32(factor) - 0.5) is found


def test_a_descriptor_is_matched_where_no_third_patch_comes_near():
    angles = np.radians([0, 10, 70])  # the third is nearly as far from the first as from the second
    found = _matches(np.stack([np.cos(angles), np.sin(angles)], axis=1), np.arange(3), np.arange(3))
    assert list(found) == [(0, 1), (1, 0)]


def test_of_many_patches_each_has_fewer_features(monkeypatch):
    asked, described = [], overlaps._described
    monkeypatch.setattr(overlaps, "BUDGET", 200)
    monkeypatch.setattr(overlaps, "_described", lambda patches, most: asked.append(most) or described(patches, most))
    for count in (1, 10, 100):
        assert overlapping_pairs([np.zeros((5, 7), np.uint8)] * count, np.arange(count)) == []
    assert asked == [48, 20, 4]


def test_one_group_is_not_compared_and_blank_patches_say_nothing():
    image = blobs(0)
    patches = [cut(image, 0, 0), cut(image, 20, 20), np.zeros((224, 224), np.uint8), np.zeros((5, 7), np.uint8)]
    assert overlapping_pairs(patches, np.array([0, 0, 1, 2])) == []
    assert overlapping_pairs(patches[2:], np.arange(2)) == []


def test_unrelated_tissue_is_not_joined_and_neighbours_are(real_data):
    def tile(name: str, y: int, x: int) -> np.ndarray:
        image = cv2.imread(str(real_data / name), cv2.IMREAD_GRAYSCALE)
        assert image is not None
        return cut(image, y, x)

    slices = "3d/isbi2012_train_slices/0.png"
    temca = "2d/temca2_sections/1_60_140.jpg"
    patches = [tile(slices, 0, 0), tile(slices, 40, 60), tile(temca, 300, 300), tile("2d/myelin_sem/77.png", 400, 400)]
    assert overlapping_pairs(patches, np.arange(4)) == [(0, 1)]
