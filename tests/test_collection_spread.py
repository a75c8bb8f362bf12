"""Some of many patches: evenly in space, slices apart, the same whatever else is there."""

import numpy as np
import pytest

from utils.collection.spread import Gaps, key_of, spread_order


def test_keys_are_names_own():
    assert len({key_of(seed, name) for seed in (0, 1) for name in ("a", "b", "a\udc80")}) == 6
    assert (
        all(0 <= key_of(0, str(i)) < 1 << 64 for i in range(100))
        and max(key_of(0, str(i)) for i in range(100)) > 1 << 62
    )


def test_every_beginning_is_spread():
    grid = np.stack(np.meshgrid(*[np.arange(4.0)] * 3, indexing="ij"), -1).reshape(-1, 3)
    keys = np.array([key_of(1, str(i)) for i in range(64)], np.uint64)
    order = spread_order(grid, keys)
    assert sorted(order) == list(range(64))
    assert np.array_equal(spread_order(grid + np.array([7, 500, -90]), keys), order)  # wherever the space begins
    assert np.array_equal(spread_order(grid * 0.3, keys), order)  # and however large it is
    assert order[0] == np.argmin(keys)
    assert len({tuple(grid[i] // 2) for i in order[:8]}) == 8  # an eighth of the space each
    eighths = [tuple(grid[i] // 2) for i in order[8:]]
    assert {eighths.count(e) for e in set(eighths)} == {7}
    later = order[8:]
    assert (np.diff(keys[later].astype(object)) > 0).all()  # of one size the smallest key goes first


def test_no_points_have_an_order():
    assert spread_order(np.empty((0, 3)), np.empty(0, np.uint64)).tolist() == []


def test_points_of_one_place_go_by_their_keys():
    keys = np.array([5, 2, 9], np.uint64)
    assert spread_order(np.ones((3, 3)), keys).tolist() == [1, 0, 2]
    assert spread_order(np.ones((1, 3)), keys[:1]).tolist() == [0]


@pytest.mark.parametrize(
    ("depth", "box", "admitted"),
    [
        (139, (0, 10, 0, 10), False),
        (140, (0, 10, 0, 10), True),
        (60, (0, 10, 0, 10), True),
        (61, (0, 10, 0, 10), False),
        (100, (9, 20, 9, 20), False),
        (100, (10, 20, 0, 10), True),
        (100, (0, 10, 10, 20), True),
        (100, (5, 600, 5, 600), False),
        (100, (300, 600, 0, 600), True),
    ],
)
def test_slices_of_one_place_are_apart(depth, box, admitted):
    gaps = Gaps(40)
    assert gaps.admit(("v", 0), (0, 10, 0, 10), 100)
    assert gaps.admit(("v", 0), box, depth) is admitted
    assert gaps.admit(("v", 1), (0, 10, 0, 10), 100) and gaps.admit(("w", 0), (0, 10, 0, 10), 100)


@pytest.mark.parametrize(
    ("box", "admitted"),
    [
        ((0, 10, 10, 20), True),
        ((10, 20, 0, 10), True),
        ((0, 11, 0, 11), False),
        ((20, 30, 10, 20), True),
    ],
)
def test_boxes_that_touch_do_not_overlap(box, admitted):
    gaps = Gaps(40)
    assert gaps.admit(("v",), (10, 20, 10, 20), 0) and gaps.admit(("v",), box, 0) is admitted


def test_who_was_refused_does_not_count():
    gaps = Gaps(40)
    assert [gaps.admit(("v",), (0, 9, 0, 9), z) for z in (0, 30, 60, 99, 100)] == [True, False, True, False, True]
    large = Gaps(40)
    assert large.admit(("v",), (0, 700, 0, 700), 0)
    assert not large.admit(("v",), (690, 710, 690, 710), 0) and large.admit(("v",), (700, 710, 690, 710), 0)


def test_no_rule():
    gaps = Gaps(0)
    assert all(gaps.admit(("v",), (0, 9, 0, 9), 0) for _ in range(3))
