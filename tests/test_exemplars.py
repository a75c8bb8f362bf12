"""utils/exemplars.py: exemplars represent all, and none of them another."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from utils.exemplars import exemplars, hamming

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
