"""A head for a frozen body."""

import numpy as np
import pytest
import torch

from utils.classification.models import build_model
from utils.training.bank import Bank
from utils.training.heads import fit_linear, with_head


def test_only_the_head_is_fitted_and_says_what_its_figures_say():
    rng, start = np.random.default_rng(0), build_model("lite").state_dict()
    labels = (np.arange(60) % 3 == 0).astype(np.float32)
    features = rng.normal(5, 2, (60, 384)).astype(np.float32)
    features[:, 7] += 9 * labels
    state, (row,) = with_head(start, Bank(features, labels, np.arange(60)))
    assert {k for k in state if not torch.equal(state[k], start[k])} == {"fc.weight", "fc.bias"}
    weight = state["fc.weight"][0].numpy()
    logits = features @ weight + float(state["fc.bias"])
    assert row["accuracy"] == np.mean((logits > 0) == (labels > 0.5)) > 0.95 and 0 < row["loss"] < 0.5
    assert weight[7] * features[:, 7].std() > np.abs(np.delete(weight * features.std(0), 7)).max()
    again = with_head(start, Bank(features * 100, labels, np.arange(60)))[0]
    assert np.allclose(again["fc.weight"][0] * 100, weight, rtol=0.01, atol=1e-4)


def test_windows_get_a_head_of_their_own_where_both_classes_have_some():
    rng, start = np.random.default_rng(0), build_model("lite").state_dict()
    labels, features = (np.arange(60) % 3 == 0).astype(np.float32), rng.normal(0, 1, (60, 384)).astype(np.float32)
    windows = Bank(features[:40], labels[:40], np.arange(40))
    state, _ = with_head(start, Bank(features, labels, np.arange(60), windows))
    weight, bias = fit_linear(features[:40], labels[:40] > 0.5, 30.0)
    assert np.allclose(state["window_fc.weight"][0], weight, atol=1e-6)
    assert float(state["window_fc.bias"]) == pytest.approx(bias + 2.0)
    bad = Bank(features[:40], np.zeros(40, np.float32), np.arange(40))
    assert "window_fc.weight" not in with_head(start, Bank(features, labels, np.arange(60), bad))[0]


def test_a_linear_fit_weighs_both_classes():
    rng = np.random.default_rng(1)
    good = np.arange(400) < 20
    features = rng.normal(0, 1, (400, 3)) + np.where(good, 2, 0)[:, None] * [1, 0, 0]
    weight, bias = fit_linear(features, good)
    says = features @ weight + bias > 0
    assert says[good].mean() > 0.7 and says[~good].mean() < 0.3
    apart = np.where(good, 3, -3)[:, None] + rng.normal(0, 0.1, (400, 2))
    for once, twice in zip(fit_linear(apart, good), fit_linear(np.tile(apart, (2, 1)), np.tile(good, 2)), strict=True):
        assert np.allclose(once, twice, rtol=0.01)  # however large the bank
    with pytest.raises(ValueError, match="class"):
        fit_linear(features, np.ones(400, bool))
