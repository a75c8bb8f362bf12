"""A head for a frozen body: logistic regression on what the body sees, in one step and with one answer."""

import numpy as np
import torch

from utils.classification.state_files import State
from utils.training.bank import Bank
from utils.training.labels import has_both

# How little weights are held back, whatever the size of the bank; chosen on left-out kinds of matter and tissue.
FREEDOM = 100.0
ROUNDS = 500
# The head of windows has fewer to learn from, so is held back more; and what may be cells is kept: so much is added.
WINDOW_FREEDOM, FAVOUR = 30.0, 2.0


def with_head(start: State, bank: Bank) -> tuple[State, list[dict[str, float]]]:
    """The network with heads fitted to the bank that its body made, of both classes, and one row of figures."""
    good = bank.labels > 0.5
    weight, bias = fit_linear(bank.features, good)
    logits = bank.features @ weight + bias
    loss = float(np.logaddexp(0, np.where(good, -logits, logits)).mean())
    heads = _layer("fc", weight, bias)
    if bank.windows is not None and has_both(bank.windows.labels > 0.5):
        weight, bias = fit_linear(bank.windows.features, bank.windows.labels > 0.5, WINDOW_FREEDOM)
        heads |= _layer("window_fc", weight, bias + FAVOUR)
    return {**start, **heads}, [{"epoch": 1, "loss": loss, "accuracy": float(((logits > 0) == good).mean())}]


def _layer(name: str, weight: np.ndarray, bias: float) -> State:
    return {f"{name}.weight": torch.from_numpy(weight[None]).float(), f"{name}.bias": torch.tensor([bias])}


def fit_linear(features: np.ndarray, good: np.ndarray, freedom: float = FREEDOM) -> tuple[np.ndarray, float]:
    """Tell good ones by a logistic regression in which both classes count alike.

    Parameters
    ----------
    features : ndarray, shape (n, f)
    good : ndarray of bool, shape (n,)
    freedom : float
        How little the weights are held back.

    Returns
    -------
    weight : ndarray, shape (f,)
    bias : float

    Raises
    ------
    ValueError
        If all are of one class.
    """
    from sklearn.linear_model import LogisticRegression

    mean, spread = features.mean(0, dtype=float), features.std(0, dtype=float) + 1e-6
    fitted = LogisticRegression(C=freedom / len(good), max_iter=ROUNDS, class_weight="balanced")
    fitted.fit((features - mean) / spread, good)
    weight = fitted.coef_[0] / spread
    return weight, float(fitted.intercept_[0] - mean @ weight)
