"""utils/near_hashes.py: shelves of pieces find what comparing all pairs finds."""

import numpy as np
import pytest

from utils import near_hashes
from utils.hash_pieces import FOUND, LOOK, pieces_of
from utils.near_hashes import hamming, near_any, near_pairs

RNG = np.random.default_rng(3)


def scattered(count: int, words: int, bits: int, around: np.ndarray | None = None) -> np.ndarray:
    """Hashes that differ in `bits` places from some of `around`, or random ones."""
    if around is None:
        return RNG.integers(0, 2**64, (count, words), dtype=np.uint64)
    hashes = around[RNG.integers(0, len(around), count)].copy()
    for _ in range(bits):
        places = RNG.integers(0, 64 * words, count)
        hashes[np.arange(count), places // 64] ^= np.uint64(1) << (places % 64).astype(np.uint64)
    return hashes


def every_pair(hashes: np.ndarray, others: np.ndarray, distance: int) -> np.ndarray:
    """The plain way."""
    near: np.ndarray = np.any(hamming(hashes[:, np.newaxis], others) <= distance, axis=1)
    return near


@pytest.fixture(params=["all pairs", "shelves", "shelves in parts", "one on a shelf"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Compare all pairs, or by shelves however few there are."""
    if request.param == "all pairs":
        return request.param
    depth = near_hashes._depth
    monkeypatch.setattr(near_hashes, "WORTH", -1)
    chosen = (
        (lambda *counts: (1, 0.0)) if request.param == "one on a shelf" else lambda *counts: (depth(*counts)[0], 0.0)
    )
    monkeypatch.setattr(near_hashes, "_depth", chosen)
    if request.param != "shelves":
        monkeypatch.setattr(near_hashes, "PAIRS", 16)
        monkeypatch.setattr(near_hashes, "ASKING", 7)
        monkeypatch.setattr(near_hashes, "LOOKS", 20)
        monkeypatch.setattr(near_hashes, "ROUNDS", 999)
    return request.param


def test_distances_count_bits_of_all_words():
    first, second = np.array([[0, 0], [7, 1 << 63]], np.uint64), np.array([[5, 0], [0, 0]], np.uint64)
    assert hamming(first, second).tolist() == [2, 4]
    assert hamming(first[:, np.newaxis], second).tolist() == [[2, 0], [2, 4]]


@pytest.mark.parametrize(("words", "distance"), [(1, 0), (1, 1), (1, 3), (1, 12), (1, 16), (2, 12), (4, 20)])
def test_what_lies_near_is_found(way, words, distance):
    others = scattered(90, words, 0)
    parts = [scattered(60, words, distance + more, others) for more in range(3)]
    hashes = np.concatenate([*parts, scattered(60, words, 0)])
    found = near_any(hashes, others, distance)
    assert found.dtype == bool and found.tolist() == every_pair(hashes, others, distance).tolist()
    assert found[:60].all() and not found.all()


@pytest.mark.parametrize("words", [1, 3, 4, 5])
def test_the_largest_distance_is_no_small_one(words):
    nothing, everything = np.zeros((2, words), np.uint64), np.full((1, words), 2**64 - 1, np.uint64)
    assert near_any(nothing, everything, 64 * words).tolist() == [True] * 2
    assert near_any(nothing, everything, 64 * words - 1).tolist() == [False] * 2


def test_values_that_all_have_are_compared(way):
    """Hashes of few values crowd in a few places of the tables."""
    others = scattered(50, 1, 3, np.array([[0], [(1 << 40) - 1]], np.uint64))
    hashes = scattered(100, 1, 12, others)
    assert near_any(hashes, others, 8).tolist() == every_pair(hashes, others, 8).tolist()
    assert 0 < near_any(hashes, others, 8).sum() < 100


def test_nothing_is_near_to_nothing(way):
    some, none = scattered(3, 1, 0), np.empty((0, 1), np.uint64)
    assert near_any(some, none, 64).tolist() == [False] * 3
    assert near_any(none, some, 64).tolist() == []


@pytest.mark.parametrize("distance", [*range(21), 24, 28, 31, 32, 33, 40, 48, 63, 64])
def test_every_distance(way, distance):
    others = scattered(40, 1, 0)
    hashes = np.concatenate([scattered(40, 1, distance, others), scattered(20, 1, 0)])
    assert near_any(hashes, others, distance).tolist() == every_pair(hashes, others, distance).tolist()


@pytest.mark.parametrize(("words", "distance"), [(1, 0), (1, 1), (1, 12), (1, 28), (1, 64), (2, 12), (4, 20)])
def test_pairs_are_found(way, words, distance):
    some = scattered(70, words, 0)
    hashes = np.concatenate([some, scattered(70, words, distance, some), some[:9]])
    apart = hamming(hashes[:, np.newaxis], hashes)
    pairs = near_pairs(hashes, distance, 10**6)
    assert pairs is not None
    assert np.array_equal(np.unique(pairs, axis=0), np.argwhere(np.triu(apart <= distance, 1)))
    assert pairs[:, 0].tolist() == sorted(pairs[:, 0])


def test_too_many_pairs_are_none(way):
    hashes = scattered(90, 1, 2, scattered(30, 1, 0))
    pairs = near_pairs(hashes, 4, 10**6)
    assert pairs is not None and len(pairs) > 60
    assert near_pairs(hashes, 4, 60) is None


def test_pairs_of_crowds_are_given_up():
    """Thousands of one value in every piece: to look is to compare all."""
    hashes = np.tile(scattered(1, 1, 0), (9000, 1)) ^ RNG.integers(0, 4, (9000, 1), dtype=np.uint64)
    assert near_pairs(hashes, 2, 10**9) is None


def test_few_others_look_among_many(way):
    """Whichever of the two looks, the hashes are marked."""
    others = scattered(9, 1, 0)
    hashes = np.concatenate([scattered(400, 1, 12, others), scattered(400, 1, 0)])
    assert near_any(hashes, others, 12).tolist() == every_pair(hashes, others, 12).tolist()
    assert near_any(others, hashes, 12).tolist() == every_pair(others, hashes, 12).tolist()


def test_where_shelves_leave_most_pairs_all_are_compared(monkeypatch):
    """With half of the bits free no piece tells anything apart."""
    monkeypatch.setattr(near_hashes, "WORTH", 0)
    monkeypatch.setattr(near_hashes, "PAIRS", 64)
    monkeypatch.setattr(near_hashes, "_Shelves", None)
    hashes, others = scattered(50, 1, 0), scattered(50, 1, 0)
    assert near_any(hashes, others, 28).tolist() == every_pair(hashes, others, 28).tolist()


def test_where_a_later_piece_costs_too_much_the_rest_is_compared(monkeypatch):
    others = scattered(90, 1, 0)
    hashes = np.concatenate([scattered(60, 1, 12, others), scattered(60, 1, 0)])
    look, looked = near_hashes._look, []

    def first_alone(*args):
        looked.append(args)
        return len(looked) == 1 and look(*args[:-1], np.inf)

    monkeypatch.setattr(near_hashes, "WORTH", 0)
    monkeypatch.setattr(near_hashes, "_look", first_alone)
    monkeypatch.setattr(near_hashes, "pieces_of", lambda *_: pieces_of(64, 12, 16))
    assert near_any(hashes, others, 12).tolist() == every_pair(hashes, others, 12).tolist()
    assert len(looked) == 2


def test_many_pay_for_shelves(monkeypatch):
    """Of 20,000 and 20,000 all pairs are never compared."""
    compared, compare_all = [], near_hashes._compare_all

    def counted(some, others, *rest):
        compared.append(len(some.rows) * len(others.rows))
        compare_all(some, others, *rest)

    monkeypatch.setattr(near_hashes, "_compare_all", counted)
    others = scattered(20_000, 1, 0)
    hashes = np.concatenate([scattered(10_000, 1, 12, others), scattered(10_000, 1, 0)])
    found = near_any(hashes, others, 12)
    assert found[:10_000].all() and found[10_000:].mean() < 0.05
    assert max(compared, default=0) <= near_hashes.PAIRS


def test_a_depth_costs_least():
    """A look finds what stands side by side; what is beyond looks itself, where there are as many as ask here."""
    askers, counts = np.array([1, 0, 90, 0]), np.array([3, 0, 50, 10])

    def cost(depth: int) -> float:
        looks = 91 * (LOOK + FOUND * depth)
        beyond = np.maximum(counts - depth, 0) @ (LOOK + FOUND * np.array([4, 4, 90, 4]))
        return 7 * (looks + beyond) + (depth + 50 / depth) * (4 + 63)

    depth, least = near_hashes._depth(askers, counts, 7)
    assert least == pytest.approx(cost(depth))
    assert depth == min([1, 2, 4, 8, 16, 32, 64], key=cost) and 2 < depth < 64


def test_crowded_values_are_given_up():
    """Thousands of one value in every piece: to look is to compare all."""
    others = np.tile(scattered(1, 1, 0), (9000, 1)) ^ RNG.integers(0, 4, (9000, 1), dtype=np.uint64)
    hashes = np.concatenate([others[:5000], ~others[:5000]])
    assert near_any(hashes, others, 2).tolist() == [True] * 5000 + [False] * 5000
