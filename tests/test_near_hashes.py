"""utils/near_hashes.py: tables of pieces find what comparing all pairs finds."""

import numpy as np
import pytest

from utils import near_hashes
from utils.near_hashes import hamming, near_any

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


@pytest.fixture(params=["all pairs", "tables", "tables in parts"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Compare all pairs, or by tables however few there are."""
    if request.param != "all pairs":
        monkeypatch.setattr(near_hashes, "WORTH", -1)
        monkeypatch.setattr(near_hashes._Tables, "cost", lambda self: 0)
    if request.param == "tables in parts":
        monkeypatch.setattr(near_hashes, "LOOKING", 7)
        monkeypatch.setattr(near_hashes, "PAIRS", 16)
    return request.param


def test_distances_count_bits_of_all_words():
    first, second = np.array([[0, 0], [7, 1 << 63]], np.uint64), np.array([[5, 0], [0, 0]], np.uint64)
    assert hamming(first, second).tolist() == [2, 4]
    assert hamming(first[:, np.newaxis], second).tolist() == [[2, 0], [2, 4]]


@pytest.mark.parametrize(("words", "distance"), [(1, 0), (1, 1), (1, 3), (1, 12), (2, 12), (4, 20)])
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
    others = scattered(150, 1, 3, np.array([[0], [(1 << 40) - 1]], np.uint64))
    hashes = scattered(300, 1, 12, others)
    assert near_any(hashes, others, 8).tolist() == every_pair(hashes, others, 8).tolist()
    assert 0 < near_any(hashes, others, 8).sum() < 300


def test_nothing_is_near_to_nothing(way):
    some, none = scattered(3, 1, 0), np.empty((0, 1), np.uint64)
    assert near_any(some, none, 64).tolist() == [False] * 3
    assert near_any(none, some, 64).tolist() == []


def test_where_tables_leave_most_pairs_all_are_compared(monkeypatch):
    """With half of the bits free no piece tells anything apart."""
    monkeypatch.setattr(near_hashes, "WORTH", 0)
    monkeypatch.setattr(near_hashes._Tables, "near", None)
    hashes, others = scattered(50, 1, 0), scattered(50, 1, 0)
    assert near_any(hashes, others, 28).tolist() == every_pair(hashes, others, 28).tolist()


def test_many_pay_for_tables(monkeypatch):
    """Of 20,000 and 20,000 all pairs are never compared."""
    monkeypatch.setattr(near_hashes, "_near_any_of_all", None)
    others = scattered(20_000, 1, 0)
    hashes = np.concatenate([scattered(10_000, 1, 12, others), scattered(10_000, 1, 0)])
    found = near_any(hashes, others, 12)
    assert found[:10_000].all() and found[10_000:].mean() < 0.05


@pytest.mark.parametrize(("bits", "distance", "count"), [(64, 12, 5), (128, 12, 7), (64, 0, 1), (256, 3, 4)])
def test_pieces_share_no_bit(bits, distance, count):
    pieces = near_hashes._pieces(bits, distance)
    places = [place for piece in pieces for place in piece.places]
    assert len(pieces) == count and len(set(places)) == len(places) <= bits and max(places) < bits
    for piece in pieces:
        single = np.zeros((len(piece.places), bits // 64), np.uint64)
        single[np.arange(len(single)), np.array(piece.places) // 64] = [np.uint64(1) << p % 64 for p in piece.places]
        assert piece.values(single).tolist() == [1 << bit for bit in range(len(single))]
        assert piece.differences.max() < 1 << len(single)
        assert {int(d).bit_count() for d in piece.differences} == set(range(distance // count + 1))


def test_a_cost_counts_what_is_looked_up():
    hashes, others = scattered(70, 1, 0), scattered(9000, 1, 0)
    tables = near_hashes._Tables(hashes, others, near_hashes._pieces(64, 12)[0])
    single = sum(len(rows) for rows, _ in tables._pairs_beyond())
    assert tables.depth == 2 and single > 0
    assert tables.cost() == near_hashes.IN_TABLE * 70 * 92 * 3 + near_hashes.SINGLE * single
