"""The judgement over a collection: leaks, then duplicates; decisions stand until something before them changes."""

import numpy as np
import pytest

from test_greedy import indexed
from tissue import cut, excluded_deeply, texture
from utils.duplicates import judge as room
from utils.duplicates.judge import ComparisonOptions, judge
from utils.records.duplicates import EXCLUDED

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
    assert rows[0].its_dictionary == f"{EXCLUDED}bench/test.png" and len(steps) == 2
    assert named(judge(dictionaries, [], OPTIONS)) == [("again", "two", "duplicate"), ("leak too", "two", "duplicate")]


def test_what_has_not_changed_is_not_decided_again(dictionaries, excluded, monkeypatch):
    first = judge(dictionaries, excluded, OPTIONS)

    def never(*_, **__):
        raise AssertionError

    monkeypatch.setattr(room, "find_duplicates", never)
    monkeypatch.setattr(room, "find_leaks", never)
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
