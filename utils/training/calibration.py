"""From left-out logits to probabilities and thresholds: Platt's calibration, and the threshold for a wanted share."""

import numpy as np

from utils.classification.decision import UNFITTED

STEPS = 50
BINS = 10
# Separable patches would push the slope without end; this is weak enough to matter nowhere else.
RIDGE = 1e-3
LEAST_SCALE = 0.01


def calibrate(logits: np.ndarray, good: np.ndarray, weights: np.ndarray | None = None) -> tuple[float, float]:
    """Fit scale and bias so that sigmoid(scale x logit + bias) is the share of good patches.

    Platt (1999), with his targets slightly inside of 0 and 1, by Newton's method.

    Parameters
    ----------
    logits : ndarray, shape (n,)
        Of networks that had not seen these patches.
    good : ndarray of bool, shape (n,)
        Both classes.
    weights : ndarray, shape (n,), optional
        What each patch counts for.

    Returns
    -------
    scale, bias : float
        `scale` is positive: a calibration never changes the order of patches.
    """
    weights = np.ones(len(logits)) if weights is None else weights / weights.mean()
    ones, zeros = int(good.sum()), int((~good).sum())
    targets = np.where(good, (ones + 1) / (ones + 2), 1 / (zeros + 2))
    spread = max(float(np.std(logits)), 1e-6)
    inputs = np.stack([logits / spread, np.ones(len(logits))])
    found = np.array([1.0, 0.0])
    for _ in range(STEPS):
        scores = UNFITTED.scores(found @ inputs)
        slope = inputs @ (weights * (scores - targets)) + RIDGE * found
        curvature = (inputs * (weights * scores * (1 - scores))) @ inputs.T + RIDGE * np.eye(2)
        step = np.linalg.solve(curvature, slope)
        found -= step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-9:
            break
    return max(float(found[0] / spread), LEAST_SCALE), float(found[1])


def calibration_error(scores: np.ndarray, good: np.ndarray) -> float:
    """Expected calibration error: mean distance of scores from the share of good patches, in bins of equal width.

    Parameters
    ----------
    scores : ndarray, shape (n,)
    good : ndarray of bool, shape (n,)
    """
    which = np.minimum((scores * BINS).astype(int), BINS - 1)
    gaps = [abs(scores[which == k].sum() - good[which == k].sum()) for k in range(BINS)]
    return float(np.sum(gaps) / len(scores))


def threshold_for(
    scores: np.ndarray, good: np.ndarray, *, recall: float | None = None, precision: float | None = None
) -> tuple[float, float]:
    """The threshold that keeps a wanted share of the good patches, or of good ones among the kept.

    Parameters
    ----------
    scores : ndarray, shape (n,)
        Left-out scores 0..1; a patch is kept when its score is above the threshold.
    good : ndarray of bool, shape (n,)
        Both classes.
    recall, precision : float
        Exactly one of them, 0..1.

    Returns
    -------
    threshold, reached : float
        For a recall the highest threshold that keeps it, for a precision the lowest; `reached` is what the threshold
        gives, less than wanted where no threshold gives as much.
    """
    steps = np.unique(np.concatenate([[0.0], scores]))
    edges = np.concatenate([[0.0], (steps[:-1] + steps[1:]) / 2])
    kept_good = np.array([(scores[good] > edge).sum() for edge in edges], float)
    if recall is not None:
        shares = kept_good / good.sum()
        best = int(np.flatnonzero(shares >= min(recall, shares[0]))[-1])
        return float(edges[best]), float(shares[best])
    shares = kept_good / np.maximum([(scores > edge).sum() for edge in edges], 1)
    enough = np.flatnonzero(shares >= min(1.0 if precision is None else precision, np.nanmax(shares)))
    return float(edges[enough[0]]), float(shares[enough[0]])
