"""The first page of the report: its totals, its rows, when it is made again."""

from utils.collection.report_index import imbalance


def test_imbalance():
    assert imbalance([0, 0]) == [(0.0, 0.0), (0.5, 0.0), (1.0, 0.0)]
    assert imbalance([5, 90, 5])[1] == (0.3333, 0.9)
