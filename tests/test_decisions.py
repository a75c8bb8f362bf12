"""utils/duplicates/decisions.py: what was decided is remembered while its key holds."""

from utils.duplicates.decisions import key_of, remembered
from utils.records.duplicates import Duplicate


def test_decisions_are_remembered_while_their_key_holds(indexed):
    rows = [(0, Duplicate("a", "fly", "b", "bee", 0.5, 0.7, "same"))]
    assert remembered(indexed.source, "duplicates", key_of(1), lambda: rows) == rows
    assert remembered(indexed.source, "duplicates", key_of(1), lambda: []) == rows
    assert remembered(indexed.source, "duplicates", key_of(2), lambda: []) == []
    assert remembered(indexed.source, "duplicates", key_of(1), lambda: rows) == rows
