"""utils/correlations.py: correlations from exact sums."""

import numpy as np
import pytest

from utils.correlations import correlation, tile_correlations


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(224, 224), (221, 57), (20, 100)])
def test_only_what_is_known_counts(rng, shape):
    a = rng.integers(0, 256, shape, dtype=np.uint8)
    b = (a // 2 + rng.integers(0, 128, shape)).astype(np.uint8)
    known = rng.random(shape) < 0.7
    assert correlation(a, b, known) == pytest.approx(np.corrcoef(a[known], b[known])[0, 1], abs=1e-12)
    assert correlation(a[::3], 255 - a[::3]) == pytest.approx(-1)
    assert correlation(a, np.full_like(a, 7)) == 0 and correlation(a, b, np.zeros(shape, bool)) == 0
    assert correlation(a[:0], b[:0]) == 0
    assert correlation(np.uint8([[0, 1]]), np.uint8([[1, 0]])) == -1


def test_tiles_that_are_wholly_known(rng):
    a, b = rng.integers(0, 256, (2, 60, 90), dtype=np.uint8)
    known = np.ones(a.shape, bool)
    known[10, 10] = False
    assert tile_correlations(a, b, known) == tile_correlations(a, b)[1:]
    first = tile_correlations(a, b, tile=7)
    assert len(first) == 8 * 12
    assert first[13] == pytest.approx(np.corrcoef(a[9:16, 10:17].ravel(), b[9:16, 10:17].ravel())[0, 1])
    assert tile_correlations(a, b, np.zeros(a.shape, bool)) == []


def test_brightest_tiles_are_summed_exactly():
    a = np.full((56, 56), 255, np.uint8)
    a[::2, 1::2] = 254
    assert tile_correlations(a, a) == [1.0] * 4


def test_few_tiles_with_contrast_say_nothing(rng):
    a = np.zeros((56, 112), np.uint8)
    a[:28, :28] = rng.integers(0, 256, (28, 28))
    assert tile_correlations(a[:28, :28], a[:28, :28]) == [1.0]
    assert tile_correlations(a[:, :56], a[:, :56]) == [1.0]  # of four
    assert tile_correlations(a, a) == []  # of eight
    assert tile_correlations(a, a, np.ones(a.shape, bool)) == [1.0]
    wider = np.pad(a, ((0, 0), (0, 112)))
    assert tile_correlations(wider, wider, np.ones(wider.shape, bool)) == [1.0]  # of sixteen
    wider = np.pad(wider, ((0, 0), (0, 28)))
    assert tile_correlations(wider, wider, np.ones(wider.shape, bool)) == []  # of eighteen


def test_correlation_and_tiles(rng):
    a, b = rng.integers(0, 256, (2, 56, 84), dtype=np.uint8)
    assert correlation(a, b) == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1])
    tiles = tile_correlations(a, b)
    assert len(tiles) == 6
    assert tiles[4] == pytest.approx(np.corrcoef(a[28:, 28:56].ravel(), b[28:, 28:56].ravel())[0, 1])
    assert tile_correlations(np.zeros_like(a), np.zeros_like(b)) == []
    assert tile_correlations(a, np.zeros_like(b)) == [0.0] * 6
