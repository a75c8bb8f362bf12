"""Tables of folds, doubtful labels, figures by experiment, and what is familiar."""

from pathlib import Path

import numpy as np
import pytest

from utils.training.bank import Bank
from utils.training.familiarity import (
    FACTOR,
    HEADS,
    LEAST,
    PARTS,
    known_from,
    known_from_bank,
    left_out_parts,
    limit_for,
)
from utils.training.figures import auroc, by_experiment, confusion, pooled, scores_of, table_of, wilson
from utils.training.folds import FoldRow, OutOfFold, doubts_of, read_folds, write_fold
from utils.training.labels import Labelled


def four() -> Labelled:
    paths = tuple(Path(f"p{i}.png") for i in range(4))
    return Labelled(
        paths, (np.zeros((4, 4), np.uint8),) * 4, np.array([True, False, True, False]), ("a", "a", "b", "b")
    )


def rows(data: Labelled, left: set[int], value: float) -> list[FoldRow]:
    return [FoldRow(p.as_posix(), bool(data.good[i]), i in left, value + i, i / 10) for i, p in enumerate(data.paths)]


def test_tables_of_folds_come_together(tmp_path):
    data = four()
    write_fold(tmp_path / "1.csv", rows(data, {0, 1}, 10))
    write_fold(tmp_path / "2.csv", rows(data, {2, 3}, 20))
    seen = read_folds([tmp_path / "1.csv", tmp_path / "2.csv"], data)
    assert seen.logits.tolist() == [10, 11, 22, 23] and seen.fold_of.tolist() == [0, 0, 1, 1]
    assert seen.all_logits.tolist() == [[10, 11, 12, 13], [20, 21, 22, 23]]
    assert seen.distances.tolist() == pytest.approx([0, 0.1, 0.2, 0.3])


def test_tables_of_other_labels_are_refused(tmp_path):
    data = four()
    write_fold(tmp_path / "1.csv", rows(data, {0, 1}, 10))
    with pytest.raises(ValueError, match=r"p2\.png was never left out"):
        read_folds([tmp_path / "1.csv"], data)
    write_fold(tmp_path / "2.csv", [FoldRow("other.png", True, True, 0.0, 0.0)])
    with pytest.raises(ValueError, match=r"made from other labels.*other\.png"):
        read_folds([tmp_path / "2.csv"], data)


def test_doubts_are_what_all_contradict_or_one_surely():
    good = np.array([True, True, True, True, False])
    every = np.array([[-1.0, -1, 5, 1, 5], [-1, 5, -1, -1, 5], [-1, 5, 5, 1, -5]])
    left_out = np.array([-1.0, -1, 5, -9, 5])
    found = doubts_of(OutOfFold(left_out, left_out, np.zeros(5, int), every), good, 1.0, 0.0)
    assert [(doubt.index, doubt.against) for doubt in found] == [(0, 3), (4, 2), (3, 1)]
    assert found[1].score > 0.99 and found[0].folds == 3


def test_figures():
    scores, good = np.array([0.9, 0.2, 0.6, 0.4]), np.array([True, False, False, True])
    assert scores_of(scores, good)["accuracy"] == 0.5 and auroc(scores, good) == 0.75
    assert np.isnan(auroc(scores, np.ones(4, bool)))
    assert confusion(scores, good) == [[1, 1], [1, 1]] and confusion(scores, good, 0.7) == [[2, 0], [1, 1]]
    low, high = wilson(0, 10)
    assert low == 0 and 0.2 < high < 0.35


def test_intervals_know_experiments():
    """Two experiments, one all right and one all wrong: redrawn whole, anything from 0 to 1 is possible."""
    good = np.array([True, False] * 40)
    scores = np.where(np.arange(80) < 40, good, ~good).astype(float)
    told = pooled(scores, good, np.arange(80) // 40)
    assert told["accuracy"] == 0.5 and told["accuracy interval"] == [0, 1]
    assert pooled(scores, good, np.arange(80))["accuracy interval"][0] > 0.3


def test_by_experiment():
    data = four()
    scores = np.array([0.9, 0.1, 0.3, 0.2])
    figures = by_experiment(scores, data.good, np.array(data.sources))
    assert figures["a"]["accuracy"] == 1 and figures["b"]["accuracy"] == 0.5 and figures["b"]["good"] == 1
    text = table_of(figures, pooled(scores, data.good, np.array([0, 0, 1, 1])))
    assert "pooled: 4 patches" in text and text.splitlines()[0].startswith("a ")


def experiments_apart() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eight experiments of one kind, told good from bad by the first feature, and a ninth by the second one alone."""
    rng = np.random.default_rng(0)
    experiments, good = np.repeat(np.arange(9), 40), np.arange(360) % 2 == 0
    features = rng.normal(0, 1, (360, 10))
    column = np.where(experiments == 8, 1, 0)
    features[np.arange(360), column] += np.where(good, 4, -4)
    return features, good, experiments


def test_what_hangs_on_one_experiment_is_unfamiliar():
    features, good, experiments = experiments_apart()
    known = known_from(features, good, experiments, 0)
    assert len(known.weights) == HEADS and not np.isfinite(known.limit)
    distances = known.distances(features)
    assert distances[experiments == 8].mean() > 5 * distances[experiments < 8].mean()
    same = known_from(features, good, experiments, 0)
    assert np.array_equal(same.weights, known.weights) and not np.array_equal(
        known_from(features, good, experiments, 1).weights, known.weights
    )


def test_rows_of_no_experiment_are_missed_by_no_head():
    features, good, experiments = experiments_apart()
    free = np.where(experiments == 8, -1, experiments)
    distances = known_from(features, good, free, 0).distances(features)
    assert distances[experiments == 8].mean() < 0.1
    # Of one experiment nothing can be missed, and no head may be left with one class.
    assert (known_from(features, good, np.zeros(360, int), 0).distances(features) == 0).all()
    assert known_from(features, good, np.where(good, 0, np.arange(360)), 0).distances(features).max() < 0.5


def test_a_bank_is_known_by_the_experiments_of_what_it_was_made_of():
    features, good, experiments = experiments_apart()
    origins = np.where(np.arange(360) % 9 == 0, -1, np.arange(360))
    bank = Bank(features, good.astype(np.float32), origins)
    left_out = np.flatnonzero(experiments == 3)
    rest = ~np.isin(origins, left_out)
    expected = known_from(features[rest], good[rest], np.where(origins < 0, -1, experiments)[rest], 5)
    assert np.array_equal(known_from_bank(bank, experiments, left_out, 5).weights, expected.weights)


def test_the_limit_comes_from_good_experiments():
    known = known_from(*experiments_apart(), 0)
    groups, mostly_good = np.repeat([0, 1, 2, 3], 90), np.repeat([True, True, True, False], 90)
    assert limit_for(known, np.repeat([0.1, 0.2, 0.9, 90], 90), groups, mostly_good).limit == pytest.approx(
        0.2 * FACTOR
    )
    assert limit_for(known, np.full(360, 0.4), groups, np.zeros(360, bool)).limit == pytest.approx(0.4 * FACTOR)
    assert limit_for(known, np.zeros(360), groups, mostly_good).limit == LEAST


def test_left_out_parts_keep_experiments_whole():
    experiments = np.arange(100) % 25
    parts = left_out_parts(experiments, 0)
    assert len(parts) == PARTS and np.array_equal(np.sum(parts, axis=0), np.ones(100))
    for part in parts:
        assert not np.intersect1d(experiments[part], experiments[~part]).size
    assert len(left_out_parts(np.array([4, 4, 7]), 0)) == 2
