"""utils/dataset_table.py: what a table states of a volume reaches it and wins, aloud; what makes no sense is said."""

import argparse
import warnings

import numpy as np
import pytest

from utils.cli import UsageError, add_run_options
from utils.dataset_table import (
    NOT_GIVEN,
    NOTHING_STATED,
    DatasetTable,
    Stated,
    TableOptions,
    add_table_options,
    read_dataset_table,
)
from utils.formats.writers import write_nrrd
from utils.volumes import open_volume


def opened(folder, size):
    write_nrrd(folder / "a.nrrd", np.zeros((2, 3, 4), np.uint8), size)
    return open_volume(folder / "a.nrrd")


@pytest.mark.parametrize(
    ("header", "given", "taken"),
    [
        (None, (50.0, 4.0, 4.0), (50, 4, 4)),
        ((50, 4, 4), (50.2, 4.0, 4.0), (50.2, 4, 4)),
        ((50, 4, 4), (None, 4.0, None), (50, 4, 4)),
        ((50, 4, 4), NOT_GIVEN, (50, 4, 4)),
    ],
)
def test_what_the_header_lacks_is_filled_in(tmp_path, header, given, taken):
    with opened(tmp_path, header) as volume, warnings.catch_warnings(action="error"):
        assert Stated(given, where="a table").applied(volume) is volume
        assert volume.voxel_size == taken


def test_where_nothing_is_stated_the_header_is_left_alone(tmp_path):
    with opened(tmp_path, None) as volume:
        before = volume.header_size
        assert Stated().applied(volume) is volume and volume.header_size is before


def test_a_contradiction_is_said_and_the_table_wins(tmp_path):
    with opened(tmp_path, (50, 4, 4)) as volume:
        with pytest.warns(UserWarning) as said:
            Stated((None, 5.0, 5.0), where="datasets.csv:2").applied(volume)
        assert volume.voxel_size == (50, 5, 5)
    assert str(said[0].message) == (
        "voxel size: the header says 50 x 4 x 4 nm, datasets.csv:2 50 x 5 x 5 nm (z, y, x): the latter is taken"
    )


def test_a_size_that_is_given_in_part(tmp_path):
    with opened(tmp_path, None) as volume:
        Stated((None, 5.0, 5.0), where="datasets.csv:2").applied(volume)
        with pytest.warns(UserWarning, match="missing: the header has none, and datasets.csv:2 has no voxel_z"):
            assert volume.voxel_size is None


def test_a_statement_that_cannot_be_used_closes_the_volume(tmp_path):
    volume = opened(tmp_path, (50, 4, 4))
    with pytest.raises(ValueError, match=r"^no good$"):
        Stated(problem="no good").applied(volume)
    with pytest.raises(ValueError, match="closed"):
        volume[:]


def test_what_else_is_stated():
    assert Stated((50.0, None, 4.0)).options() == {"voxel-size": [50.0, None, 4.0]}


def test_copies_of_larger_voxels():
    stated = Stated((50.0, None, 4.1), (("license", "CC0"),), "a table")
    assert stated.scaled((1, 2, 3)) == Stated((50.0, None, 12.3), (("license", "CC0"),), "a table")
    assert stated.scaled(None) == Stated(NOT_GIVEN, (("license", "CC0"),), "a table")


def test_a_size_for_a_file_without_header():
    assert Stated((50.0, 4.0, 4.0)).whole_size() == (50, 4, 4)
    assert Stated((None, 4.0, 4.0)).whole_size() is None
    with pytest.raises(ValueError, match="no good"):
        Stated(problem="no good").whole_size()


TABLE = """name,voxel_z,voxel_y,voxel_x,organism,license
fly,50,4,4,Drosophila s3://key@b,CC0
mouse.nii.gz,10,10,10,Mus musculus,
fish.zarr,30,8,8,,
film,,5,5,,
film.v2.mp4,,,,Danio,
own_bin2,1,2,3,,
"""


@pytest.fixture
def table(tmp_path) -> DatasetTable:
    (tmp_path / "datasets.csv").write_text(TABLE)
    return TableOptions().in_folder(tmp_path)


@pytest.mark.parametrize(
    ("volume", "size", "line"),
    [
        ("fly", (50, 4, 4), 2),
        ("fly-ROI-x0-9_y0-9_z0-9", (50, 4, 4), 2),
        ("fly_bin2", (100, 8, 8), 2),
        ("fly_bin4xy", (50, 16, 16), 2),
        ("fly_bin2_bin2-ROI-x0-9_y0-9_z0-9", (200, 16, 16), 2),
        ("fly_s0", (50, 4, 4), 2),
        ("fly_s1", NOT_GIVEN, 2),
        ("fly_s0_bin2", (100, 8, 8), 2),
        ("fly_s3_bin2", NOT_GIVEN, 2),
        ("fly_video", (50, 4, 4), 2),
        ("mouse", (10, 10, 10), 3),
        ("mouse-LOC-0_1_0-9_0-9", (10, 10, 10), 3),
        ("fish_s0", (30, 8, 8), 4),
        ("film_video", (None, 5, 5), 5),
        ("film.v2_video", NOT_GIVEN, 6),
        ("own_bin2", (1, 2, 3), 7),
    ],
)
def test_rows_are_found_by_what_a_volume_is_made_of(table, volume, size, line):
    stated = table.of(volume)
    assert (stated.voxel_size, stated.where, stated.problem) == (size, f"datasets.csv:{line}", "")


@pytest.mark.parametrize("volume", ["flying", "fl", "fly2", "FLY", "own", "mouse.nii", "x"])
def test_other_names_are_other_volumes(table, volume):
    assert table.of(volume) == NOTHING_STATED


def test_free_columns_travel(table):
    assert dict(table.of("fly_bin2").fields) == {"organism": "Drosophila s3://***@b", "license": "CC0"}
    assert table.of("fish_s0").fields == ()


def test_names_that_match_nothing_are_said(table, capsys):
    table.say_unmatched(["fly-ROI-x0-9_y0-9_z0-9", "mouse", "film_video"])
    assert capsys.readouterr().err == f"{table.path}: no volume here is called fish.zarr, film.v2.mp4, own_bin2\n"
    table.say_unmatched(["fly", "mouse", "film_video", "own_bin2"])
    assert capsys.readouterr().err == f"{table.path}: no volume here is called fish.zarr, film.v2.mp4\n"
    table.say_unmatched([], quiet=True)
    table.say_unmatched(["fly", "mouse", "film", "fish_s0", "film.v2_video", "own_bin2"])
    assert capsys.readouterr().err == ""


def test_one_size_for_a_whole_run(table, tmp_path):
    everywhere = TableOptions(voxel_size=(7.0, 6.0, 5.0)).in_folder(tmp_path)
    assert everywhere.of("fly_bin2") == Stated((7, 6, 5), table.of("fly").fields, "--voxel-size")
    assert everywhere.of("nothing of the table").voxel_size == (7, 6, 5)
    assert TableOptions(voxel_size=(7.0, 6.0, 5.0)).in_folder(None).of("x").voxel_size == (7, 6, 5)


def test_which_table(tmp_path):
    assert TableOptions().in_folder(tmp_path) == TableOptions().in_folder(None) == DatasetTable()
    (tmp_path / "other.csv").write_text("name\nfly\n")
    assert list(TableOptions(tmp_path / "other.csv").in_folder(tmp_path).rows) == ["fly"]
    assert list(TableOptions(tmp_path / "other.csv").in_folder(None).rows) == ["fly"]
    with pytest.raises(UsageError, match=r"absent\.csv"):
        TableOptions(tmp_path / "absent.csv").in_folder(None)


def test_a_table_that_a_link_leads_to_nowhere_is_missed_aloud(tmp_path):
    (tmp_path / "datasets.csv").symlink_to("nowhere.csv")
    with pytest.raises(UsageError, match=r"datasets\.csv"):
        TableOptions().in_folder(tmp_path)


def test_the_command_lines_say(tmp_path):
    (tmp_path / "a.csv").write_text("name")
    parser = argparse.ArgumentParser()
    add_table_options(parser)
    add_run_options(parser)
    assert TableOptions.of(parser.parse_args([])) == TableOptions()
    args = parser.parse_args(["--table", str(tmp_path / "a.csv"), "--voxel-size", "40", "4.5", "4.5", "--quiet"])
    assert TableOptions.of(args) == TableOptions(tmp_path / "a.csv", (40, 4.5, 4.5), quiet=True)
    for bad in (["4", "4"], ["4", "4", "0"], ["4", "4", "x"], ["4e-9"] * 3, ["4", "4", "2e6"]):
        with pytest.raises(SystemExit):
            parser.parse_args(["--voxel-size", *bad])


def test_names_of_a_table_that_was_asked_for_are_matched_once_for_a_whole_run(tmp_path, capsys):
    (tmp_path / "a.csv").write_text("name\nfly\nmouse\nfish\n")
    TableOptions(tmp_path / "a.csv").say_unmatched(["fly", "fish_s0"])
    assert capsys.readouterr().err == f"{tmp_path / 'a.csv'}: no volume here is called mouse\n"
    TableOptions(tmp_path / "a.csv", quiet=True).say_unmatched([])
    TableOptions().say_unmatched([])
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ("fly,thick,4,4", "datasets.csv:2: voxel_z is 'thick'; expected a number"),
        ("fly,4,0,4", "datasets.csv:2: voxel_y is 0; expected 0.01 to 1e+06 nm, or nothing"),
        ("fly,4,4,-3", "datasets.csv:2: voxel_x is -3; expected"),
        ("fly,nan,inf,3", "datasets.csv:2: voxel_y is inf; expected"),
        ("fly,1,1,1\nfly,2,2,2", "datasets.csv:2 and datasets.csv:3 say different things of fly"),
    ],
)
def test_a_row_that_makes_no_sense_costs_its_volume_only(tmp_path, rows, problem):
    (tmp_path / "datasets.csv").write_text(f"name,voxel_z,voxel_y,voxel_x\n{rows}\nmouse,8,8,8\n")
    table = read_dataset_table(tmp_path / "datasets.csv")
    assert problem in table.of("fly").problem and table.of("mouse").voxel_size == (8, 8, 8)
    write_nrrd(tmp_path / "fly.nrrd", np.zeros((2, 3, 4), np.uint8))
    with open_volume(tmp_path / "fly.nrrd") as volume, pytest.raises(ValueError, match=r"datasets\.csv:2"):
        table.of("fly").applied(volume)


def test_rows_that_say_the_same_twice_and_decimal_commas(tmp_path):
    (tmp_path / "datasets.csv").write_text("name;voxel_z;voxel_y;voxel_x\nfly;4,5;n/a;?\nfly;4,5;;\n")
    assert read_dataset_table(tmp_path / "datasets.csv").of("fly").voxel_size == (4.5, None, None)


@pytest.mark.parametrize("content", ["", "voxel_z,voxel_y\n1,2\n"])
def test_a_table_without_names(tmp_path, content):
    (tmp_path / "datasets.csv").write_text(content)
    with pytest.raises(ValueError, match="expected a column name"):
        read_dataset_table(tmp_path / "datasets.csv")
