"""What a training leaves behind to tell later what it has never seen: where its patches lie in its own features."""

from dataclasses import replace

import numpy as np

from utils.classification.decision import Familiarity

DIRECTIONS = 24
CENTRES = 64
# Other experiments of known kinds lie within so many times the median one's distance; other kinds lie beyond.
FACTOR = 1.75


def known_from(features: np.ndarray, good: np.ndarray, seed: int) -> Familiarity:
    """Describe where the training patches lie; the limit is still infinite.

    Parameters
    ----------
    features : ndarray, shape (n, f)
        Of the patches that were trained on.
    good : ndarray of bool, shape (n,)
        Each class gets its own centres.
    seed : int
    """
    mean = features.mean(axis=0)
    _, deviations, directions = np.linalg.svd(features - mean, full_matrices=False)
    count = min(DIRECTIONS, int((deviations > 1e-6).sum()) or 1)
    scale = np.maximum(deviations[:count], 1e-6) / np.sqrt(len(features))
    basis = directions[:count] / scale[:, None]
    places = (features - mean) @ basis.T
    centres = [_centres(places[good == kind], seed) for kind in (True, False) if (good == kind).any()]
    return Familiarity(mean, basis, np.concatenate(centres), float("inf"))


def left_out_distances(features: np.ndarray, groups: np.ndarray, good: np.ndarray, seed: int) -> np.ndarray:
    """Distance of each patch from all that are not of its group, by features that learnt from neither.

    Parameters
    ----------
    features : ndarray, shape (n, f)
    groups : ndarray of int, shape (n,)
    good : ndarray of bool, shape (n,)
    seed : int

    Returns
    -------
    ndarray, shape (n,)
    """
    distances = np.full(len(features), np.nan)
    for group in np.unique(groups):
        own = groups == group
        if not own.all():
            distances[own] = known_from(features[~own], good[~own], seed).distances(features[own])
    return distances


def limit_for(known: Familiarity, distances: np.ndarray, groups: np.ndarray, good: np.ndarray) -> Familiarity:
    """Set the limit by what left-out experiments of mostly good patches look like; rubbish is of a kind each its own.

    Parameters
    ----------
    known : Familiarity
    distances : ndarray, shape (n,)
        Of patches from what a network that had not seen them knew.
    groups : ndarray of int, shape (n,)
    good : ndarray of bool, shape (n,)
    """
    members = [groups == group for group in np.unique(groups)]
    medians = [float(np.median(distances[own])) for own in members if good[own].mean() > 0.5]
    medians = medians or [float(np.median(distances))]
    return replace(known, limit=FACTOR * float(np.median(medians)))


def _centres(places: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.cluster import KMeans

    if len(places) <= CENTRES:
        return places
    centres: np.ndarray = KMeans(CENTRES, n_init=1, random_state=seed).fit(places).cluster_centers_
    return centres
