"""utils/records/duplicates.py: the table of duplicates, written and read."""

import csv

import pytest

from utils.records.duplicates import COLUMNS, EXCLUDED_MARK, Duplicate, LeftOut, read_duplicates, save_duplicates


def test_the_table_round_trips_and_says_why(tmp_path):
    rows = [
        Duplicate("b", "2d/fly", "x-LOC-2d-0-9_0-9", f"{EXCLUDED_MARK}bench/x.png", 0.75, -0.8, "rot90 inverted"),
        Duplicate("a", "bee", "c", "3d/fly", 1.0, 1.0, "same"),
    ]
    path = tmp_path / "duplicates.csv"
    save_duplicates(path, rows[::-1])
    assert read_duplicates(path) == rows
    assert path.read_text().splitlines()[0] == ",".join(COLUMNS)
    left = LeftOut(read_duplicates(path))
    assert left.reasons(tmp_path / "2d" / "fly.pkl") == {"b": "excluded"}
    assert left.reasons(tmp_path / "bee.pkl") == {"a": "duplicate"}
    fly, bee = (left.digest(tmp_path / "2d" / name) for name in ("fly.pkl", "bee.pkl"))
    assert fly.startswith("1 patches (") and fly != bee
    assert LeftOut(rows[:1]).digest(tmp_path / "2d" / "fly.pkl") == fly
    assert left.reasons(tmp_path / "3d" / "fly.pkl") == {} == left.reasons(tmp_path / "fly.pkl")


def test_names_that_are_no_utf8_and_tables_that_excel_saved(tmp_path):
    rows = [Duplicate("a\udce4", "fl\udcff", "c", "bee", 1.0, 1.0, "same")]
    path = tmp_path / "duplicates.csv"
    save_duplicates(path, rows)
    assert read_duplicates(path) == rows
    path.write_text(",".join(COLUMNS) + "\nb,2d,c,2d,1,1,same\n", encoding="utf-16")
    assert [row.name for row in read_duplicates(path)] == ["b"]


def test_a_cell_without_end_is_a_sentence(tmp_path, monkeypatch):
    path = tmp_path / "duplicates.csv"
    path.write_text(",".join(COLUMNS) + f"\n{'a' * 99},b,c,d,1,1,same\n")
    before = csv.field_size_limit()
    monkeypatch.setattr("utils.table_text._LONGEST_CELL", 50)
    try:
        with pytest.raises(ValueError, match=r"duplicates\.csv.*field larger than field limit"):
            read_duplicates(path)
    finally:
        csv.field_size_limit(before)


def test_what_a_spreadsheet_has_saved_is_read(tmp_path):
    path = tmp_path / "duplicates.csv"
    path.write_text(";".join(COLUMNS) + "\na;b;c;excluded:d;0,9;-1;same\n", "utf-16")
    assert read_duplicates(path) == [Duplicate("a", "b", "c", "excluded:d", 0.9, -1.0, "same")]


def test_tables_of_another_kind_are_refused(tmp_path):
    path = tmp_path / "other.csv"
    path.write_text("name,score\n")
    with pytest.raises(ValueError, match="no table of duplicates"):
        read_duplicates(path)
    path.write_text(",".join(COLUMNS) + "\na,b,c,d,high,1,same\n")
    with pytest.raises(ValueError, match=r"\.csv:2: "):
        read_duplicates(path)
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ValueError, match=r"other\.csv: is no table"):
        read_duplicates(path)
