"""The judgement over a collection: leaks, then duplicates; decisions stand until something before them changes."""

import json

import numpy as np
import pytest

from test_greedy import indexed
from tissue import cut, excluded_deeply, texture
from utils.duplicates import judge as room
from utils.duplicates.dictionary_index import index_path
from utils.duplicates.judge import KINDS, ComparisonOptions, digest_of, discard_indexes, judge, remember, remembered
from utils.records.duplicates import EXCLUDED_MARK, Duplicate

OPTIONS = ComparisonOptions(0.5, False, False)


@pytest.fixture
def dictionaries(tmp_path):
    """Two dictionaries that share a patch; one patch of each shows an excluded image."""
    a, b = cut(texture(40), 0, 0), cut(texture(41), 0, 0)
    bench = texture(20, (400, 400))
    return [
        indexed(tmp_path, "one", {"leak": cut(bench, 33, 60), "a": a}),
        indexed(tmp_path, "two", {"again": a // 8 * 8, "b": b, "leak too": cut(bench, 40, 66)}),
    ]


@pytest.fixture
def excluded(tmp_path):
    folder = tmp_path / "bench"
    folder.mkdir()
    return excluded_deeply(folder, {"test": texture(20, (400, 400))}).sources


def named(rows):
    return [(row.name, row.dictionary, row.reason) for row in rows]


def test_leaks_and_duplicates_each_once(dictionaries, excluded):
    steps = []
    rows = judge(dictionaries, excluded, OPTIONS, step=lambda: steps.append(1))
    assert named(rows) == [("leak", "one", "excluded"), ("leak too", "two", "excluded"), ("again", "two", "duplicate")]
    assert rows[0].its_dictionary == f"{EXCLUDED_MARK}bench/test.png" and len(steps) == 2
    assert named(judge(dictionaries, [], OPTIONS)) == [("again", "two", "duplicate"), ("leak too", "two", "duplicate")]


def test_what_has_not_changed_is_not_decided_again(dictionaries, excluded, monkeypatch):
    first = judge(dictionaries, excluded, OPTIONS)

    def never(*_, **__):
        raise AssertionError

    monkeypatch.setattr(room, "find_duplicates", never)
    monkeypatch.setattr(room, "find_leaks", never)
    assert judge(dictionaries, excluded, OPTIONS) == first
    size, _, content = excluded[0].index.meta["source"]
    excluded[0].index.meta["source"] = [size, 7, content]  # of another date
    assert judge(dictionaries, excluded, OPTIONS) == first
    for options in (ComparisonOptions(0.6, False, False), ComparisonOptions(0.5, False, True)):
        with pytest.raises(AssertionError):
            judge(dictionaries, excluded, options)
    with pytest.raises(AssertionError):
        judge(dictionaries[::-1], excluded, OPTIONS)


def test_a_decision_that_stands_still_represents(dictionaries, tmp_path):
    judge(dictionaries[:1], [], OPTIONS)
    assert named(judge(dictionaries, [], OPTIONS))[0] == ("again", "two", "duplicate")
    again, b = (np.ascontiguousarray(dictionaries[1].patch(row)) for row in (0, 1))
    third = indexed(tmp_path, "three", {"c": b, "d": again})
    found = {row.name: row.duplicate_of for row in judge([*dictionaries, third], [], OPTIONS)}
    assert (found["c"], found["d"]) == ("b", "a")


def test_decisions_are_remembered_while_their_key_holds(indexed):
    rows = [(0, Duplicate("a", "fly", "b", "bee", 0.5, 0.7, "same"))]
    assert remembered(indexed.source, "duplicates", digest_of(1)) is None
    assert remember(indexed.source, "duplicates", digest_of(1), rows) == rows
    assert remembered(indexed.source, "duplicates", digest_of(1)) == rows
    assert remembered(indexed.source, "duplicates", digest_of(2)) is None
    assert remember(indexed.source, "duplicates", digest_of(2), []) == []
    assert remembered(indexed.source, "duplicates", digest_of(1)) is None


def test_a_decision_that_cannot_be_read_is_made_anew(indexed):
    remember(indexed.source, "leaks", digest_of(1), [])
    (path,) = indexed.target.parent.glob("*.leaks.json")
    for damaged in ("{", "[]", json.dumps({"key": digest_of(1), "rows": [[0, "a"]]})):
        path.write_text(damaged)
        assert remembered(indexed.source, "leaks", digest_of(1)) is None


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
