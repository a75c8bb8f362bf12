"""Tables of folds, and labels that folds doubt."""

from pathlib import Path

import numpy as np
import pytest

from utils.classification.decision import Decision
from utils.training.folds import OutOfFold, doubts_of, read_folds, write_fold
from utils.training.labels import Labelled


def four() -> Labelled:
    paths = tuple(Path(f"p{i}.png") for i in range(4))
    return Labelled(
        paths, (np.zeros((4, 4), np.uint8),) * 4, np.array([True, False, True, False]), ("a", "a", "b", "b")
    )


def rows(data: Labelled, left: set[int], value: float) -> list[tuple[Path, bool, bool, float, float]]:
    return [(p, bool(data.good[i]), i in left, value + i, i / 10) for i, p in enumerate(data.paths)]


def test_tables_of_folds_come_together(tmp_path):
    data = four()
    write_fold(tmp_path / "1.csv", rows(data, {0, 1}, 10))
    write_fold(tmp_path / "2.csv", rows(data, {2, 3}, 20))
    seen = read_folds([tmp_path / "1.csv", tmp_path / "2.csv"], data)
    assert seen.logits.tolist() == [10, 11, 22, 23] and seen.fold_of.tolist() == [0, 0, 1, 1]
    assert seen.all_logits.tolist() == [[10, 11, 12, 13], [20, 21, 22, 23]]
    assert seen.distances.tolist() == pytest.approx([0, 0.1, 0.2, 0.3])


def test_names_that_are_no_utf8_keep_their_bytes(tmp_path):
    write_fold(tmp_path / "1.csv", [(Path("p\udce4.png"), True, True, 0.5, 0.1)])
    assert (tmp_path / "1.csv").read_bytes().splitlines()[1] == b"p\xe4.png,1,1,0.50000,0.10000"


def test_tables_of_other_labels_are_refused(tmp_path):
    data = four()
    write_fold(tmp_path / "1.csv", rows(data, {0, 1}, 10))
    with pytest.raises(ValueError, match=r"p2\.png was never left out"):
        read_folds([tmp_path / "1.csv"], data)
    write_fold(tmp_path / "2.csv", [(Path("other.png"), True, True, 0.0, 0.0)])
    with pytest.raises(ValueError, match=r"made from other labels.*other\.png"):
        read_folds([tmp_path / "2.csv"], data)
    write_fold(tmp_path / "2.csv", rows(data, {2, 3}, 20)[:3])
    with pytest.raises(ValueError, match="made from other labels"):
        read_folds([tmp_path / "1.csv", tmp_path / "2.csv"], data)


def test_a_patch_may_be_listed_twice(tmp_path):
    data = four().subset(np.array([0, 1, 2, 1]))
    for k, left in enumerate(({0, 1}, {2, 3})):
        write_fold(tmp_path / f"{k}.csv", rows(data, left, 10 * k))
    seen = read_folds([tmp_path / "0.csv", tmp_path / "1.csv"], data)
    assert seen.logits.tolist() == [0, 1, 12, 13] and seen.fold_of.tolist() == [0, 0, 1, 1]


def test_doubts_are_what_all_contradict_or_one_surely():
    good = np.array([True, True, True, True, False])
    every = np.array([[-1.0, -1, 5, 1, 5], [-1, 5, -1, -1, 5], [-1, 5, 5, 1, -5]])
    left_out = np.array([-1.0, -1, 5, -9, 5])
    found = doubts_of(OutOfFold(left_out, left_out, np.zeros(5, int), every), good, Decision())
    assert [(doubt.index, doubt.against) for doubt in found] == [(0, 3), (4, 2), (3, 1)]
    assert found[1].score > 0.99 and found[0].folds == 3
    every = np.array([[-1.0, -1, -9, 0], [-1, -2, -9, 0], [-1, -1, -9, 1]])
    found = doubts_of(OutOfFold(every[0], every[0], np.zeros(4, int), every), np.ones(4, bool), Decision())
    assert [doubt.index for doubt in found] == [2, 0, 1]  # surest first, then as they stand
    tied = np.array([[1.0], [0.0]])  # the second does not contradict a bad label
    assert doubts_of(OutOfFold(tied[0], tied[0], np.zeros(1, int), tied), np.zeros(1, bool), Decision()) == []
    calibrated = doubts_of(
        OutOfFold(every[0], every[0], np.zeros(4, int), every), np.ones(4, bool), Decision(scale=2.0, bias=3.0)
    )
    assert [doubt.index for doubt in calibrated] == [2]
    assert calibrated[0].score == pytest.approx(1 / (1 + np.exp(15)))
