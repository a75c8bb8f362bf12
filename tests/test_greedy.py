"""Duplicates within a collection: who represents whom, and how patches of other sizes are compared."""

import cv2
import numpy as np
import pytest

from tissue import cut, dictionary, texture
from utils.duplicates import greedy
from utils.duplicates.dictionary_index import Dictionary, index_dictionary, index_path
from utils.duplicates.embedding import view_of
from utils.duplicates.greedy import Representatives, as_row, compare_views, find_duplicates
from utils.duplicates.index_file import read_index
from utils.duplicates.verify import sizes_of
from utils.jobs import Job


def compare_patches(first, second):
    return compare_views(first, sizes_of(second))


def test_patches_of_other_sizes_and_shapes():
    patch = cut(texture(5), 0, 0)
    small = cv2.resize(patch, (112, 112), interpolation=cv2.INTER_AREA)
    assert compare_patches(patch, small).similarity > 0.99 and compare_patches(small, patch).similarity > 0.99
    assert compare_patches(patch, patch[:, :150]).similarity == 0  # another field
    for side, told in ((55, False), (56, True)):  # smaller ones cannot be told apart
        small = cv2.resize(patch, (side, side), interpolation=cv2.INTER_AREA)
        assert (compare_patches(small, small).similarity > 0) is told
        assert (compare_patches(patch, small).similarity > 0) is told


@pytest.mark.parametrize(("shape", "alike"), [((110, 100), True), ((111, 100), False), ((100, 110), True),
                                              ((100, 111), False)])  # fmt: skip
def test_sides_may_differ_by_a_tenth(shape, alike):
    patch = texture(5, (200, 200))
    first, second = (cv2.resize(patch, size[::-1], interpolation=cv2.INTER_AREA) for size in (shape, (100, 100)))
    assert (compare_patches(first, second).similarity > 0.9) is alike


def indexed(folder, name, patches):
    """A dictionary with its index."""
    path = dictionary(folder / f"{name}.pkl", patches)
    job = Job(path, index_path(path))
    index_dictionary(job)
    return Dictionary(path, name, read_index(job.target))


@pytest.fixture
def dictionaries(tmp_path):
    """The second holds copies of the first's a, turned, and b, darker; the third one of the second's."""
    a, b, c = (cut(texture(seed), 0, 0) for seed in (40, 41, 42))
    return [
        indexed(tmp_path, "one", {"a": a, "b": b}),
        indexed(tmp_path, "two", {"new": c, "turned": np.ascontiguousarray(view_of(a, 5)), "dark": b // 2}),
        indexed(tmp_path, "three", {"copy": c.copy()}),
    ]


def test_the_preferred_ones_are_kept(dictionaries):
    representatives = Representatives(dictionaries)
    found = []
    for which, each in enumerate(dictionaries):
        duplicates = find_duplicates(representatives, which, np.zeros(len(each), bool))
        found += [as_row(representatives, which, row, match) for row, match in duplicates]
    assert [(row.name, row.dictionary, row.duplicate_of, row.its_dictionary) for row in found] == [
        ("turned", "two", "a", "one"), ("dark", "two", "b", "one"), ("copy", "three", "new", "two"),
    ]  # fmt: skip
    assert found[1].orientation == "same" != found[0].orientation and found[2].similarity == 1.0
    assert min(row.similarity for row in found) > 0.9
    assert representatives.kept.tolist() == [True, True, True, False, False, False]
    assert [representatives.where(owner) for owner in (0, 2, 4, 5)] == [
        (dictionaries[0], 0), (dictionaries[1], 0), (dictionaries[1], 2), (dictionaries[2], 0),
    ]  # fmt: skip


def test_what_is_left_out_represents_nothing(dictionaries):
    representatives = Representatives(dictionaries)
    assert find_duplicates(representatives, 0, np.array([True, False])) == []
    assert [row for row, _ in find_duplicates(representatives, 1, np.array([False, False, True]))] == []
    assert representatives.kept.tolist() == [False, True, True, True, False, False]
    representatives.kept[2] = False
    assert find_duplicates(representatives, 2, np.zeros(1, bool)) == []


@pytest.mark.parametrize("within", [False, True])
def test_within_one_dictionary_only_where_it_is_asked_for(tmp_path, within):
    a, b = cut(texture(40), 0, 0), cut(texture(41), 0, 0)
    one = indexed(tmp_path, "one", {"a": a, "b": b, "again": a.copy(), "third": a.copy()})
    representatives = Representatives([one], within=True) if within else Representatives([one])
    found = find_duplicates(representatives, 0, np.zeros(4, bool))
    assert [(row, match.owner) for row, match in found] == ([(2, 0), (3, 0)] if within else [])
    assert representatives.kept.tolist() == ([True, True, False, False] if within else [True] * 4)


def test_inverted_copies_are_named_so(tmp_path):
    a = cut(texture(40), 0, 0)
    both = [indexed(tmp_path, "one", {"a": a}), indexed(tmp_path, "two", {"b": 255 - a})]
    representatives = Representatives(both)
    find_duplicates(representatives, 0, np.zeros(1, bool))
    ((row, match),) = find_duplicates(representatives, 1, np.zeros(1, bool))
    row = as_row(representatives, 1, row, match)
    assert "inverted" in row.orientation and row.correlation < -0.99
    strict = Representatives(both, 1.01)
    find_duplicates(strict, 0, np.zeros(1, bool))
    assert find_duplicates(strict, 1, np.zeros(1, bool)) == []


def test_candidates_are_few_and_each_comes_once(tmp_path, monkeypatch):
    a = cut(texture(40), 0, 0)
    both = [
        indexed(tmp_path, "one", {"a": a, "again": a.copy(), "b": cut(texture(41), 0, 0)}),
        indexed(tmp_path, "two", {"c": a}),
    ]
    representatives = Representatives(both)
    representatives.add(0, np.arange(3))
    monkeypatch.setattr(greedy, "ALIKE", 0.0)  # in many views at once
    assert [owner for owner, _ in representatives._candidates(1, np.arange(1))[0]] == [0, 1, 2]
    monkeypatch.setattr(greedy, "MOST_NEAR", 1)
    monkeypatch.setattr(greedy, "MOST", 2)
    assert [owner for owner, _ in representatives._candidates(1, np.arange(1))[0]] == [0, 2]
    representatives.kept[0] = False
    assert [owner for owner, _ in representatives._candidates(1, np.arange(1))[0]] == [1, 2]


def test_of_any_number_of_pairs_the_most_alike_are_found_a_few_at_a_time():
    rng = np.random.default_rng(0)
    place, owner, view = (rng.integers(0, most, 2000) for most in (5, 60, 8))
    cosine = rng.integers(70, 100, 2000).astype(np.float32) / 100  # many are as alike
    expected = []
    for p in range(5):
        best = {}
        for c, o, v in sorted(zip(-cosine[place == p], owner[place == p], view[place == p], strict=True)):
            best.setdefault(o, (c, o, v))
        expected += [(p, o, v) for _, o, v in sorted(best.values())[: greedy.MOST + greedy.MOST_NEAR]]
    parts, least = [greedy._NO_PAIRS], np.full(5, greedy.ALIKE, np.float32)
    for start in range(0, 2000, 130):
        some = [column[start : start + 130] for column in (place, owner, view, cosine)]
        enough = some[3] >= least[some[0]]
        parts = [greedy._most_alike([*parts, tuple(column[enough] for column in some)], least)]
    assert [tuple(row) for row in np.stack(parts[0][:3], axis=1).tolist()] == expected
    assert (least > 0.9).all() and greedy._most_alike([greedy._NO_PAIRS], least)[0].shape == (0,)
