"""Augmentation: its figures by seed, what it keeps, how often it leaves a patch whole."""

import numpy as np
import pytest

from drawn import assert_drawn
from utils.training import augment
from utils.training.augment import exposure, heavy, heavy_picture, mild, mostly_covered, published

PATCH = (np.add.outer(np.arange(64), 2 * np.arange(64)) % 200).astype(np.uint8)
DRAWN = {
    "published": [
        [108.13, 33.32, 131.97, 46.47],
        [92.25, 48.27, 0.0, 130.89],
        [89.24, 34.55, 153.3, 103.11],
        [57.64, 40.05, 136.17, 74.76],
        [89.57, 34.36, 28.27, 74.46],
        [43.57, 34.29, 0.0, 19.35],
    ],
    "good": [
        [115.66, 37.54, 87.0, 183.0],
        [209.25, 62.91, 122.0, 176.0],
        [134.53, 13.99, 120.0, 114.0],
        [145.52, 61.27, 143.0, 214.0],
        [72.21, 16.13, 64.0, 62.0],
        [113.59, 49.74, 182.0, 109.0],
        [140.09, 29.85, 134.0, 213.0],
        [59.16, 30.56, 44.0, 6.0],
        [150.77, 35.32, 84.0, 171.0],
        [83.67, 19.37, 60.0, 89.0],
        [56.04, 52.04, 89.0, 150.0],
        [80.82, 23.39, 115.0, 95.0],
    ],
    "bad": [
        [139.12, 47.52, 206.0, 72.0],
        [177.73, 61.71, 196.0, 59.0],
        [82.51, 17.1, 101.0, 107.0],
        [199.96, 17.01, 169.0, 192.0],
        [89.98, 34.52, 58.0, 59.0],
        [78.41, 27.65, 117.0, 72.0],
        [153.38, 9.08, 156.0, 138.0],
        [52.94, 30.83, 37.0, 1.0],
    ],
    "mild": [
        [94.44, 41.29, 174.0, 62.0],
        [94.44, 41.29, 117.0, 166.0],
        [94.44, 41.29, 65.0, 171.0],
        [94.44, 41.29, 72.0, 23.0],
        [72.09, 14.65, 63.0, 47.0],
    ],
    "covered": [
        [108.89, 33.97, 0.19, 119.2],
        [1.5, 7.39, 0.0, 0.0],
        [85.87, 24.06, 81.82, 111.0],
        [125.72, 35.24, 139.04, 136.97],
        [200.9, 86.09, 18.0, 255.0],
        [191.48, 84.29, 18.0, 255.0],
        [66.43, 36.5, 39.89, 26.45],
        [197.13, 63.43, 255.0, 255.0],
        [96.56, 17.18, 93.29, 93.29],
        [96.89, 46.18, 117.0, 166.0],
    ],
}
DRAWS = {
    "published": lambda rng: published(rng, PATCH, 48),
    "good": lambda rng: heavy(rng, PATCH, 48, informative=True),
    "bad": lambda rng: heavy(rng, PATCH, 48, informative=False),
    "mild": lambda rng: mild(rng, PATCH, 48, informative=True),
    "covered": lambda rng: mostly_covered(rng, PATCH, 48)[0],
}


@pytest.mark.parametrize("kind", DRAWN)
def test_a_seed_augments_the_same(kind):
    assert_drawn(DRAWS[kind], DRAWN[kind], 1.6)


@pytest.mark.parametrize("kind", DRAWS)
def test_images_are_of_one_size_and_of_bytes_range(kind):
    images = [DRAWS[kind](np.random.default_rng(seed)) for seed in range(20)]
    assert {(image.shape, image.dtype.name) for image in images} == {((48, 48), "float32")}
    assert all(np.isfinite(image).all() for image in images)
    assert min(image.min() for image in images) >= 0 and max(image.max() for image in images) <= 255
    assert len({image.tobytes() for image in images}) > 5


def test_all_eight_orientations():
    seen = {augment._flipped(np.random.default_rng(seed), PATCH).tobytes() for seed in range(60)}
    turned = [view[:, ::step] for base in (PATCH, PATCH.T) for view in (base, base[::-1]) for step in (1, -1)]
    wanted = {np.ascontiguousarray(view).tobytes() for view in turned}
    assert seen == wanted


def test_mild_leaves_four_of_five_whole():
    whole = 0
    for seed in range(300):
        drawn = np.sort(mild(np.random.default_rng(seed), PATCH[:48, :48], 48, informative=True), axis=None)
        whole += bool(np.array_equal(drawn, np.sort(PATCH[:48, :48], axis=None)))
    assert 0.73 < whole / 300 < 0.87


def test_good_patches_are_covered_now_and_then():
    flat = np.full((48, 48), 100, np.float32)
    changed = [heavy_picture(np.random.default_rng(s), flat).std() > 25 for s in range(200)]
    plain = [exposure(np.random.default_rng(s), flat).std() > 25 for s in range(200)]
    assert sum(changed) > sum(plain)


def test_of_mostly_covered_ones_an_eighth_to_a_half_is_left_or_too_little():
    left: dict[bool, list[float]] = {True: [], False: []}
    flat = np.full((64, 64), 201, np.uint8)
    for seed in range(200):
        drawn, informs = mostly_covered(np.random.default_rng(seed), flat, 64)
        assert drawn.shape == (64, 64) and drawn.dtype == np.float32 and drawn.min() >= 0 and drawn.max() <= 255
        left[informs].append((np.abs(drawn - 201) < 0.5).mean())
    assert np.median(left[False]) < 0.05 < 0.2 < np.median(left[True]) < 0.5
    assert 0.05 < len(left[False]) / 200 < 0.25


def test_windows_keep_the_whole_in_sight():
    ramp = np.tile(np.arange(64, dtype=np.uint8) * 2, (64, 1))
    for seed in range(30):
        window = augment._window(np.random.default_rng(seed), ramp, 32, smallest=0.55)
        assert window.shape == (32, 32) and window.dtype == np.float32
        assert 20 < window.mean() < 107 and window.max() - window.min() > 50


def test_large_patches_are_smoothed_before_they_are_made_small():
    noise = np.random.default_rng(0).integers(0, 256, (256, 256)).astype(np.uint8)
    windows = [augment._window(np.random.default_rng(seed), noise, 32, smallest=0.55) for seed in range(30)]
    assert max(window.std() for window in windows) < 15
    board = (np.indices((32, 32)).sum(0) % 2 * 255).astype(np.uint8)  # what has the size is as sharp as before
    same = [augment._window(np.random.default_rng(seed), board, 32, smallest=1.0).max() for seed in range(30)]
    assert np.median(same) > 235


def test_lines_run_along_rows_or_along_columns():
    """Rows of the board are alike, and so are columns: where lines were drawn, the means of either differ far more."""
    board = (np.indices((48, 48)).sum(0) % 2 * 255).astype(np.float32)
    drawn = [exposure(np.random.default_rng(seed), board) for seed in range(200)]
    rows, columns = (np.array([np.abs(np.diff(image.mean(axis))).mean() for image in drawn]) for axis in (1, 0))
    assert min(np.sum(rows > 5 * columns + 0.1), np.sum(columns > 5 * rows + 0.1)) > 4
