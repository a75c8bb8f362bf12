"""utils/duplicates/keypoints.py: the same windows whatever the view and the offset."""

import numpy as np
import pytest

from tissue import cut, texture
from utils.duplicates.embedding import view_of
from utils.duplicates.keypoints import BLOCK, WINDOW, _blobs, _blocks_of, find_windows, view_matrix


@pytest.fixture(scope="module")
def image():
    return texture(20, (700, 600))


def test_every_view_chooses_the_same_windows():
    patch = cut(texture(22), 0, 0)
    mine = find_windows(patch, BLOCK)
    assert len(mine.codes) > 20
    right, below = mine.codes[:, 1], mine.codes[:, 8]
    assert (right >= 0).all() and (below >= right).all() and set(mine.views) <= set(range(16))
    middle = np.array(patch.shape) / 2
    for view in range(8):
        for inverted in (False, True):
            seen = np.ascontiguousarray(view_of(patch, view))
            other = find_windows(255 - seen if inverted else seen, BLOCK)
            moved = (mine.places - middle) @ view_matrix(view).T + middle
            where = {tuple(place): i for i, place in enumerate(other.places.tolist())}
            rows = [where[tuple(place)] for place in moved.tolist()]
            assert len(where) == len(moved)
            assert np.array_equal(other.codes[rows], mine.codes)
            assert ((other.views[rows] >= 8) != (mine.views >= 8)).all() == inverted


def test_offsets_choose_the_same_windows():
    image = texture(23)
    mine, other = find_windows(cut(image, 0, 0), BLOCK), find_windows(cut(image, 14, 6), BLOCK)
    shared = {tuple(p) for p in mine.places.tolist()} & {tuple(p) for p in (other.places + np.array([14, 6])).tolist()}
    assert len(shared) > 0.5 * len(mine.places)


def test_the_strongest_windows_and_doubtful_views():
    patch = cut(texture(24), 0, 0)
    every, few, doubts = (find_windows(patch, BLOCK, **o) for o in ({}, {"most": 5}, {"doubts": True}))
    assert len(few.codes) == 5 and {tuple(p) for p in few.places} <= {tuple(p) for p in every.places}
    assert len(doubts.codes) > len(every.codes) and {tuple(p) for p in doubts.places} == {
        tuple(p) for p in every.places
    }
    known = {(*p, *c) for p, c in zip(doubts.places.tolist(), doubts.codes.tolist(), strict=True)}
    assert {(*p, *c) for p, c in zip(every.places.tolist(), every.codes.tolist(), strict=True)} <= known
    rows, _, strength = _blobs(_blocks_of(patch, BLOCK))
    least = sorted(np.abs(strength))[-5]
    assert len(rows) == len(every.codes) and (np.abs(strength) >= least).sum() == 5


def grainy(side: int) -> np.ndarray:
    """Sums of whole numbers: the same image on every machine."""
    sums = np.random.default_rng(5).integers(0, 256, (side + 12, side + 12))
    for axis in (0, 1):
        sums = np.sum([np.take(sums, range(i, i + side), axis) for i in range(12)], axis=0)
    return ((sums - sums.min()) * 255 // np.ptp(sums)).astype(np.uint8)


def test_the_same_windows_everywhere():
    found = find_windows(grainy(224), 2)
    assert found.places[:4].tolist() == [[42, 68], [42, 84], [44, 174], [46, 52]]
    assert len(found.codes) == 57 and found.places.sum(0).tolist() == [6280, 6446]
    assert found.views[:12].tolist() == [1, 11, 12, 1, 7, 15, 0, 12, 13, 13, 5, 6]
    assert len(find_windows(grainy(224), 2, doubts=True).codes) == 95
    _, _, strength = _blobs(_blocks_of(grainy(224), 2))
    assert strength.sum() == 5285707209669 and (strength > 0).sum() == 29


def test_blocks_are_summed_and_what_is_left_over_is_left_out():
    image = np.arange(5 * 7, dtype=np.uint8).reshape(5, 7)
    assert _blocks_of(image, 3).tolist() == [[72, 99]]
    assert _blocks_of(image, 2).tolist() == [[16, 24, 32], [72, 80, 88]]


def test_small_and_flat_images_have_no_windows():
    assert len(find_windows(np.zeros((20, 20), np.uint8), 1).codes) == 0
    assert len(find_windows(np.full((300, 300), 99, np.uint8), 2).codes) == 0
    assert (find_windows(texture(1, (90, 90)), 2).places >= WINDOW).all()
