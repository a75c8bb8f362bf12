"""utils/duplicates/decisions.py: what was decided is remembered while its key holds."""

import json

from utils.duplicates.decisions import KINDS, discard_indexes, key_of, remembered
from utils.duplicates.dictionary_index import index_path
from utils.records.duplicates import Duplicate


def test_decisions_are_remembered_while_their_key_holds(indexed):
    rows = [(0, Duplicate("a", "fly", "b", "bee", 0.5, 0.7, "same"))]
    assert remembered(indexed.source, "duplicates", key_of(1), lambda: rows) == rows
    assert remembered(indexed.source, "duplicates", key_of(1), lambda: []) == rows
    assert remembered(indexed.source, "duplicates", key_of(2), lambda: []) == []
    assert remembered(indexed.source, "duplicates", key_of(1), lambda: rows) == rows


def test_a_decision_that_cannot_be_read_is_made_anew(indexed):
    rows = [(0, Duplicate("a", "fly", "b", "bee", 0.5, 0.7, "same"))]
    remembered(indexed.source, "leaks", key_of(1), list)
    (path,) = indexed.target.parent.glob("*.leaks.json")
    for damaged in ("{", "[]", json.dumps({"key": key_of(1), "rows": [[0, "a"]]})):
        path.write_text(damaged)
        assert remembered(indexed.source, "leaks", key_of(1), lambda: rows) == rows


def test_indexes_without_a_dictionary_go_with_what_was_decided_by_them(indexed):
    folder, kept = indexed.target.parent, indexed.target
    other = index_path(indexed.source.with_name("gone.pkl"))
    for index in (kept, other):
        index.mkdir(exist_ok=True)
        for kind in KINDS:
            index.with_name(f"{index.name}.{kind}.json").touch()
    (folder / ".hidden").touch()
    assert discard_indexes(folder, [kept]) == [other.name]
    names = [kept.name, *(f"{kept.name}.{kind}.json" for kind in KINDS)]
    assert sorted(path.name for path in folder.iterdir()) == sorted([".hidden", *names])
    (folder / ".hidden").unlink()
    assert discard_indexes(folder, []) == [kept.name] and not folder.exists()
    assert discard_indexes(folder, []) == []
