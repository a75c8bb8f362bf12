"""utils/exemplars.py: exemplars represent all, and none of them another."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from utils import exemplars as room
from utils import near_hashes
from utils.exemplars import exemplars
from utils.near_hashes import hamming

hash_arrays = st.integers(1, 3).flatmap(
    lambda words: hnp.arrays(np.uint64, st.tuples(st.integers(1, 90), st.just(words)), elements=st.integers(0, 2**20))
)


@given(hash_arrays, st.integers(0, 20), st.integers(0, 5))
def test_exemplars_are_apart_and_represent_all(hashes, distance, seed):
    kept = exemplars(hashes, distance, seed)
    apart = hamming(hashes[kept][:, np.newaxis], hashes[kept])
    np.fill_diagonal(apart, np.iinfo(apart.dtype).max)
    assert (apart > distance).all()
    assert (hamming(hashes[:, np.newaxis], hashes[kept]).min(axis=1) <= distance).all()
    assert np.array_equal(kept, exemplars(hashes, distance, seed))


@given(hash_arrays, st.integers(0, 12))
def test_exemplars_follow_the_plain_rule(hashes, distance):
    order = np.random.default_rng(3).permutation(len(hashes))
    kept: list[int] = []
    for candidate in order:
        if all(hamming(hashes[candidate], hashes[k]) > distance for k in kept):
            kept.append(candidate)
    assert sorted(kept) == exemplars(hashes, distance, 3).tolist()


def test_last_ones_represent_no_other():
    hashes = np.array([[0], [0], [1], [2**40 - 1]], np.uint64)
    last = np.array([True, True, False, False])
    for seed in range(8):
        assert exemplars(hashes, 12, seed, last=last).tolist() == [2, 3]
    assert len(exemplars(hashes[[0, 1, 3]], 12, last=last[[0, 1, 3]])) == 2


def test_no_hashes():
    assert exemplars(np.empty((0, 1), np.uint64), 12).tolist() == []


@pytest.mark.parametrize("words", [1, 2, 3, 5])
@pytest.mark.parametrize(("few", "near", "pairs"), [(8, 0, 99), (8, 999, 7), (16, 1, 33), (7, 7, 7), (500, 0, 7)])
def test_halves_change_nothing(monkeypatch, words, few, near, pairs):
    """Many candidates pass into later halves, and are compared in parts."""
    rng = np.random.default_rng(words)
    centres = rng.integers(0, 2**63, (40, words), np.uint64)
    hashes = centres[rng.integers(0, 40, 200)]
    hashes[:, -1] ^= rng.choice(np.array([0, 1, 2, 4], np.uint64), 200)
    order = np.random.default_rng(3).permutation(200)
    kept: list[int] = []
    for candidate in order:
        if all(hamming(hashes[candidate], hashes[k]) > 1 for k in kept):
            kept.append(candidate)
    monkeypatch.setattr(room, "FEW", few)
    monkeypatch.setattr(room, "NEAR", near)
    monkeypatch.setattr(near_hashes, "PAIRS", pairs)
    monkeypatch.setattr(near_hashes, "WORTH", pairs)
    assert exemplars(hashes, 1, 3).tolist() == sorted(kept) and 40 < len(kept) < 150


def by_the_plain_rule(hashes: np.ndarray, distance: int, seed: int) -> list[int]:
    """Those that no earlier one represents, one by one."""
    order = np.random.default_rng(seed).permutation(len(hashes))
    kept = np.empty_like(hashes)
    indices: list[int] = []
    for candidate in order:
        if not (hamming(kept[: len(indices)], hashes[candidate]) <= distance).any():
            kept[len(indices)] = hashes[candidate]
            indices.append(int(candidate))
    return sorted(indices)


@pytest.mark.parametrize("near", [0, 999])
@pytest.mark.parametrize("distance", [*range(21), 24, 28, 31, 32, 33, 40, 48, 63, 64])
def test_every_distance(monkeypatch, distance, near):
    """In halves or by pairs, and by shelves, as thousands are."""
    rng = np.random.default_rng(distance)
    hashes = rng.integers(0, 2**64, (300, 1), dtype=np.uint64)
    hashes[150:] = hashes[:150]
    for _ in range(distance):
        hashes[150:, 0] ^= np.uint64(1) << rng.integers(0, 64, 150, dtype=np.uint64)
    monkeypatch.setattr(room, "FEW", 8)
    monkeypatch.setattr(room, "NEAR", near)
    monkeypatch.setattr(near_hashes, "WORTH", 0)
    assert exemplars(hashes, distance, 2).tolist() == by_the_plain_rule(hashes, distance, 2)


@pytest.mark.parametrize(("clusters", "distance"), [(12_000, 3), (12_000, 12), (12_000, 18), (3_000, 12)])
def test_thousands_follow_the_plain_rule(clusters, distance):
    rng = np.random.default_rng(distance)
    hashes = rng.integers(0, 2**64, (clusters, 1), dtype=np.uint64)[rng.integers(0, clusters, 12_000)]
    for _ in range(3):
        hashes[:, 0] ^= np.uint64(1) << rng.integers(0, 64, 12_000, dtype=np.uint64)
    assert exemplars(hashes, distance, 4).tolist() == by_the_plain_rule(hashes, distance, 4)
