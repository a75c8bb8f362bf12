"""Exemplars: the few hashes that stand for all their near-duplicates, chosen greedily in a seeded random order."""

import numpy as np

from utils.near_hashes import near_any, near_pairs

# So few are compared all with each other. If of an eighth of the others no more are near to any of these, hashes have
# a quarter of one near them, on average: then all pairs are looked for, if they are no more than so many of each hash.
FEW = 128
NEAR = 4
PAIRS = 8


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


def _greedy(hashes: np.ndarray, distance: int) -> np.ndarray:
    """Indices of hashes that become exemplars when they come one by one.

    Where many are alike, the first half is done with before the other, of which then less is left.
    """
    if len(hashes) <= FEW or _are_scattered(hashes, distance):
        pairs = near_pairs(hashes, distance, max(FEW**2, PAIRS * len(hashes)))
        if pairs is not None:
            return _one_by_one(len(hashes), pairs)
    half = len(hashes) // 2
    chosen = _greedy(hashes[:half], distance)
    left = half + np.flatnonzero(~near_any(hashes[half:], hashes[chosen], distance))
    return np.concatenate([chosen, left[_greedy(hashes[left], distance)]])


def _are_scattered(hashes: np.ndarray, distance: int) -> bool:
    """Whether hardly any two are alike, as far as a sample tells."""
    sample = hashes[FEW : FEW + len(hashes) // 8]
    return int(near_any(sample, hashes[:FEW], distance).sum()) <= NEAR


def _first_of_equals(hashes: np.ndarray) -> np.ndarray:
    """Indices, in order, of the first of each set of equal rows."""
    by_value = np.lexsort(hashes.T)  # stable: equal rows stay in order
    ordered = hashes[by_value]
    first = np.ones(len(hashes), bool)
    first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return np.sort(by_value[first])


def _one_by_one(count: int, pairs: np.ndarray) -> np.ndarray:
    """The greedy rule among so many, of which these pairs, (n, 2), in order, are alike."""
    picked = [True] * count
    for earlier, later in pairs.tolist():
        if picked[earlier]:
            picked[later] = False
    return np.flatnonzero(picked)
