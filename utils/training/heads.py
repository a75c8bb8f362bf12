"""A head for a frozen body: logistic regression on what the body sees, in one step and with one answer."""

import numpy as np
import torch

from utils.classification.classifier import State
from utils.training.bank import Bank

# How little weights are held back, whatever the size of the bank; chosen on left-out kinds of matter and tissue.
FREEDOM = 200.0
ROUNDS = 500


def with_head(start: State, bank: Bank) -> tuple[State, list[dict[str, float]]]:
    """The network with a head fitted to a bank, and one row of figures.

    Parameters
    ----------
    start : state_dict
        With the body that made the bank.
    bank : Bank
        Both classes.
    """
    from sklearn.linear_model import LogisticRegression

    mean, spread = bank.features.mean(0, dtype=float), bank.features.std(0, dtype=float) + 1e-6
    places = (bank.features - mean) / spread
    fitted = LogisticRegression(C=FREEDOM / len(bank), max_iter=ROUNDS, class_weight="balanced")
    fitted.fit(places, bank.labels > 0.5)
    weight = fitted.coef_[0] / spread
    logits = bank.features @ weight + (bias := float(fitted.intercept_[0] - mean @ weight))
    right = (logits > 0) == (bank.labels > 0.5)
    loss = float(np.logaddexp(0, np.where(bank.labels > 0.5, -logits, logits)).mean())
    head = {"fc.weight": torch.from_numpy(weight[None]).float(), "fc.bias": torch.tensor([bias])}
    return {**start, **head}, [{"epoch": 1, "loss": loss, "accuracy": float(right.mean())}]
