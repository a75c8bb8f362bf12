"""Exemplars: the few hashes that stand for all their near-duplicates, chosen greedily in a seeded random order."""

import numpy as np

from utils.near_hashes import hamming, near_any

# So many candidates are compared all with each other. So many are few; and if a block represents less than this share
# of all, hardly any two are alike.
BLOCK = 128
FEW = 1 << 13
SHARE = 0.02


def exemplars(hashes: np.ndarray, distance: int, seed: int = 0, *, last: np.ndarray | None = None) -> np.ndarray:
    """Choose exemplars: no two within `distance` bits of each other, every other hash within `distance` of one.

    Candidates are taken in a random order; each that no exemplar represents yet becomes one (the greedy rule of
    CEM500K, https://doi.org/10.7554/eLife.65894). Equal hashes cost nothing: only the first of them is compared.

    Parameters
    ----------
    hashes : ndarray of uint64, shape (n, words)
    distance : int
        Largest Hamming distance at which two patches count as near-duplicates.
    seed : int
        Of the random order.
    last : ndarray of bool, shape (n,), optional
        Candidates to consider after all others, so that they represent none of them: flat patches, whose hashes mean
        nothing.

    Returns
    -------
    ndarray of intp, shape (k,)
        Indices of the exemplars, ascending.
    """
    order = np.random.default_rng(seed).permutation(len(hashes))
    if last is not None:
        order = np.concatenate([order[~last[order]], order[last[order]]])
    order = order[_first_of_equals(hashes[order])]
    return np.sort(order[_greedy(np.ascontiguousarray(hashes[order]), distance)])


def _greedy(hashes: np.ndarray, distance: int, *, halves: bool = False) -> np.ndarray:
    """Indices of hashes that become exemplars when they come one by one.

    The first are done with before the others, which then are fewer: a block, or half of many of which hardly any two
    are alike. What thousands of exemplars represent is found faster than what each does.
    """
    if len(hashes) <= BLOCK:
        return _pick(hashes, distance)
    first = len(hashes) // 2 if halves else BLOCK
    chosen = _greedy(hashes[:first], distance)
    left = first + np.flatnonzero(~near_any(hashes[first:], hashes[chosen], distance))
    scattered = len(left) > max(FEW, (1 - SHARE) * (len(hashes) - first))
    return np.concatenate([chosen, left[_greedy(hashes[left], distance, halves=scattered)]])


def _first_of_equals(hashes: np.ndarray) -> np.ndarray:
    """Indices, in order, of the first of each set of equal rows."""
    by_value = np.lexsort(hashes.T)  # stable: equal rows stay in order
    ordered = hashes[by_value]
    first = np.ones(len(hashes), bool)
    first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return np.sort(by_value[first])


def _pick(block: np.ndarray, distance: int) -> np.ndarray:
    """The greedy rule within one block of candidates, one by one."""
    earlier = np.tril(hamming(block[:, np.newaxis], block) <= distance, -1)
    picked = np.logical_not(earlier.any(axis=1))
    for candidate in np.flatnonzero(~picked):
        picked[candidate] = not (earlier[candidate] & picked).any()
    return np.flatnonzero(picked)
