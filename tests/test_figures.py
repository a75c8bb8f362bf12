"""utils/training/figures.py: every figure, by hand."""

import math

import numpy as np
import pytest

from utils.training.figures import auroc, by_experiment, confusion, pooled, scores_of, table_of, wilson

SCORES = np.array([0.1, 0.4, 0.35, 0.8, 0.5])
GOOD = np.array([False, False, True, True, True])


def test_auroc_counts_pairs_and_ties_half():
    assert auroc(SCORES, GOOD) == 5 / 6
    assert auroc(np.array([0.5, 0.5]), np.array([True, False])) == 0.5
    assert auroc(np.array([0.0, 1.0]), np.array([True, False])) == 0.0
    assert math.isnan(auroc(SCORES, np.ones(5, bool)))


def test_scores_against_labels():
    found = scores_of(SCORES, GOOD)
    assert found["loss"] == pytest.approx(-np.log([0.9, 0.6, 0.35, 0.8, 0.5]).mean())
    assert (found["accuracy"], found["auroc"]) == (0.6, 5 / 6)


def test_a_sure_and_wrong_score_has_a_finite_loss():
    assert scores_of(np.array([1.0]), np.array([False]))["loss"] == pytest.approx(-math.log(1e-7), rel=1e-6)


def test_confusion_has_labels_as_rows_and_keeps_what_lies_above():
    assert confusion(SCORES, GOOD) == [[2, 0], [2, 1]]
    assert confusion(SCORES, GOOD, 0.35) == [[1, 1], [1, 2]]


@pytest.mark.parametrize(
    ("right", "count", "low", "high"), [(0, 10, 0, 0.2775), (10, 10, 0.7225, 1), (5, 10, 0.2366, 0.7634)]
)
def test_wilson_s_interval(right, count, low, high):
    assert wilson(right, count) == pytest.approx((low, high), abs=1e-4)


def test_each_experiment_is_set_against_all_patches_of_the_other_class():
    sources = np.array(["b", "a", "a", "b", "b"])
    found = by_experiment(SCORES, GOOD, sources)
    assert list(found) == ["a", "b"]
    assert (found["a"]["good"], found["a"]["bad"], found["a"]["accuracy"]) == (1, 1, 0.5)
    assert (found["b"]["good"], found["b"]["bad"], found["b"]["accuracy"]) == (2, 1, 2 / 3)
    assert found["b"]["accuracy interval"] == list(wilson(2, 3))
    assert found["b"]["auroc"] == auroc(SCORES[[0, 1, 3, 4]], GOOD[[0, 1, 3, 4]]) == 1.0


def test_intervals_know_that_patches_come_in_experiments():
    rng = np.random.default_rng(0)
    good = np.arange(200) % 2 == 0
    scores = np.clip(good * 0.4 + rng.random(200) * 0.6, 0, 1)
    alone, together = (pooled(scores, good, groups) for groups in (np.arange(200), np.arange(200) // 50))
    assert alone["patches"] == 200 and alone["accuracy"] == together["accuracy"]
    for found in (alone, together):
        low, high = found["accuracy interval"]
        assert low <= found["accuracy"] <= high and found["auroc interval"][0] <= found["auroc"]
    assert pooled(scores, good, np.arange(200)) == alone
    assert pooled(scores, good, np.arange(200), seed=1)["accuracy interval"] != alone["accuracy interval"]


def test_experiments_are_redrawn_whole():
    """One of four experiments is all right: of four that are drawn none may be, or three (in 1 of 20 draws)."""
    good = np.arange(80) % 2 == 0
    scores = np.where(np.arange(80) < 20, good, ~good).astype(float)
    assert pooled(scores, good, np.arange(80) // 20)["accuracy interval"] == [0, 0.75]


def test_one_class_has_no_interval():
    found = pooled(SCORES, np.ones(5, bool), np.arange(5))
    assert "accuracy interval" not in found and math.isnan(found["auroc"])


def test_the_table_says_it_all():
    figures = by_experiment(SCORES, GOOD, np.array(["b", "a", "a", "b", "b"]))
    total = {"patches": 5, "accuracy": 0.6, "auroc": 0.8333, "accuracy interval": [0.2, 0.9], "calibration error": 0.1}
    lines = table_of(figures, total).splitlines()
    assert lines[0].split() == ["a", "1", "good", "1", "bad", "accuracy", "0.500", "(0.09-0.91)", "AUROC", "0.6667"]
    assert lines[-1] == (
        "pooled: 5 patches, accuracy 0.6000 (0.200-0.900), AUROC 0.8333 (nan-nan), calibration error 0.100"
    )
