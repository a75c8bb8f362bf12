"""Experiments held out and folded: whole groups, both classes, what overlaps together."""

import numpy as np
import pytest

from utils.files import safe_name
from utils.training.split import fold_by_group, group_names, group_patches, hold_out


def test_split_takes_whole_groups_with_enough_of_both_classes():
    """An eighth of the patches per source, each of one class: 15 % alone would be one source, of one class."""
    names = [f"s{i % 8}" for i in range(400)]
    good = np.arange(400) % 2 == 1
    groups = group_patches(names, 400)
    held = hold_out(groups, good, 0.15, 0)
    assert {names[i] for i in held}.isdisjoint(names[i] for i in np.setdiff1d(np.arange(400), held))
    assert len(held) == 100 and 20 <= good[held].sum() <= 80


def test_split_refuses_what_could_not_judge():
    few = group_patches(["a"] * 30 + ["b"] * 30 + ["c"] * 10, 70)
    assert len(hold_out(few, np.arange(70) >= 60, 0.15, 0)) == 0
    one_class = group_patches(["good"] * 50 + ["bad"] * 50, 100)
    assert len(hold_out(one_class, np.arange(100) < 50, 0.15, 0)) == 0


@pytest.mark.parametrize(("of_a_class", "groups_held"), [(20, 1), (19, 2)])
def test_twenty_of_a_class_can_judge(of_a_class, groups_held):
    groups = np.repeat(np.arange(7), 2 * of_a_class)
    held = hold_out(groups, np.arange(len(groups)) % 2 == 0, 0.15, 0)
    assert len(held) == 2 * of_a_class * groups_held and len(set(groups[held])) == groups_held


def test_the_same_groups_are_held_out_and_folded_by_every_version():
    """Whoever trains again with a seed compares with figures from before."""
    groups, good = np.repeat(np.arange(12), np.arange(20, 44, 2)), np.arange(372) % 3 == 0
    assert sorted(set(groups[hold_out(groups, good, 0.2, 1)].tolist())) == [6, 11]
    folds = fold_by_group(groups, good, 4, 1)
    assert [sorted(set(groups[fold].tolist())) for fold in folds] == [[3, 4, 11], [2, 5, 10], [0, 6, 9], [1, 7, 8]]


@pytest.mark.parametrize(("good", "folds"), [
    (np.arange(120) % 2 == 0, [[6, 9, 10], [0, 4, 7], [2, 8, 11], [1, 3, 5]]),
    (np.arange(120) % 7 < np.repeat([1, 2, 5], 40), [[2, 6, 10], [0, 5, 8], [3, 4, 9], [1, 7, 11]]),
])  # fmt: skip
def test_groups_of_one_size_are_dealt_by_the_seed(good, folds):
    groups = np.repeat(np.arange(12), 10)
    assert [sorted(set(groups[fold].tolist())) for fold in fold_by_group(groups, good, 4, 1)] == folds


def test_long_names_are_cut():
    groups = np.array([0, 0, 1, 1, 1])
    assert group_names(["a" * 39, "b" * 40, "c" * 90, "d", "e"], groups) == [
        "a" * 39 + "+" + "b" * 40, "c" * 80 + "+2more",
    ]  # fmt: skip
    assert group_names([], groups) == ["unknown", "unknown 2"]


def test_names_of_groups_are_names_of_files_and_apart():
    """So is each fold's table: of sources that are paths, unknown, long in bytes, or differ in case alone."""
    sources = ["../a", "b/c", "b_c", "B_C", "", "", "\u4e2d" * 80, "x\0y", "e\udce9"]
    names = group_names(sources, np.arange(len(sources)))
    assert names[:6] == ["_a", "b_c", "b_c 3", "B_C 4", "unknown", "unknown 6"]
    assert len({name.casefold() for name in names}) == len(sources)
    assert group_names(["a", "a 3", "A"], np.arange(3)) == ["a", "a 3", "A 3 3"]
    assert all(safe_name(f"{name}.checkpoint.pth") and not name.startswith(".") for name in names)


def test_groups_join_sources_that_show_the_same():
    groups = group_patches(["a", "a", "b", "b", "c", ""], 6, [(1, 2), (4, 4)])
    assert groups.tolist() == [0, 0, 0, 0, 1, 2]
    assert group_patches([], 4, [(0, 3)]).tolist() == [0, 1, 2, 0]
    assert group_names(["a", "a", "b", "b", "c", ""], groups) == ["a+b", "c", "unknown"]


def test_folds_leave_out_each_group_once_and_keep_both_classes():
    names = [f"s{i % 12}" for i in range(240)]
    good = np.array([int(name[1:]) % 3 > 0 for name in names])
    groups = group_patches(names, 240)
    folds = fold_by_group(groups, good, 5, 0)
    assert sorted(np.concatenate(folds)) == list(range(240)) and len(folds) == 5
    for fold in folds:
        assert not set(groups[fold]) & set(np.delete(groups, fold))
        assert 0 < np.delete(good, fold).sum() < len(good) - len(fold)
    assert max(map(len, folds)) - min(map(len, folds)) <= 40


def test_folds_by_patch_when_groups_hold_one_class():
    good = np.arange(80) < 40
    with pytest.warns(UserWarning, match=r"^2 groups of sources .* split by patch"):
        folds = fold_by_group(group_patches(["x"] * 40 + ["y"] * 40, 80), good, 5, 0)
    assert len(folds) == 5 and all(0 < good[fold].sum() < len(fold) for fold in folds)
    with pytest.warns(UserWarning, match=r"^1 groups of sources"):
        assert len(fold_by_group(np.zeros(80, int), good, 5, 0)) == 5
