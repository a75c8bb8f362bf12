"""utils/duplicates/verify.py: pixels decide."""

import numpy as np
import pytest

from tissue import cut, texture
from utils.correlations import correlation
from utils.duplicates.embedding import view_of
from utils.duplicates.verify import Agreement, _overlapping, compare, sizes_of


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
    assert compare(patch, np.full_like(patch, 9)) == Agreement(0.0, 0.0, (0, 0))


def test_both_correlations_must_reach_their_limits():
    assert Agreement(0.4, -0.5).holds(0.4) and not Agreement(0.4, 0.49).holds(0.4)
    assert not Agreement(np.nextafter(0.4, 0), 1.0).holds(0.4)


def test_sizes_of_a_single_row():
    assert [each.shape for each in sizes_of(np.zeros((1, 9), np.uint8))] == [(1, 9), (1, 4), (1, 2)]


def test_an_edge_in_common_is_no_tissue_in_common():
    rng = np.random.default_rng(0)
    steps = [np.where(np.arange(224) < 112, 40, 220) + rng.normal(0, 9, (224, 224)) for _ in range(2)]
    first, second = (np.clip(step, 0, 255).astype(np.uint8) for step in steps)
    found = compare(first, second)
    assert abs(correlation(first, second)) > 0.95 and not found.holds()


@pytest.mark.parametrize("shift", [(0, 0), (3, -2), (-1, 4)])
def test_what_lies_over_each_other(shift):
    ys, xs = np.indices((20, 30))
    first, second = np.stack([ys, xs], -1), np.stack([ys + shift[0], xs + shift[1]], -1)
    a, b, known = _overlapping(
        first[..., 0] * 100 + first[..., 1], second[..., 0] * 100 + second[..., 1], ys > 5, shift
    )
    assert np.array_equal(a, b) and a.shape == (20 - abs(shift[0]), 30 - abs(shift[1]))
    assert np.array_equal(known, a // 100 - shift[0] > 5)
    assert _overlapping(ys, xs, None, shift)[2] is None


def test_what_is_not_known_does_not_count():
    patch = cut(texture(4), 0, 0)
    half = patch.copy()
    half[:, :112] = 0
    valid = np.zeros(patch.shape, bool)
    valid[:, 112:] = True
    found = compare(patch, half, valid)
    assert found.similarity == pytest.approx(1) and found.holds()
    assert not compare(patch, half).holds(0.9)


def test_sizes_of_views_are_views_of_sizes():
    patch = cut(texture(6), 0, 0)
    for view in range(8):
        seen = sizes_of(np.ascontiguousarray(view_of(patch, view)))
        assert all(np.array_equal(view_of(a, view), b) for a, b in zip(sizes_of(patch), seen, strict=True))
    mask = np.ones((224, 224), bool)
    mask[5, 9] = False
    assert [int((~each).sum()) for each in sizes_of(mask)] == [1, 1, 1] and sizes_of(mask)[2].shape == (56, 56)


def test_small_patches_are_laid_within_a_smaller_reach():
    patch = cut(texture(7), 100, 100)
    for side, found in ((31, False), (32, True)):
        assert compare(patch[:side, :side], patch[:side, :side]).holds() == found
    for shift, found in ((10, 10), (14, 11)):  # no further than 11
        assert compare(patch[:48, :48], patch[shift : 48 + shift, :48]).shift == (found, 0)


@pytest.mark.parametrize("shift", [(1, 1), (2, 2), (6, -6), (10, 2)])
def test_shifts_between_pixels_of_a_quarter_are_found(shift):
    image = texture(7)
    first, second = cut(image, 100, 100), cut(image, 100 + shift[0], 100 + shift[1])
    found = compare(first, 255 - second)
    assert found.shift == shift and found.similarity > 0.98 and found.correlation < -0.98
