"""utils/records/scores.py: what is written is read back."""

import numpy as np
import pytest

from utils.records.scores import (
    Score,
    distances_path,
    is_scores_table,
    load_distances,
    read_scores,
    save_distances,
    save_scores,
)

ROWS = [
    Score("a,b", 0.25, False, "low score"),
    Score("c\nd\r", 1.0, True, "kept"),
    Score("é", 0.9, False, "duplicate"),
]


def test_scores_round_trip(tmp_path):
    save_scores(tmp_path / "a.csv", ROWS, reasons=True)
    assert list(read_scores(tmp_path / "a.csv")) == ROWS
    save_scores(tmp_path / "b.csv", ROWS[:2])
    assert list(read_scores(tmp_path / "b.csv")) == ROWS[:2]
    assert (tmp_path / "b.csv").read_text().startswith("name,score,kept\n")


@pytest.mark.parametrize(("delimiter", "encoding"), [(",", "utf-8"), (";", "utf-8-sig"), ("\t", "utf-16")])
def test_what_a_spreadsheet_has_saved_says_the_same(tmp_path, delimiter, encoding):
    first = f"sep={delimiter}\r\n" if delimiter == ";" else ""
    point = "," if delimiter == ";" else "."
    rows = [["name", "score", "kept"], ["a", f"0{point}75", "TRUE"], ["é", "0", "FALSE"]]
    (tmp_path / "a.csv").write_text(first + "".join(delimiter.join(row) + "\r\n" for row in rows), encoding, newline="")
    assert is_scores_table(tmp_path / "a.csv")
    expected = [Score("a", 0.75, True, "kept"), Score("é", 0.0, False, "low score")]
    assert list(read_scores(tmp_path / "a.csv")) == expected


def test_other_tables_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("path,label\n")
    with pytest.raises(ValueError, match="expected the columns name, score, kept"):
        list(read_scores(tmp_path / "a.csv"))
    assert not is_scores_table(tmp_path / "a.csv") and is_scores_table(tmp_path / "gone.csv")


def test_damaged_rows_are_named(tmp_path):
    (tmp_path / "a.csv").write_text("name,score,kept\nfirst,0.5,True\nsecond,high,True\n")
    assert is_scores_table(tmp_path / "a.csv")
    for damaged, why in (("high,True", "high"), ("0.5,WAHR", "kept is 'WAHR'"), ("0.5", "cells are missing")):
        (tmp_path / "a.csv").write_text(f"name,score,kept\nfirst,0.5,True\nsecond,{damaged}\n")
        with pytest.raises(ValueError, match=rf"a\.csv:3: a damaged row .*{why}"):
            list(read_scores(tmp_path / "a.csv"))


def test_what_is_saved_is_loaded(tmp_path):
    table = tmp_path / "a.csv"
    assert load_distances(table).shape == (0,)
    save_distances(table, np.array([0.5, 1.25, 2.00004]))
    assert distances_path(table) == tmp_path / ".recipes" / "a.csv.distances"
    assert load_distances(table).tolist() == [0.5, 1.25, 2.0]
    kept = distances_path(table).read_bytes()
    distances_path(table).write_bytes(b"0.5\nnone\n")
    with pytest.raises(ValueError, match=r"\.distances: damaged; remove it"):
        load_distances(table)
    distances_path(table).write_bytes(kept)


def test_weights_that_know_no_distance_leave_none(tmp_path):
    table = tmp_path / "a.csv"
    save_distances(table, np.array([0.5]))
    save_distances(table, np.array([0.5, np.nan]))
    assert load_distances(table).size == 0 and not distances_path(table).exists()
    save_distances(table, np.array([np.nan]))


def test_folders_that_are_not_there_are_made(tmp_path):
    save_distances(tmp_path / "deep/folder/a.csv", np.array([0.5]))
    assert load_distances(tmp_path / "deep/folder/a.csv").tolist() == [0.5]
