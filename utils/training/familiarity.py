"""What a training leaves behind to tell later what it has never seen: heads that each miss some of the experiments.

Of what many experiments show, all say the same; of what hangs on one of them, or on none, each says something else.
"""

from dataclasses import replace

import numpy as np

from utils.classification.decision import Familiarity
from utils.training.bank import Bank
from utils.training.heads import fit_linear
from utils.training.labels import has_both

HEADS = 8
# Of the experiments, what each head misses.
MISSED = 0.25
# Other experiments of known kinds lie within so many times the median one's distance; other kinds lie beyond.
FACTOR = 2.5
# A disagreement of two in a hundred is none, however much the experiments are alike.
LEAST = 0.02
# Experiments are left out in so many parts, however many they are.
PARTS = 10


def known_from(features: np.ndarray, good: np.ndarray, experiments: np.ndarray, seed: int) -> Familiarity:
    """Fit the heads; the limit is still infinite.

    Parameters
    ----------
    features : ndarray, shape (n, f)
        Of what the network was trained on.
    good : ndarray of bool, shape (n,)
        Both kinds.
    experiments : ndarray of int, shape (n,)
        Which one each row comes from; -1 for what comes from none, which no head misses.
    seed : int
    """
    rng = np.random.default_rng(seed)
    names = np.unique(experiments[experiments >= 0])
    heads = []
    for _ in range(HEADS):
        missed = rng.choice(names, round(len(names) * MISSED), replace=False)
        own = ~np.isin(experiments, missed)
        if not has_both(good[own]):
            own[:] = True
        heads.append(fit_linear(features[own], good[own]))
    weights, biases = zip(*heads, strict=True)
    return Familiarity(np.stack(weights).astype(np.float32), np.array(biases, np.float32), float("inf"))


def known_from_bank(bank: Bank, experiments: np.ndarray, left_out: np.ndarray, seed: int) -> Familiarity:
    """`known_from` of a bank, without what some labelled patches had a part in.

    Parameters
    ----------
    bank : Bank
    experiments : ndarray of int, shape (n,)
        Of the labelled patches that the bank was made of.
    left_out : ndarray of int, shape (m,)
        Indices of labelled patches.
    seed : int
    """
    rest = bank.without(left_out)
    origins = np.where(rest.origins < 0, -1, experiments[rest.origins])
    return known_from(rest.features, rest.labels > 0.5, origins, seed)


def left_out_parts(experiments: np.ndarray, seed: int) -> list[np.ndarray]:
    """Parts of whole experiments, each row in one.

    Parameters
    ----------
    experiments : ndarray of int, shape (n,)
    seed : int

    Returns
    -------
    list of ndarray of bool, shape (n,)
        `PARTS` of them, or as many as there are experiments.
    """
    names = np.random.default_rng(seed).permutation(np.unique(experiments))
    return [np.isin(experiments, part) for part in np.array_split(names, min(PARTS, len(names)))]


def limit_for(known: Familiarity, distances: np.ndarray, experiments: np.ndarray, good: np.ndarray) -> Familiarity:
    """Set the limit by what left-out experiments of mostly good patches look like; rubbish is of a kind each its own.

    Parameters
    ----------
    known : Familiarity
    distances : ndarray, shape (n,)
        Of patches from what heads that had not seen them knew.
    experiments : ndarray of int, shape (n,)
    good : ndarray of bool, shape (n,)
    """
    members = [experiments == name for name in np.unique(experiments)]
    means = [float(distances[own].mean()) for own in members if good[own].mean() > 0.5]
    return replace(known, limit=max(LEAST, FACTOR * float(np.median(means or [distances.mean()]))))
