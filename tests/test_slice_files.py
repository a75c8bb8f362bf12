"""Files of slices: numbered up and down, listed, and what is no numbering."""

import pytest

from utils.formats.slice_files import are_named, slice_files


@pytest.mark.parametrize(("data_file", "many"), [
    ("a.raw", False), ("list.raw", True), ("LIST", True), ("list 2", True), ("s%03d.raw 1 3 1", True),
])  # fmt: skip
def test_which_data_files_are_many(data_file, many):
    assert are_named(data_file) is many


@pytest.mark.parametrize(("data_file", "names"), [
    ("s%d.raw 1 3 1", ["s1.raw", "s2.raw", "s3.raw"]), ("s%03d.raw 5 0 -2", ["s005.raw", "s003.raw", "s001.raw"]),
    ("%10d 9 10 1 2", ["         9", "        10"]), ("s%d 3 1 1", []), ("s%d 1 2 10", ["s1"]),
    ("s%d -1 0 1", ["s-1", "s0"]),
])  # fmt: skip
def test_numbered_files(tmp_path, data_file, names):
    count, files = slice_files(tmp_path / "a.nhdr", data_file)
    assert (count, list(files)) == (len(names), names)


@pytest.mark.parametrize(
    "data_file", ["s%100d 1 2 1", "s%s 1 2 1", "s%d%d 1 2 1", "s%d 1 2 0", "s%d 1 2", f"s%d 1 1{12 * '0'} 1"]
)
def test_what_is_no_numbering(tmp_path, data_file):
    with pytest.raises(ValueError, match="expected a number in it"):
        slice_files(tmp_path / "a.nhdr", data_file)


@pytest.mark.parametrize("field", ["ElementDataFile = LIST 2", "data file:list", "datafile\t: LIST \r"])
def test_listed_files_are_those_below_the_last_field(tmp_path, field):
    header = tmp_path / "a.mhd"
    header.write_bytes(f"{field}\nold.raw\n{field}\n\n b a.raw \r\nc.raw\n".encode())
    count, files = slice_files(header, field.partition("=" if "=" in field else ":")[2].strip())
    assert (count, list(files)) == (2, ["b a.raw", "c.raw"])
