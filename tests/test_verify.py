"""utils/duplicates/verify.py: pixels decide."""

import numpy as np
import pytest

from tissue import cut, texture
from utils.duplicates.verify import Agreement, compare, correlation, tile_correlations


def test_copies_agree_and_others_do_not():
    image = texture(2)
    patch = cut(image, 100, 100)
    copy = compare(patch, patch)
    assert copy == Agreement(1.0, 1.0, (0, 0)) and copy.holds()
    shifted = compare(patch, cut(image, 107, 91))
    assert shifted.shift == (7, -9) and shifted.similarity > 0.99 and shifted.holds(0.9)
    inverted = compare(patch, 255 - patch)
    assert inverted.similarity == pytest.approx(1) and inverted.correlation == pytest.approx(-1) and inverted.holds()
    other = compare(patch, cut(texture(3), 100, 100))
    assert other.similarity < 0.3 and not other.holds()
    assert not compare(patch, np.full_like(patch, 9)).holds()


def test_an_edge_in_common_is_no_tissue_in_common():
    rng = np.random.default_rng(0)
    steps = [np.where(np.arange(224) < 112, 40, 220) + rng.normal(0, 9, (224, 224)) for _ in range(2)]
    first, second = (np.clip(step, 0, 255).astype(np.uint8) for step in steps)
    found = compare(first, second)
    assert abs(correlation(first, second)) > 0.95 and not found.holds()


def test_what_is_not_known_does_not_count():
    patch = cut(texture(4), 0, 0)
    half = patch.copy()
    half[:, :112] = 0
    valid = np.zeros(patch.shape, bool)
    valid[:, 112:] = True
    found = compare(patch, half, valid)
    assert found.similarity == pytest.approx(1) and found.holds()
    assert not compare(patch, half).holds(0.9)


def test_correlation_and_tiles():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 256, (2, 56, 84), dtype=np.uint8)
    assert correlation(a, b) == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1])
    tiles = tile_correlations(a, b)
    assert len(tiles) == 6
    assert tiles[4] == pytest.approx(np.corrcoef(a[28:, 28:56].ravel(), b[28:, 28:56].ravel())[0, 1])
    assert tile_correlations(np.zeros_like(a), np.zeros_like(b)) == []
    assert tile_correlations(a, np.zeros_like(b)) == [0.0] * 6
