"""utils/ngff/table.py: what each cell of a row means, and what a row that means nothing says."""

from pathlib import Path

import pytest

from utils.ngff.dataset import Dataset
from utils.ngff.table import read_table


def read(tmp_path: Path, *lines: str) -> list[Dataset]:
    path = tmp_path / "sets.csv"
    path.write_text("\n".join(lines) + "\n")
    return read_table(path)


def row(tmp_path: Path, **cells: str) -> Dataset:
    (found,) = read(tmp_path, ",".join(["download_url", *cells]), ",".join(["s3://b/cell.zarr", *cells.values()]))
    return found


def test_a_bare_address_has_the_defaults(tmp_path):
    assert row(tmp_path) == Dataset("s3://b/cell.zarr", "cell")
    assert read(tmp_path, "URL", "s3://b/cell.zarr")[0].name == "cell"


def test_every_cell_has_its_place(tmp_path):
    cells = {"volume_name": "mine", "mip": "2", "voxel_x": "1", "voxel_y": "2", "voxel_z": "3.5", "crop": "False"}
    more = {"crop_size": "64", "invert": "yes", "padding_value": "255", "api": "CloudVolume"}
    expected = Dataset("s3://b/cell.zarr", "mine", 2, (3.5, 2.0, 1.0), False, 64, True, 255.0, True)
    assert row(tmp_path, **cells, **more) == expected


@pytest.mark.parametrize("empty", ["", "x", "None", "NaN", "n/a", "-"])
def test_empty_cells_say_nothing(tmp_path, empty):
    columns = ("mip", "voxel_x", "voxel_y", "voxel_z", "crop", "crop_size", "invert")
    assert row(tmp_path, **dict.fromkeys(columns, empty)) == Dataset("s3://b/cell.zarr", "cell")


def test_padding_may_be_nan(tmp_path):
    assert str(row(tmp_path, padding_value="NaN").padding_value) == "nan"


@pytest.mark.parametrize(
    ("column", "cell", "problem"),
    [
        ("mip", "-1", "mip is -1; expected a whole number of at least 0"),
        ("mip", "1.5", "mip is 1.5; expected a whole number of at least 0"),
        ("mip", "two", "mip is 'two'; expected a number"),
        ("crop_size", "0", "crop_size is 0; expected a whole number of at least 1"),
        ("crop_size", "8.5", "crop_size is 8.5; expected a whole number of at least 1"),
        ("voxel_y", "0", "voxel_y is 0; expected 0.01 to 1e+06 nm, or nothing"),
        ("voxel_y", "inf", "voxel_y is inf; expected 0.01 to 1e+06 nm, or nothing"),
        ("invert", "maybe", "invert is 'maybe'; expected true or false"),
        ("volume_name", ".mine", "volume_name '.mine' would be hidden; rename it"),
        ("volume_name", "a-LOC-b", "holds -LOC-, which separates"),
    ],
)
def test_what_cannot_be_meant_is_said_when_the_row_is_opened(tmp_path, column, cell, problem):
    found = row(tmp_path, **{"volume_name": "mine"} | {column: cell})
    assert problem in found.problem and found.name == "sets-line-2"
    assert str(found) == f"{tmp_path}/sets.csv:2 ({cell if column == 'volume_name' else 'mine'})"
    with pytest.raises(ValueError, match=r"expected|rename"):
        found.open()


def test_the_least_that_can_be_meant(tmp_path):
    found = row(tmp_path, mip="0", crop_size="1", voxel_z="0.01")
    assert (found.problem, found.level, found.crop_size, found.given_size[0]) == ("", 0, 1, 0.01)


def test_a_row_of_too_many_cells_stops_no_other(tmp_path):
    good, bad = read(tmp_path, "download_url", "# a comment", "s3://b/a.zarr,surplus", "s3://b/c.zarr,")
    assert (good.name, good.problem) == ("c", "")
    assert (bad.name, bad.problem) == ("sets-line-3", "2 cells, but 1 columns")


def test_a_row_without_an_address_says_so(tmp_path):
    (found,) = read(tmp_path, "volume_name,url", "mine,")
    assert found.problem == "no address: download_url is empty"


@pytest.mark.parametrize(("text", "reason"), [("", "found none"), ("a,b\n1,2\n", "found a, b"), ("url\n", "no rows")])
def test_a_table_of_something_else(tmp_path, text, reason):
    (tmp_path / "sets.csv").write_text(text)
    with pytest.raises(ValueError, match=reason):
        read_table(tmp_path / "sets.csv")
