"""What a training has never seen: heads that each miss some experiments, and the limit of their disagreement."""

import numpy as np
import pytest

from utils.training.bank import Bank
from utils.training.familiarity import known_from, known_from_bank, left_out_parts, limit_for


def test_what_hangs_on_one_experiment_is_unfamiliar():
    features, good, experiments = experiments_apart()
    known = known_from(features, good, experiments, 0)
    assert len(known.weights) == 8 and not np.isfinite(known.limit)
    distances = known.distances(features)
    assert distances[experiments == 0].mean() > 5 * distances[experiments > 0].mean()
    same = known_from(features, good, experiments, 0)
    assert np.array_equal(same.weights, known.weights) and not np.array_equal(
        known_from(features, good, experiments, 1).weights, known.weights
    )


def test_rows_of_no_experiment_are_missed_by_no_head():
    features, good, experiments = experiments_apart()
    free = np.where(experiments == 0, -1, experiments)
    distances = known_from(features, good, free, 0).distances(features)
    assert distances[experiments == 0].mean() < 0.1
    # Of one experiment nothing can be missed, and no head may be left with one class.
    assert (known_from(features, good, np.zeros(360, int), 0).distances(features) == 0).all()
    assert known_from(features, good, np.where(good, 0, np.arange(360)), 0).distances(features).max() < 0.5


def test_a_bank_is_known_by_the_experiments_of_what_it_was_made_of():
    features, good, experiments = experiments_apart()
    origins = np.where(np.arange(360) % 9 == 1, -1, np.arange(360))
    bank = Bank(features, good.astype(np.float32), origins)
    left_out = np.flatnonzero(experiments == 3)
    rest = ~np.isin(origins, left_out)
    expected = known_from(features[rest], good[rest], np.where(origins < 0, -1, experiments)[rest], 5)
    assert np.array_equal(known_from_bank(bank, experiments, left_out, 5).weights, expected.weights)


def test_the_limit_comes_from_good_experiments():
    known = known_from(*experiments_apart(), 0)
    groups, mostly_good = np.repeat([0, 1, 2, 3], 90), np.repeat([True, True, True, False], 90)
    assert limit_for(known, np.repeat([0.1, 0.2, 0.9, 90], 90), groups, mostly_good).limit == pytest.approx(2.5 * 0.2)
    half = np.where(groups < 2, np.arange(360) % 2 == 0, True)  # of the first two: no more than half
    assert limit_for(known, np.repeat([0.1, 0.2, 0.9, 0.7], 90), groups, half).limit == pytest.approx(2.5 * 0.8)
    assert limit_for(known, np.full(360, 0.4), groups, np.zeros(360, bool)).limit == pytest.approx(2.5 * 0.4)
    assert limit_for(known, np.zeros(360), groups, mostly_good).limit == 0.02


def test_left_out_parts_keep_experiments_whole():
    experiments = np.arange(100) % 25
    parts = left_out_parts(experiments, 0)
    assert len(parts) == 10 and np.array_equal(np.sum(parts, axis=0), np.ones(100))
    for part in parts:
        assert not np.intersect1d(experiments[part], experiments[~part]).size
    assert len(left_out_parts(np.array([4, 4, 7]), 0)) == 2


def experiments_apart() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eight experiments of one kind, told good from bad by the first feature, and one, 0, by the second one alone."""
    rng = np.random.default_rng(0)
    experiments, good = np.repeat(np.arange(9), 40), np.arange(360) % 2 == 0
    features = rng.normal(0, 1, (360, 10))
    column = np.where(experiments == 0, 1, 0)
    features[np.arange(360), column] += np.where(good, 4, -4)
    return features, good, experiments
