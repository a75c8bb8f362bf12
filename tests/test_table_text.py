"""utils/table_text.py: tables as spreadsheets of any country write them."""

import csv
import os

import pytest

from utils import memory
from utils.table_text import number_in, open_text, read_rows, write_rows

ROWS = [["name", "voxel_z", "note"], ["fly", "50", "Müller"], ["", "", ""], ["# off", "1", ""], ["mouse", "", ""]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_any_spreadsheet(tmp_path, encoding, delimiter, end):
    (tmp_path / "a.csv").write_bytes(end.join(map(delimiter.join, ROWS)).encode(encoding))
    with open_text(tmp_path / "a.csv") as file:
        assert list(csv.reader(file, delimiter=delimiter)) == ROWS
    columns, rows = read_rows(tmp_path / "a.csv")
    assert columns == ROWS[0]
    assert [(row.line, dict(row.cells)) for row in rows] == [
        (2, {"name": "fly", "voxel_z": "50", "note": "Müller"}),
        (5, {"name": "mouse", "voxel_z": "", "note": ""}),
    ]


def test_short_rows_quotes_and_comments_before_the_header(tmp_path):
    (tmp_path / "a.csv").write_text('# by; hand; of me\n\n Name , Note\n"a, b"\nc, "d ""e"""\nf,,,\n')
    columns, rows = read_rows(tmp_path / "a.csv")
    assert columns == ["name", "note"]
    assert [dict(row.cells) for row in rows] == [
        {"name": "a, b", "note": ""},
        {"name": "c", "note": 'd "e"'},
        {"name": "f", "note": ""},
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_spreadsheets_line_about_its_delimiter(tmp_path, delimiter):
    (tmp_path / "a.csv").write_text(f"sep={delimiter}\nname{delimiter}note\nfly{delimiter}x\n", "utf-8-sig")
    columns, rows = read_rows(tmp_path / "a.csv")
    assert columns == ["name", "note"] and [dict(row.cells) for row in rows] == [{"name": "fly", "note": "x"}]


@pytest.mark.parametrize("inside", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_what_ends_no_row(tmp_path, inside):
    """Cells that were pasted hold breaks of spreadsheets and PDFs: what follows them is still of the row."""
    (tmp_path / "a.csv").write_bytes(f"name,note,license\nfly,Mus{inside}musculus,CC0\n".encode())
    _, rows = read_rows(tmp_path / "a.csv")
    assert [dict(row.cells) for row in rows] == [
        {"name": "fly", "note": f"Mus{inside}musculus", "license": "CC0"},
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_cells_of_several_lines(tmp_path, end):
    (tmp_path / "a.csv").write_bytes(end.join(["name,note", '"fly","a', 'b"', "mouse,c", ""]).encode())
    _, rows = read_rows(tmp_path / "a.csv")
    assert [row.cells["name"] for row in rows] == ["fly", "mouse"]
    assert rows[0].cells["note"].split() == ["a", "b"]


def test_as_many_columns_as_there_are(tmp_path):
    names = ["name", *(f"c{i}" for i in range(200_000))]
    (tmp_path / "a.csv").write_text(",".join(names) + "\nfly\n")
    columns, rows = read_rows(tmp_path / "a.csv")
    assert columns == names and len(rows[0].cells) == len(names)


def test_an_empty_table(tmp_path):
    (tmp_path / "a.csv").write_text("")
    assert read_rows(tmp_path / "a.csv") == ([], [])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"name\nM\xfcller\n", r"a\.csv: is not a text file in UTF-8 or UTF-16: .* at byte 6"),
        (b"name,note\na,b,c\n", r"a\.csv:2: 3 cells, but 2 columns"),
        (b"name,note,Name\n", r"a\.csv: two columns are called name"),
        (b'name,note\na,"b\nc"\nd,"e\nf,g\n', r"a\.csv:4: a quote is opened and not closed"),
    ],
)
def test_what_is_no_table_is_a_sentence(tmp_path, content, reason):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        read_rows(tmp_path / "a.csv")


def test_long_cells_are_read_and_endless_ones_refused(tmp_path):
    (tmp_path / "a.csv").write_text("name,notes\na," + "x" * 200_000 + "\n")
    assert len(read_rows(tmp_path / "a.csv")[1][0].cells["notes"]) == 200_000
    (tmp_path / "a.csv").write_text("name,notes\na," + "x" * 20_000_000 + "\n")
    with pytest.raises(ValueError, match="is no table: field larger than field limit"):
        read_rows(tmp_path / "a.csv")


def test_what_is_no_regular_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.csv")
    for read in (read_rows, open_text):
        with pytest.raises(ValueError, match=r"a\.csv is a pipe, expected a file"):
            read(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text("name\n" + "a\n" * 999)
    with memory.limited_to(1e-6), pytest.raises(ValueError, match=r"the table takes .*--max-gb"):
        read_rows(tmp_path / "b.csv")


def test_what_is_written_is_read_and_names_that_are_none_keep_their_bytes(tmp_path):
    rows = [["name", "note"], [os.fsdecode(b"M\xfcller"), 'a "b", c'], ["Müller", "d\r\ne"]]
    write_rows(tmp_path / "a.csv", rows)
    content = (tmp_path / "a.csv").read_bytes()
    assert content == b'name,note\nM\xfcller,"a ""b"", c"\nM\xc3\xbcller,"d\r\ne"\n'
    with open_text(tmp_path / "a.csv") as file:
        assert list(csv.reader(file)) == rows
    (tmp_path / "b.csv").write_bytes("name\n".encode("utf-16") + b"\0\xd8a\0")  # half of a character
    with open_text(tmp_path / "b.csv") as file, pytest.raises(UnicodeDecodeError):
        file.read()


@pytest.mark.parametrize(
    ("text", "number"), [("1.5", 1.5), ("1,5", 1.5), ("-2", -2), ("", None), ("N/A", None), ("unknown", None)]
)
def test_numbers_in_cells(text, number):
    assert number_in({"voxel_z": text}, "voxel_z") == number
    assert number_in({}, "voxel_z") is None
    with pytest.raises(ValueError, match="voxel_z is '4 nm'; expected a number"):
        number_in({"voxel_z": "4 nm"}, "voxel_z")
