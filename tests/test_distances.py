"""utils/classification/distances.py: distances beside a table are those of its weights, or none."""

import numpy as np

from utils.classification.distances import distances_path, load_distances, save_distances


def test_what_is_saved_is_loaded(tmp_path):
    table = tmp_path / "a.csv"
    assert load_distances(table).shape == (0,)
    save_distances(table, np.array([0.5, 1.25, 2.00004]))
    assert distances_path(table) == tmp_path / ".recipes" / "a.csv.distances"
    assert load_distances(table).tolist() == [0.5, 1.25, 2.0]


def test_weights_that_know_no_distance_leave_none(tmp_path):
    table = tmp_path / "a.csv"
    save_distances(table, np.array([0.5]))
    save_distances(table, np.array([0.5, np.nan]))
    assert load_distances(table).size == 0 and not distances_path(table).exists()
    save_distances(table, np.array([np.nan]))


def test_folders_that_are_not_there_are_made(tmp_path):
    save_distances(tmp_path / "deep/folder/a.csv", np.array([0.5]))
    assert load_distances(tmp_path / "deep/folder/a.csv").tolist() == [0.5]
