"""The table of labels: several hands, steps taken back, what a power cut leaves, other people's columns."""

import csv

import pytest

from utils.collection.labels import LabelFile


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def labels(path):
    return {row["path"]: row["label"] for row in rows(path)}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "mine.csv"


def test_rows_are_appended_and_changed(path):
    table = LabelFile(path, "anna")
    table.put({"a": "good", "b": "bad"}, {"a": "fly"})
    inode = path.stat().st_ino
    table.put({"c": "none"}, {})
    assert path.stat().st_ino == inode  # appended
    table.put({"a": "bad", "d": "good"}, {"a": "other", "d": "bee"})
    assert path.stat().st_ino != inode and labels(path) == {"a": "bad", "b": "bad", "c": "none", "d": "good"}
    assert [(row["source"], row["who"]) for row in rows(path)] == [
        ("fly", "anna"),
        ("", "anna"),
        ("", "anna"),
        ("bee", "anna"),
    ]
    table.put({"b": ""}, {})
    assert labels(path) == table.labels() == {"a": "bad", "c": "none", "d": "good"}


def test_each_takes_back_their_own_steps_that_still_stand(path):
    anna, ben = LabelFile(path, "anna"), LabelFile(path, "ben")
    anna.put({"a": "good", "b": "good"}, {})
    ben.put({"a": "bad"}, {})
    anna.put({"c": "none"}, {})
    assert anna.undo() == ["c"] and labels(path) == {"a": "bad", "b": "good"}
    assert anna.undo() == ["a", "b"] and labels(path) == {"a": "bad"}  # what ben said since stays
    assert anna.undo() == [] and ben.undo() == ["a"] and labels(path) == {"a": "good"}
    assert LabelFile(path, "ben").undo() == []


def test_what_others_write_is_seen(path):
    anna, ben = LabelFile(path, "anna"), LabelFile(path, "ben")
    assert not anna.refresh()
    ben.put({"a": "good"}, {})
    assert anna.refresh() and anna.labels() == {"a": "good"} and not anna.refresh()
    anna.put({"b": "bad"}, {})
    assert not anna.refresh() and ben.refresh()


def test_what_a_power_cut_leaves(path):
    LabelFile(path, "anna").put({"a": "good"}, {})
    whole = path.read_text()
    path.write_text(whole + "b,ba")
    history = path.with_name(".mine.csv.history")
    history.write_text(history.read_text() + '{"who": "an')
    table = LabelFile(path, "anna")
    assert table.labels() == {"a": "good"}
    table.put({"c": "bad"}, {})
    assert labels(path) == {"a": "good", "c": "bad"} and path.read_text().startswith(whole)
    assert table.undo() == ["c"] or table.undo() == []


@pytest.mark.parametrize(
    "line",
    [
        b"[1, 2]", b"7", b'"anna"', b"null", b"{}", b"\xff\xfe", b'{"who": "anna"}', b'{"who": "anna", "changes": 3}',
        b'{"who": "anna", "changes": [["a", "good"]]}', b'{"who": "anna", "changes": {"a": 1}}',
    ],
)  # fmt: skip
def test_a_damaged_line_of_the_history_is_passed_over(path, line):
    LabelFile(path, "anna").put({"a\u2028b": "good"}, {})
    with path.with_name(".mine.csv.history").open("ab") as history:
        history.write(line + b"\n")
    table = LabelFile(path, "anna")
    table.put({"c": "bad"}, {})
    assert table.undo() == ["c"] and table.undo() == ["a\u2028b"] and table.undo() == []


def test_columns_of_others_stay(path):
    path.write_text("note,path,label\nmine,a, GOOD \n")
    table = LabelFile(path, "anna")
    assert table.labels() == {"a": "good"}
    table.put({"b": "bad"}, {"b": "fly"})
    assert [(row["note"], row["path"], row["label"], row["source"]) for row in rows(path)] == [
        ("mine", "a", " GOOD ", ""), ("", "b", "bad", "fly"),
    ]  # fmt: skip
    path.write_text("path,label\na,good\n")
    assert LabelFile(path, "anna").labels() == {"a": "good"}
    path.write_text("path,label,note\na\nb,good\n")
    LabelFile(path, "anna").put({"b": "bad"}, {})
    assert labels(path) == {"a": "", "b": "bad"}
    path.write_text('path,label\n"a,good\nb,bad\n')
    with pytest.raises(ValueError, match=r"mine\.csv: a quote is not closed"):
        LabelFile(path, "anna")
    path.write_text("name,label\na,b\n")
    with pytest.raises(ValueError, match=r"mine\.csv: columns are name, label; expected path,label\[,source\]"):
        LabelFile(path, "anna")
    path.write_text("path,label\na.png,good\n", "utf-16")
    with pytest.raises(ValueError, match=r"mine\.csv: is not in UTF-8"):
        LabelFile(path, "anna")


def test_half_a_row_on_a_full_disk_is_an_error_and_mended_by_the_next(tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "mine.csv"
    table = LabelFile(path, "anna")
    table.put({"a": "good"}, {})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 3, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            table.put({"b": "bad"}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_text().endswith("\nb,b")
    table.put({"c": "none"}, {})
    assert table.labels() == LabelFile(path, "bert").labels() == {"a": "good", "c": "none"}


def test_where_no_label_could_be_saved_is_known_before_the_first(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        LabelFile(tmp_path / "file" / "labels.csv", "anna")
