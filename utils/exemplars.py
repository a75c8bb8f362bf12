"""Exemplars: the few hashes that stand for all their near-duplicates, chosen greedily in a seeded random order."""

import numpy as np

# Candidates judged together, and pairs compared at a time: both keep the scratch arrays in a core's cache.
BLOCK = 64
PAIRS = 1 << 17


def hamming(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Hamming distances between packed hashes, broadcast.

    Parameters
    ----------
    first, second : ndarray of uint64, shape (..., words)

    Returns
    -------
    ndarray of uint16, shape (...,)
    """
    distances: np.ndarray = np.bitwise_count(first ^ second).sum(axis=-1, dtype=np.uint16)
    return distances


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
    if len(hashes):
        order = order[_first_of_equals(hashes[order])]
    chosen: list[np.ndarray] = []
    remaining = np.ascontiguousarray(hashes[order])
    while len(order):
        picked = _pick(remaining[:BLOCK], distance)
        chosen.append(order[:BLOCK][picked])
        left = BLOCK + np.flatnonzero(~_near_any(remaining[BLOCK:], remaining[:BLOCK][picked], distance))
        order, remaining = order[left], remaining[left]
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, np.intp)


def _first_of_equals(hashes: np.ndarray) -> np.ndarray:
    """Indices, in order, of the first of each set of equal rows."""
    by_value = np.lexsort(hashes.T)  # stable: equal rows stay in order
    ordered = hashes[by_value]
    first = np.ones(len(hashes), bool)
    first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return np.sort(by_value[first])


def _pick(block: np.ndarray, distance: int) -> list[int]:
    """The greedy rule within one block of candidates."""
    near = hamming(block[:, np.newaxis], block) <= distance
    picked: list[int] = []
    represented = np.zeros(len(block), bool)
    for candidate in range(len(block)):
        if not represented[candidate]:
            picked.append(candidate)
            represented |= near[candidate]
    return picked


def _near_any(candidates: np.ndarray, chosen: np.ndarray, distance: int) -> np.ndarray:
    """Which candidates lie within `distance` of any of the chosen: (n, words) and (m, words) -> (n,) bool."""
    near = np.empty(len(candidates), bool)
    words = candidates.shape[1]
    step = max(1, PAIRS // words)
    for start in range(0, len(candidates), step):
        part = np.ascontiguousarray(candidates[start : start + step].T)
        near[start : start + step] = _closest(part, chosen) <= distance
    return near


def _closest(part: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Smallest distance of each candidate, (words, n), to the chosen, (m, words); written into the same few arrays."""
    words, count = part.shape
    total = np.uint8 if words < 4 else np.uint16
    closest = np.full(count, np.iinfo(total).max, total)
    apart, differing, bits = np.empty(count, total), np.empty(count, np.uint64), np.empty(count, np.uint8)
    for hash_ in chosen:
        for word in range(words):
            np.bitwise_xor(part[word], hash_[word], out=differing)
            np.bitwise_count(differing, out=bits if word else apart)
            if word:
                np.add(apart, bits, out=apart)
        np.minimum(closest, apart, out=closest)
    return closest
