"""Scores that mean what they say, and thresholds that keep what was asked for."""

import numpy as np
import pytest

from utils.training.calibration import LEAST_SCALE, RIDGE, calibrate, calibration_error, threshold_for


def drawn(scale: float, bias: float, count: int = 20000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, count)
    return logits, rng.random(count) < 1 / (1 + np.exp(-(scale * logits + bias)))


def test_calibration_finds_what_the_labels_were_drawn_from():
    logits, good = drawn(0.5, -1.0)
    scale, bias = calibrate(logits, good)
    assert (scale, bias) == pytest.approx((0.5, -1.0), abs=0.05)
    assert calibrate(logits / 100, good) == pytest.approx((100 * scale, bias))


def test_weights_count_patches_more_than_once():
    logits, good = drawn(0.5, 0.0, 400)
    twice = np.concatenate([logits, logits[:100]]), np.concatenate([good, good[:100]])
    weights = np.ones(400)
    weights[:100] = 2
    assert calibrate(*twice) == pytest.approx(calibrate(logits, good, weights), abs=0.01)


def test_calibration_finds_the_least_of_platt_s_loss():
    from scipy.optimize import minimize

    logits, good = np.array([-40.0, -9, -4, 3, 8, 30, -20, 12]), np.array([0, 0, 1, 0, 1, 1, 0, 1], bool)
    weights = np.array([1.0, 2, 1, 3, 1, 1, 5, 2])
    targets, inputs = np.where(good, 5 / 6, 1 / 6), np.stack([logits / logits.std(), np.ones(8)])

    def loss(found):
        scores = found @ inputs
        each = np.logaddexp(0, scores) - targets * scores
        return (weights / weights.mean()) @ each + RIDGE / 2 * found @ found

    least = minimize(loss, [1.0, 0.0], tol=1e-12).x
    assert calibrate(logits, good, weights) == pytest.approx((least[0] / logits.std(), least[1]), abs=1e-5)


def test_separable_patches_give_finite_parameters():
    scale, bias = calibrate(np.array([-9.0] * 50 + [9.0] * 50), np.arange(100) >= 50)
    assert (scale, bias) == (pytest.approx(np.log(51) / 9, abs=0.01), pytest.approx(0, abs=1e-3))  # odds of 51 to 1


def test_the_order_of_patches_never_turns():
    logits, good = drawn(0.5, 0.0, 200)
    assert calibrate(-logits, good)[0] == LEAST_SCALE


def test_calibration_error():
    good = np.array([True, False] * 50)
    assert calibration_error(np.full(100, 0.5), good) == 0
    assert calibration_error(np.full(100, 0.9), good) == pytest.approx(0.4)
    scores = np.array([0.05, 0.12, 0.17, 0.32, 0.38, 0.97])
    by_bin = abs(0.05 - 1) + abs(0.29 - 1) + abs(0.7 - 0) + abs(0.97 - 1)
    assert calibration_error(scores, np.array([1, 1, 0, 0, 0, 1], bool)) == pytest.approx(by_bin / 6)
    assert calibration_error(np.array([1.0, 0.0]), np.array([True, False])) == 0


def test_threshold_for_a_recall_is_the_highest():
    scores, good = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.8]), np.array([False, True, False, True, True, True])
    threshold, reached = threshold_for(scores, good, recall=0.75)
    assert 0.3 <= threshold < 0.4 and reached == 0.75
    assert threshold_for(scores, good, recall=1.0) == (pytest.approx(0.15), 1.0)


def test_threshold_for_a_precision_is_the_lowest():
    scores, good = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.8]), np.array([False, True, False, True, True, True])
    assert threshold_for(scores, good, precision=1.0) == (pytest.approx(0.35), 1.0)
    assert threshold_for(scores, good, precision=0.79) == (pytest.approx(0.15), 0.8)
    assert threshold_for(scores[2:4], good[2:4], precision=1.0) == (pytest.approx(0.35), 1.0)  # one is kept


def test_what_no_threshold_gives_is_said_by_what_was_reached():
    scores, good = np.array([0.9, 0.5, 0.4]), np.array([False, True, True])
    assert threshold_for(scores, good, precision=0.9)[1] == pytest.approx(2 / 3)
    assert threshold_for(np.zeros(3), good, recall=0.9) == (0.0, 0.0)
    assert threshold_for(np.zeros(3), good, precision=0.9) == (0.0, 0.0)
