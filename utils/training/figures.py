"""Figures of scores against labels: pooled and by experiment, with intervals that know patches come in experiments."""

from typing import Any

import numpy as np

from utils.training.calibration import calibration_error
from utils.training.labels import has_both

DRAWS = 1000


def scores_of(scores: np.ndarray, good: np.ndarray) -> dict[str, float]:
    """Loss, accuracy at 0.5 and AUROC of scores 0..1 against labels; AUROC is NaN with one class only.

    Parameters
    ----------
    scores : ndarray, shape (n,)
        From 0 to 1.
    good : ndarray of bool, shape (n,)
    """
    p = np.clip(scores, 1e-7, 1 - 1e-7)
    loss = float(-np.mean(np.where(good, np.log(p), np.log(1 - p))))
    return {"loss": loss, "accuracy": float(np.mean((scores > 0.5) == good)), "auroc": auroc(scores, good)}


def auroc(scores: np.ndarray, good: np.ndarray) -> float:
    """Area under the ROC curve by ranks (Mann-Whitney), ties counted half; NaN with one class only.

    Parameters
    ----------
    scores : ndarray, shape (n,)
    good : ndarray of bool, shape (n,)
    """
    goods = int(good.sum())
    pairs = goods * (len(good) - goods)
    if not pairs:
        return float("nan")
    _, value, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[value]
    return float((ranks[good].sum() - goods * (goods + 1) / 2) / pairs)


def confusion(scores: np.ndarray, good: np.ndarray, threshold: float = 0.5) -> list[list[int]]:
    """Counts at a threshold: rows bad, good (label); columns rejected, kept.

    Parameters
    ----------
    scores : ndarray, shape (n,)
    good : ndarray of bool, shape (n,)
    threshold : float
    """
    kept = scores > threshold
    return [[int(np.sum((good == label) & (kept == choice))) for choice in (False, True)] for label in (False, True)]


def wilson(right: int, count: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927, doi:10.1080/01621459.1927.10502953).

    >>> [round(v, 3) for v in wilson(9, 10)]
    [0.596, 0.982]
    """
    z = 1.959964
    centre = (right + z * z / 2) / (count + z * z)
    half = z / (count + z * z) * float(np.sqrt(right * (count - right) / count + z * z / 4))
    return max(0.0, centre - half), min(1.0, centre + half)


def pooled(scores: np.ndarray, good: np.ndarray, groups: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """Accuracy, AUROC and calibration error of all patches, with 95 % intervals from redrawn experiments.

    Whole groups are drawn with replacement: patches of one experiment succeed and fail together, so single patches
    would give intervals that are far too narrow.

    Parameters
    ----------
    scores : ndarray, shape (n,)
    good : ndarray of bool, shape (n,)
    groups : ndarray of int, shape (n,)
        Experiments.
    seed : int
    """
    rng = np.random.default_rng([seed, 17])
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    draws = []
    for _ in range(DRAWS):
        chosen = np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])
        if has_both(good[chosen]):
            draws.append((float(np.mean((scores > 0.5)[chosen] == good[chosen])), auroc(scores[chosen], good[chosen])))
    figures: dict[str, Any] = scores_of(scores, good)
    if draws:
        low, high = np.quantile(np.array(draws), (0.025, 0.975), axis=0)
        figures["accuracy interval"] = [float(low[0]), float(high[0])]
        figures["auroc interval"] = [float(low[1]), float(high[1])]
    return {**figures, "calibration error": calibration_error(scores, good), "patches": len(good)}


def by_experiment(scores: np.ndarray, good: np.ndarray, sources: np.ndarray) -> dict[str, dict[str, Any]]:
    """Counts, accuracy with its 95 % interval, and AUROC of each source against all patches of the other class.

    Parameters
    ----------
    scores : ndarray, shape (n,)
    good : ndarray of bool, shape (n,)
    sources : ndarray of str, shape (n,)
    """
    figures = {}
    for source in sorted(set(sources)):
        chosen = sources == source
        right, count = int(np.sum((scores[chosen] > 0.5) == good[chosen])), int(chosen.sum())
        # Most sources hold one class only; against all patches of the other class there is always a figure.
        rest = chosen | (good != (good[chosen].mean() > 0.5))
        figures[str(source)] = {
            "good": int(good[chosen].sum()),
            "bad": int((~good[chosen]).sum()),
            "accuracy": right / count,
            "accuracy interval": list(wilson(right, count)),
            "auroc": auroc(scores[rest], good[rest]),
        }
    return figures


def table_of(figures: dict[str, dict[str, Any]], total: dict[str, Any]) -> str:
    """The same as lines to print."""
    lines = []
    for source, own in figures.items():
        low, high = own["accuracy interval"]
        counts = f"{own['good']:4} good {own['bad']:4} bad"
        accuracy = f"accuracy {own['accuracy']:.3f} ({low:.2f}-{high:.2f})"
        lines.append(f"{source[:40]:40} {counts}  {accuracy}  AUROC {own['auroc']:.4f}")
    line = f"pooled: {total['patches']} patches"
    for name, word in (("accuracy", "accuracy"), ("auroc", "AUROC")):
        low, high = total.get(f"{name} interval", (float("nan"), float("nan")))
        line += f", {word} {total[name]:.4f} ({low:.3f}-{high:.3f})"
    return "\n".join([*lines, f"{line}, calibration error {total['calibration error']:.3f}"])
